"""What an engine answers with, whichever it is, and how it fails.

Rule: an engine answers with JSON text, None for undefined, or an `EvaluationError`
whose `kind` says which fault it was. It never answers for another engine.
"""

from typing import Final, Literal, Protocol

import msgspec

from bus.core.errors import PolicyUnavailableError

Kind = Literal[
    "evaluation",  # the rule failed: a conflict, a built-in error
    "input",  # the question is past a bound
    "deadline",  # no answer in time
    "unavailable",  # the engine cannot be reached, or its breaker is open
    "malformed",  # an answer of the wrong type or content type, or no JSON
    "oversize",  # an answer past its bound
]
KINDS: Final[tuple[Kind, ...]] = (
    "evaluation",
    "input",
    "deadline",
    "unavailable",
    "malformed",
    "oversize",
)


class EvaluationError(PolicyUnavailableError):
    """The engine could not evaluate; nothing was decided. `line` is 0 if unknown.

    `said` is what somebody else said of it, a server for one, and may quote the input;
    so may the reason of the kind `evaluation`, which is the engine's own.
    """

    code = "policy_evaluation"

    def __init__(
        self,
        reason: str,
        *,
        file: str = "",
        line: int = 0,
        kind: Kind = "evaluation",
        said: str = "",
    ) -> None:
        told = f"{reason}: {said}" if said else reason
        super().__init__(f"{file}:{line}: {told}" if line else told)
        self.reason = reason
        self.file = file
        self.line = line
        self.kind = kind
        self.said = said


class Evaluator(Protocol):
    """Answers a rule for an input without waiting; both are JSON text."""

    def evaluate(self, rule: str, input_json: str) -> str | None:
        """Return the value of `rule` (`data.a.b`), None if it is undefined.

        Raises:
            EvaluationError: nothing was decided.
        """


class Answer(msgspec.Struct, frozen=True):
    """What an engine that is waited for answered: JSON text, or None for undefined.

    `revision` is the one it decided under, empty where it does not tell.
    """

    result: str | None
    revision: str = ""


class AwaitedEvaluator(Protocol):
    """Answers a rule for an input some time later, within its own deadline."""

    async def evaluate(self, rule: str, input_json: str) -> Answer:
        """Return the value of `rule`; raises as `Evaluator.evaluate`.

        Cancelling it fails nobody else's question.
        """

    async def close(self) -> None:
        """End what it started; every question still open fails as unavailable."""
