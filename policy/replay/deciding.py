"""Recorded inputs put to a candidate policy: the work of one process.

Rule: the candidate decides as it would on the bus, and what made a decision come out
otherwise is found by evaluating its definitions, never guessed from a text.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from policy.bundle import Bundle
from policy.deps import Dependencies
from policy.evaluation import EvaluationError
from policy.grounds import Grounds, Place, decided
from policy.loading import ENTRY, Policy, build
from policy.replay import differences
from policy.replay.differences import Change, Kind, Told


class Question(msgspec.Struct, frozen=True):
    """What the candidate reads of an input, the whole input, and what was decided.

    All three are JSON; `result` is empty where nothing was.
    """

    read: bytes
    input: bytes
    result: bytes


class Verdict(msgspec.Struct, frozen=True):
    """How the candidate's decision differs from the recorded one."""

    kind: Kind
    before: Told
    after: Told


class Decider:
    """Puts questions to a candidate. Used on the thread that made it.

    Raises:
        PolicyLoadError: the candidate is refused.
    """

    __slots__ = ("_bundle", "_grounds", "_policy")

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._policy: Policy = build(bundle)
        self._grounds: Grounds | None = None

    @property
    def dependencies(self) -> Dependencies:
        """What the candidate's entry rule can read."""
        return self._policy.dependencies

    def answer(self, questions: Sequence[Question]) -> list[Verdict | None]:
        """Return for each question how the decision differs, None where it does not."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Verdict | None:
        failed = None
        try:
            made = decided(self._policy.engine.evaluate(ENTRY, question.read.decode()))
        except EvaluationError as error:
            made = decided(None, error)
            failed = (ENTRY, error.file, error.line)
        before = differences.told(decided(question.result.decode() or None))
        after = differences.told(made)
        change = differences.change_of(before, after)
        if change is None:
            return None
        sides = (before, after)
        rules = (failed,) if failed else self._rules(change, sides, question.read)
        given = msgspec.json.decode(question.input)
        kind = differences.kind_of(change, sides, rules, given)
        return Verdict(kind, before, after)

    def _rules(
        self, change: Change, sides: tuple[Told, Told], read: bytes
    ) -> tuple[Place, ...]:
        """Return where in the candidate the new decision was made."""
        if self._grounds is None:
            self._grounds = Grounds(self._bundle, ENTRY)
        before, after = sides
        wanted: Iterable[Any]
        if change == "deny to allow":
            wanted = (True,)
        elif change == "obligations":
            wanted = [one for one in after.obligations if one not in before.obligations]
        else:
            wanted = set(after.reasons) - set(before.reasons) or after.reasons
        return self._grounds.givers(self._grounds.values(read.decode()), wanted)
