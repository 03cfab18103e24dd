"""What an engine answered, or failed with, becomes a decision; faults are counted.

Rule: nothing but policy's own allow allows. Whatever else came back denies, says what
it was, and is not kept. On a bus it says so without a word that could quote the input:
reasons go to the sender and into records.
"""

import logging
from collections.abc import Mapping
from typing import Final

from bus.core.decision import Decision
from policy import obligations
from policy.bodies import UnaskableError
from policy.evaluation import KINDS, EvaluationError

UNDEFINED: Final = "undefined"
_FAILED: Final = "policy could not be evaluated"

_log: Final = logging.getLogger("assent.policy")


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
    """Judges what came back for the questions of one authorizer.

    With `quoting`, reasons quote the engine and what it answered: for the author of a
    policy, on input that he gave himself. Without it the log has that, at debug level.
    """

    __slots__ = ("_quoting", "faults")

    def __init__(self, *, quoting: bool = False) -> None:
        self.faults = Faults()
        self._quoting = quoting

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
            answer,
            revision=revision,
            digest=digest,
            action=action,
            quoting=self._quoting,
        )
        if not policys_own:
            self.faults.add(made.fault)
            if not self._quoting and _log.isEnabledFor(logging.DEBUG):
                full, _ = obligations.decision(answer, revision=revision, digest=digest)
                _log.debug("%s: %s", action, full.reasons[0])
        return made, policys_own

    def unaskable(self, error: Exception, *, revision: str, action: str) -> Decision:
        """Return the denial of a question that could not even be put."""
        self.faults.add("input")
        # Of any other error the text may quote the value that could not be encoded.
        why = error if isinstance(error, UnaskableError) else type(error).__name__
        reason = f"the question cannot be put to policy: {why}"
        return obligations.denial(
            reason, revision=revision, digest="", action=action, fault="input"
        )

    def excuse(
        self, error: EvaluationError, *, revision: str, digest: str, action: str
    ) -> Decision:
        """Return the denial that stands for an engine's failure."""
        self.faults.add(error.kind)
        told = str(error) if self._quoting else _unquoted(error)
        if not self._quoting and _log.isEnabledFor(logging.DEBUG):
            # Its text only: who keeps the error keeps the engine in its traceback.
            _log.debug("%s: %s: %s", action, error.kind, str(error))
        reason = f"{_FAILED}: {told}"
        if error.kind != "evaluation":
            reason = f"{error.kind}: {reason}"
        return obligations.denial(
            reason, revision=revision, digest=digest, action=action, fault=error.kind
        )


def _unquoted(error: EvaluationError) -> str:
    """Return what went wrong, and where, without a word of the engine or the server."""
    if error.kind != "evaluation":
        return error.reason  # our own words, of times, sizes and what did not answer
    return (
        f"a rule failed at {error.file}:{error.line}" if error.line else "a rule failed"
    )
