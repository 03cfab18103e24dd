"""What an engine answered, or failed with, becomes a decision; faults are counted.

Rule: nothing but policy's own allow allows. Whatever else came back denies, says what
it was, and is not kept.
"""

from collections.abc import Mapping
from typing import Final

from bus.core.decision import Decision
from policy import obligations
from policy.evaluation import KINDS, EvaluationError

UNDEFINED: Final = "undefined"


class Faults:
    """Questions that the engine could not decide, counted by kind."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = dict.fromkeys((*KINDS, UNDEFINED, obligations.UNUSABLE), 0)

    def add(self, kind: str) -> None:
        """Count one."""
        self._counts[kind] += 1

    def counts(self) -> Mapping[str, int]:
        """Return the count of every kind, zeros included."""
        return dict(self._counts)


class Bench:
    """Judges what came back for the questions of one authorizer."""

    __slots__ = ("faults",)

    def __init__(self) -> None:
        self.faults = Faults()

    def judge(
        self, answer: str | None, *, revision: str, digest: str, action: str
    ) -> tuple[Decision, bool]:
        """Return the decision an answer stands for, and whether policy itself made it."""
        if answer is None:
            self.faults.add(UNDEFINED)
            reason = obligations.UNDEFINED
            denied = obligations.denial(
                reason,
                revision=revision,
                digest=digest,
                action=action,
                fault=UNDEFINED,
            )
            return denied, False
        made, policys_own = obligations.decision(
            answer, revision=revision, digest=digest, action=action
        )
        if not policys_own:
            self.faults.add(made.fault)
        return made, policys_own

    def unaskable(self, error: Exception, *, revision: str, action: str) -> Decision:
        """Return the denial of a question that could not even be put."""
        self.faults.add("input")
        reason = f"the question cannot be put to policy: {error!r}"
        return obligations.denial(
            reason, revision=revision, digest="", action=action, fault="input"
        )

    def excuse(
        self, error: EvaluationError, *, revision: str, digest: str, action: str
    ) -> Decision:
        """Return the denial that stands for an engine's failure."""
        self.faults.add(error.kind)
        told = f"policy could not be evaluated: {error}"
        reason = told if error.kind == "evaluation" else f"{error.kind}: {told}"
        return obligations.denial(
            reason, revision=revision, digest=digest, action=action, fault=error.kind
        )
