"""What the agents of the survey say to each other.

Rule: a path is bytes, as the system has it; text is made of it only to show it.
"""

import msgspec

from bus.cli.survey.measure import Measure

TASKS = "survey.task."
RESULTS = "survey.result."
REPORT = "survey.report"
NOTICE = "survey.notice"


class Task(msgspec.Struct, frozen=True):
    """A file to measure. `number` tells it from the others of its round."""

    round: int
    number: int
    kind: str
    path: bytes


class Result(msgspec.Struct, frozen=True):
    """What a worker measured."""

    task: Task
    measure: Measure


class Ask(msgspec.Struct, frozen=True):
    """Asks for the report of a round, once all its `tasks` are settled."""

    round: int
    tasks: int


class KindTotal(msgspec.Struct):
    """Totals over the files of one type; functions and classes of Python only."""

    kind: str
    files: int = 0
    binary: int = 0
    size: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0

    def add(self, measure: Measure) -> None:
        """Add one file."""
        self.files += 1
        self.binary += measure.binary
        self.size += measure.size
        self.lines += measure.lines or 0
        self.functions += measure.functions or 0
        self.classes += measure.classes or 0


class Place(msgspec.Struct, frozen=True, order=True):
    """A file and how much of something it has."""

    amount: int
    path: str


class Trouble(msgspec.Struct, frozen=True):
    """A file that was given up, and why."""

    path: str
    reason: str


class Report(msgspec.Struct, frozen=True):
    """A round's totals by type, largest first. `given_up` has a few, `lost` counts all."""

    kinds: list[KindTotal]
    largest: list[Place]
    longest_line: Place | None
    given_up: list[Trouble]
    lost: int

    @property
    def measured(self) -> int:
        """Files that were measured."""
        return sum(kind.files for kind in self.kinds)


def shown(path: bytes) -> str:
    """Return a path as text that can be written anywhere; odd bytes are escaped."""
    return path.decode("utf-8", "backslashreplace")
