"""The Authorizer in this process: a cached decision, or the embedded engine's answer.

Rule: a decision is kept under the values of exactly the input its rule can read, until
it expires, within one revision. What failed, was undefined or may differ the next time
is never kept. Nothing but policy's own allow allows.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.core.decision import Decision, Principal
from bus.core.message import Message
from bus.core.stats import DecisionStats
from bus.ports import Access, Action
from policy import data as policy_data, obligations
from policy.bundle import Bundle, Origin
from policy.cache import DecisionCache
from policy.deps import Dependencies
from policy.evaluation import EvaluationError
from policy.fields import access_key, encode_key
from policy.judging import Bench
from policy.keeping import Keeping
from policy.loading import ENTRY, Policy, PolicyFiles, PolicySource
from policy.pacing import drive, exhaust, later, letting_go

_NS_PER_S: Final = 1_000_000_000
_DIGEST_BYTES: Final = 16


class EmbeddedAuthorizer:
    """Implements `bus.ports.Authorizer`. Made and used on one thread."""

    __slots__ = (
        "_bench",
        "_bundle",
        "_cache",
        "_evictions",
        "_hits",
        "_keeping",
        "_misses",
        "_now_ns",
        "_policy",
        "_routed",
        "_source",
    )

    def __init__(
        self,
        source: PolicySource,
        *,
        now_ns: Callable[[], int],
        keeping: Keeping | None = None,
    ) -> None:
        self._source = source
        self._now_ns = now_ns
        self._keeping = Keeping() if keeping is None else keeping
        self._hits = self._misses = self._evictions = 0
        self._bench = Bench()
        self._cache = DecisionCache(self._keeping.entries)
        self._bundle = source.read()
        self._policy = exhaust(source.building(self._bundle))
        self._routed = self._policy.plan.routed

    @property
    def revision(self) -> str:
        """The revision in force."""
        return self._policy.revision

    @property
    def bundle(self) -> Bundle:
        """The files in force."""
        return self._bundle

    @property
    def dependencies(self) -> Dependencies:
        """What the entry rule in force can read."""
        return self._policy.dependencies

    def principal(self, agent: str) -> Principal:
        """Return who `agent` is.

        Raises:
            UnknownAgentError: the data has no such agent, or it is disabled.
        """
        return policy_data.principal_of(self._policy.agents, agent)

    def decide_now(self, action: Action, message: Message) -> Decision:
        """Decide: the same as `decide`, this engine never waits."""
        try:
            # One expression for what almost every policy reads: 300 ns a hit in all,
            # of them 55 for the count.
            key = (
                encode_key(
                    (message.sender, message.tenant, message.subject, message.type)
                )
                if self._routed
                else self._policy.plan.key(message)
            )
            found = self._cache.young[action].get(key)
            if found is not None and found[1] > message.created_ns:
                self._hits += 1
                return found[0]
            return self._decide_message(action, key, message, message.created_ns)
        except obligations.UNASKABLE as error:
            return self._unaskable(error, action)

    async def decide(self, action: Action, message: Message) -> Decision:
        """Decide at the time of the clock, which `message` may be older than."""
        try:
            key = self._policy.plan.key(message)
            return self._decide_message(action, key, message, self._now_ns())
        except obligations.UNASKABLE as error:
            return self._unaskable(error, action)

    async def admit(self, access: Access) -> Decision:
        """Decide: the same as `admit_now`, this engine never waits."""
        return self.admit_now(access)

    def admit_now(self, access: Access) -> Decision:
        """Decide on connecting, subscribing, quieting or releasing."""
        try:
            key = access_key(access)
            return self._decide(
                access.action,
                key,
                self._now_ns(),
                lambda policy: policy.plan.access_document(
                    access, _roles(policy, access.sender)
                ),
            )
        except obligations.UNASKABLE as error:
            return self._unaskable(error, access.action)

    def stats(self) -> DecisionStats:
        """Return the counts of the decision cache since the start."""
        return DecisionStats(
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions + self._cache.evictions,
            size=len(self._cache),
            faults=dict(self._bench.faults.counts()),
        )

    def changed(self) -> bool:
        """Tell whether `reload` may put another revision in force. Reads files."""
        return self._source.changed(self.revision)

    def read(self) -> Bundle:
        """Read what the source has now; this may be done on any thread.

        Raises:
            PolicyLoadError: it cannot be read.
        """
        bundle = self._source.read()
        _ = bundle.revision  # made here: it takes a hash of everything
        return bundle

    def reload(self, bundle: Bundle | None = None) -> str:
        """Put a bundle, or what the source has now, in force; return its revision.

        Raises:
            PolicyLoadError: it is refused; the revision in force stays.
        """
        given = self.read() if bundle is None else bundle
        self._put(given, exhaust(self._source.building(given, self._policy)))
        return self.revision

    async def renew(self, bundle: Bundle) -> None:
        """Do as `reload`, in slices between which the loop goes on.

        Until it is in force the policy before decides, and stays when this is cancelled.
        No two may be under way at once.
        """
        before, kept = self._policy, self._cache
        self._put(bundle, await drive(self._source.building(bundle, before)))
        # Nobody waits for it, so that nobody is cancelled after the switch.
        if kept is not self._cache:
            later(kept.emptying())
        later(letting_go([*before.agents.values()]))

    def _put(self, bundle: Bundle, policy: Policy) -> None:
        """Let a policy decide from here on."""
        self._bundle = bundle
        if policy.revision != self.revision:
            self._evictions += self._cache.evictions
            self._cache = DecisionCache(self._keeping.entries)
        self._policy = policy
        self._routed = policy.plan.routed

    def _decide_message(
        self, action: Action, key: bytes, message: Message, now_ns: int
    ) -> Decision:
        # Apart from decide_now: what a closure captures costs each call, hit or miss.
        return self._decide(
            action,
            key,
            now_ns,
            lambda policy: policy.plan.document(
                action, message, _roles(policy, message.sender)
            ),
        )

    def _decide(
        self, action: str, key: bytes, now_ns: int, document: Callable[[Policy], str]
    ) -> Decision:
        kept = self._cache.recall(action, key, now_ns)
        if kept is not None:
            self._hits += 1
            return kept
        self._misses += 1
        policy = self._policy
        digest = hashlib.blake2b(key, digest_size=_DIGEST_BYTES).hexdigest()
        revision = policy.revision
        try:
            answer = policy.engine.evaluate(ENTRY, document(policy))
        except EvaluationError as error:
            return self._bench.excuse(
                error, revision=revision, digest=digest, action=action
            )
        made, policys_own = self._bench.judge(
            answer, revision=revision, digest=digest, action=action
        )
        # Another revision may have come into force while the engine ran.
        if policys_own and not policy.dependencies.volatile and policy is self._policy:
            self._store(action, key, now_ns, made)
        return made

    def _store(self, action: str, key: bytes, now_ns: int, made: Decision) -> None:
        ttl_s = self._keeping.allow_ttl_s if made.allow else self._keeping.deny_ttl_s
        kept = msgspec.structs.replace(made, cached=True)
        self._cache.store(action, key, (kept, now_ns + int(ttl_s * _NS_PER_S)))

    def _unaskable(self, error: Exception, action: str) -> Decision:
        return self._bench.unaskable(error, revision=self.revision, action=action)


def load_authorizer(
    *,
    data: Mapping[str, Any] | Path | None = None,
    policy_dir: Path | None = None,
    now_ns: Callable[[], int],
    keeping: Keeping | None = None,
) -> EmbeddedAuthorizer:
    """Return an authorizer for the built-in policy, or for the one in `policy_dir`.

    `data` is a `.json` or `.toml` file or the data itself; where it is None,
    `policy_dir` holds `data.json` or `data.toml`.

    Raises:
        PolicyLoadError: with file, line and reason where they are known.
    """
    origin = Origin(data, policy_dir)
    return EmbeddedAuthorizer(PolicyFiles(origin), now_ns=now_ns, keeping=keeping)


def _roles(policy: Policy, sender: str) -> tuple[str, ...]:
    known = policy.agents.get(sender)
    return () if known is None else known.roles
