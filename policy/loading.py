"""A bundle becomes a policy that can be asked, or is refused before it is in force.

Rule: the entry rule is there, its dependencies are known, and it has answered sample
questions of every action with a decision: what fails for them would fail for a message.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from bus.core.decision import Principal
from bus.core.errors import PolicyLoadError
from bus.core.names import SYSTEM_AGENT
from policy import data as policy_data, engine as engines
from policy.bundle import Bundle, Fingerprint, Origin
from policy.cache import ACTIONS
from policy.deps import Dependencies, dependencies
from policy.engine import Engine
from policy.evaluation import EvaluationError, Evaluator
from policy.fields import InputPlan
from policy.obligations import decision
from policy.pacing import Steps, exhaust

ENTRY: Final = "data.assent.authz.decision"
_ACCESS: Final = ("connect", "subscribe", "cooldown", "release", "chaos")


class Policy(msgspec.Struct, frozen=True):
    """One revision, ready to be asked."""

    revision: str
    engine: Evaluator
    dependencies: Dependencies
    plan: InputPlan
    agents: Mapping[str, Principal]


def build(bundle: Bundle) -> Policy:
    """Load a bundle into an engine and try it out.

    Raises:
        PolicyLoadError: with file, line and reason where they are known.
    """
    return exhaust(building(bundle))


def building(bundle: Bundle, before: Policy | None = None) -> Steps[Policy]:
    """Do as `build`, a little in each step; on one thread, from the first to the last.

    Where only data differs from that of `before`, no rule is parsed again.
    """
    known = None if before is None else before.engine
    engine = yield from engines.loading(
        bundle.sources, bundle.sliced, known if isinstance(known, Engine) else None
    )
    if tuple(ENTRY.split(".")) not in engine.program.rules:
        raise PolicyLoadError(f"there is no rule {ENTRY}")
    agents = yield from policy_data.reading_agents(bundle.data_name, bundle.sliced)
    if isinstance(known, Engine) and known.rules is engine.rules and before:
        read, plan = before.dependencies, before.plan
    else:
        read = dependencies(engine.program, ENTRY, engine.builtins)
        plan = InputPlan(read.input)
    for document in _samples(agents):
        yield
        _try_out(engine, document)
    return Policy(bundle.revision, engine, read, plan, agents)


def _try_out(engine: Engine, document: dict[str, Any]) -> None:
    asked = f"{document['action']} by {document['principal']['id']}"
    try:
        answer = engine.evaluate(ENTRY, msgspec.json.encode(document).decode())
    except EvaluationError as error:
        reason = f"{error.reason} (tried out with {asked})"
        raise PolicyLoadError(reason, file=error.file, line=error.line) from None
    if answer is None:
        return
    made, policys_own = decision(answer, revision="", digest="")
    if not policys_own:
        raise PolicyLoadError(f"{made.reasons[0]} (tried out with {asked})")


def _samples(agents: Mapping[str, Principal]) -> Iterator[dict[str, Any]]:
    """Yield a full input of every action for a known agent, an unknown one and the bus."""
    known = [next(iter(agents.values()))] if agents else []
    for principal in (
        *known,
        Principal("nobody", "none"),
        Principal(SYSTEM_AGENT, "none"),
    ):
        for action in ACTIONS:
            document: dict[str, Any] = {"action": action, "principal": principal}
            if action in _ACCESS:
                document["subscription"] = {"pattern": "sample.*", "queue": ""}
                if action == "release":
                    document["held"] = {"sender": "sample", "authors": ["other"]}
            else:
                document["message"] = sample_message(principal.tenant, action)
            yield msgspec.to_builtins(document)


def sample_message(tenant: str, action: str) -> dict[str, Any]:
    """Return the message part of a sample question: every field of the input."""
    subjects = {
        "reply": "$INBOX.sample",
        "dead_letter": "$DEAD.sample",
        "system_event": "$SYS.sample",
    }
    return {
        "id": "0" * 32,
        "subject": subjects.get(action, "sample.subject"),
        "type": "event",
        "priority": 1,
        "tenant": tenant,
        "content_type": "application/json",
        "size": 2,
        "headers": {},
        "reply_to": None,
        "correlation": None,
        "causation": None,
        "depth": 0,
        "authors": [],
        "root": None,
        "parent": None,
        "created_ns": 1,
        "created_minute": 0,
        "expires_ns": None,
    }


class PolicySource(Protocol):
    """Where the policy in force comes from."""

    def read(self) -> Bundle:
        """Return the files as they are now, or raise `PolicyLoadError`; on any thread."""

    def building(self, bundle: Bundle, before: Policy | None = None) -> Steps[Policy]:
        """Make a policy of them in steps, or raise `PolicyLoadError`.

        On the thread that decides. `before` is the one in force, if there is one.
        """

    def changed(self, revision: str) -> bool:
        """Tell whether `read` may now end otherwise than in `revision`."""


class PolicyFiles:
    """A policy kept in files (or data kept by the program)."""

    __slots__ = ("_origin", "_seen")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._seen: Fingerprint | str | None = None

    def read(self) -> Bundle:
        """Read the files."""
        # Taken first: what is written while we read is then seen as a change.
        self._seen = self._look()
        return self._origin.read()

    def building(self, bundle: Bundle, before: Policy | None = None) -> Steps[Policy]:
        """Make a policy of what was read."""
        return building(bundle, before)

    def changed(self, revision: str) -> bool:
        """Look at the files' times and sizes, and read them only where these differ.

        A bundle that cannot be read counts as changed until `read` was called, which
        says why; then only another change, or another reason, counts.
        """
        found = self._look()
        if found == self._seen:
            return False
        try:
            if self._origin.read().revision != revision:
                return True
        except PolicyLoadError:
            return True
        self._seen = found
        return False

    def _look(self) -> Fingerprint | str:
        """Return the files' fingerprint, or why they have none."""
        try:
            return self._origin.fingerprint()
        except PolicyLoadError as error:
            return str(error)
