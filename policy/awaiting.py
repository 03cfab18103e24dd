"""The Authorizer over an engine that must be waited for: a worker process or a server.

Rule: what is kept answers at once; concurrent misses of one question are one evaluation,
in a task of its own, so that one caller's cancellation fails nobody else. No other
engine ever answers in this one's place.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec

from bus.core.decision import Decision, Principal
from bus.core.limits import (
    EVALUATIONS_WAITING_MAX,
    UNKNOWN_REVISION_TTL_S,
)
from bus.core.message import Message
from bus.core.stats import DecisionStats
from bus.ports import Access, Action
from policy import data as policy_data, obligations
from policy.cache import DecisionCache
from policy.evaluation import Answer, AwaitedEvaluator, EvaluationError
from policy.fields import InputPlan, access_key
from policy.judging import Bench
from policy.keeping import Keeping
from policy.loading import ENTRY

_NS_PER_S: Final = 1_000_000_000
_DIGEST_BYTES: Final = 16

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
_Flight = tuple[str, str, bytes]


class AwaitedPolicy(msgspec.Struct, frozen=True):
    """One revision of a policy whose engine is waited for.

    `revision` names it; `told` tells whether the engine itself says under which it
    decides. `cacheable` is False where an answer may differ the next time.
    """

    revision: str
    engine: AwaitedEvaluator
    plan: InputPlan
    agents: Mapping[str, Principal]
    cacheable: bool
    told: bool


class _Nobody:
    """Stands for the engine before there is one."""

    async def evaluate(self, rule: str, input_json: str) -> Answer:
        del rule, input_json
        raise EvaluationError("no policy is loaded yet", kind="unavailable")

    async def close(self) -> None:
        pass


class AwaitingAuthorizer:
    """Implements `bus.ports.Authorizer`; used on one event loop."""

    __slots__ = (
        "_bench",
        "_cache",
        "_evictions",
        "_flights",
        "_hits",
        "_keeping",
        "_misses",
        "_now_ns",
        "_overtaken",
        "_policy",
        "_spawn",
    )

    def __init__(
        self,
        agents: Mapping[str, Principal] | None = None,
        *,
        now_ns: Callable[[], int],
        spawn: Spawn,
        keeping: Keeping | None = None,
        overtaken: Callable[[], None] = lambda: None,
    ) -> None:
        """Know `agents` already; everything is denied until a policy is `put`.

        `overtaken` is told when the engine answers under another revision.
        """
        self._policy = AwaitedPolicy(
            revision="",
            engine=_Nobody(),
            plan=InputPlan(None),
            agents=agents or {},
            cacheable=False,
            told=False,
        )
        self._now_ns = now_ns
        self._spawn = spawn
        self._keeping = Keeping() if keeping is None else keeping
        self._overtaken = overtaken
        self._hits = self._misses = self._evictions = 0
        self._bench = Bench()
        self._cache = DecisionCache(self._keeping.entries)
        self._flights: dict[_Flight, asyncio.Future[Decision]] = {}

    @property
    def revision(self) -> str:
        """The revision in force."""
        return self._policy.revision

    def principal(self, agent: str) -> Principal:
        """Return who `agent` is.

        Raises:
            UnknownAgentError: the data has no such agent, or it is disabled.
        """
        return policy_data.principal_of(self._policy.agents, agent)

    def put(self, policy: AwaitedPolicy) -> AwaitedPolicy:
        """Put another revision in force; return the one that was."""
        was, self._policy = self._policy, policy
        self._evictions += self._cache.evictions
        self._cache = DecisionCache(self._keeping.entries)
        return was

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Return a decision that is kept, or None."""
        try:
            key = self._policy.plan.key(message)
        except obligations.UNASKABLE as error:
            return self._unaskable(error, action)
        return self._kept(action, key, message.created_ns)

    async def decide(self, action: Action, message: Message) -> Decision:
        """Decide at the time of the clock, which `message` may be older than."""
        policy = self._policy
        try:
            key = policy.plan.key(message)
            kept = self._kept(action, key, self._now_ns())
            if kept is not None:
                return kept
            roles = self._roles(message.sender)
            document = policy.plan.document(action, message, roles)
        except obligations.UNASKABLE as error:
            return self._unaskable(error, action)
        return await self._asked(policy, action, key, document)

    def admit_now(self, access: Access) -> Decision | None:
        """Return a decision on access that is kept, or None."""
        try:
            return self._kept(access.action, access_key(access), self._now_ns())
        except obligations.UNASKABLE as error:
            return self._unaskable(error, access.action)

    async def admit(self, access: Access) -> Decision:
        """Decide on connecting, subscribing, quieting or releasing."""
        policy = self._policy
        try:
            key = access_key(access)
            kept = self._kept(access.action, key, self._now_ns())
            if kept is not None:
                return kept
            roles = self._roles(access.sender)
            document = policy.plan.access_document(access, roles)
        except obligations.UNASKABLE as error:
            return self._unaskable(error, access.action)
        return await self._asked(policy, access.action, key, document)

    def stats(self) -> DecisionStats:
        """Return the counts of the decision cache since the start."""
        return DecisionStats(
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions + self._cache.evictions,
            size=len(self._cache),
            faults=dict(self._bench.faults.counts()),
        )

    async def close(self) -> None:
        """End the engine; whoever still waits is denied."""
        await self._policy.engine.close()

    def _kept(self, action: str, key: bytes, now_ns: int) -> Decision | None:
        kept = self._cache.recall(action, key, now_ns)
        if kept is not None:
            self._hits += 1
        return kept

    async def _asked(
        self, policy: AwaitedPolicy, action: str, key: bytes, document: str
    ) -> Decision:
        """Share the evaluation of one question, unless its answers may differ."""
        self._misses += 1
        digest = hashlib.blake2b(key, digest_size=_DIGEST_BYTES).hexdigest()
        if not policy.cacheable:
            return await self._evaluated(policy, action, digest, key, document)
        flight = (policy.revision, action, key)
        future = self._flights.get(flight)
        if future is None:
            if len(self._flights) >= EVALUATIONS_WAITING_MAX:
                error = EvaluationError(
                    f"{len(self._flights)} questions wait already", kind="unavailable"
                )
                return self._excused(error, policy, action, digest)
            future = asyncio.get_running_loop().create_future()
            self._flights[flight] = future
            self._spawn(
                self._fly(flight, future, policy, (digest, document)),
                "assent evaluation",
            )
        return await asyncio.shield(future)

    async def _fly(
        self,
        flight: _Flight,
        future: "asyncio.Future[Decision]",
        policy: AwaitedPolicy,
        question: tuple[str, str],
    ) -> None:
        _, action, key = flight
        digest, document = question
        try:
            made = await self._evaluated(policy, action, digest, key, document)
        except BaseException as error:
            if not future.done():
                gone = EvaluationError("the evaluation was ended", kind="unavailable")
                future.set_result(self._excused(gone, policy, action, digest))
            if isinstance(error, asyncio.CancelledError):
                return
            raise
        else:
            if not future.done():
                future.set_result(made)
        finally:
            del self._flights[flight]

    async def _evaluated(
        self, policy: AwaitedPolicy, action: str, digest: str, key: bytes, document: str
    ) -> Decision:
        asked_ns = self._now_ns()
        try:
            answer = await policy.engine.evaluate(ENTRY, document)
        except EvaluationError as error:
            return self._excused(error, policy, action, digest)
        revision = self._revision_of(answer, policy)
        made, policys_own = self._bench.judge(
            answer.result, revision=revision, digest=digest, action=action
        )
        # Another revision may have come into force while the engine ran.
        current = policy is self._policy and revision == policy.revision
        if policys_own and policy.cacheable and current:
            self._store(action, key, asked_ns, made)
        return made

    def _revision_of(self, answer: Answer, policy: AwaitedPolicy) -> str:
        """Return the revision of an answer, one object for equal ones."""
        # Where the engine's word says nothing of all that it reads, it is not taken.
        if not policy.told or answer.revision in {"", policy.revision}:
            return policy.revision
        if policy is self._policy:
            self._overtaken()
        return answer.revision

    def _store(self, action: str, key: bytes, now_ns: int, made: Decision) -> None:
        ttl_s = self._keeping.allow_ttl_s if made.allow else self._keeping.deny_ttl_s
        if not self._policy.told:
            ttl_s = min(ttl_s, UNKNOWN_REVISION_TTL_S)
        kept = msgspec.structs.replace(made, cached=True)
        self._cache.store(action, key, (kept, now_ns + int(ttl_s * _NS_PER_S)))

    def _excused(
        self, error: EvaluationError, policy: AwaitedPolicy, action: str, digest: str
    ) -> Decision:
        return self._bench.excuse(
            error, revision=policy.revision, digest=digest, action=action
        )

    def _unaskable(self, error: Exception, action: str) -> Decision:
        return self._bench.unaskable(error, revision=self.revision, action=action)

    def _roles(self, sender: str) -> tuple[str, ...]:
        known = self._policy.agents.get(sender)
        return () if known is None else known.roles
