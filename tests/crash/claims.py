"""What a trial has counted, and each claim that it found broken."""

from collections import Counter
from typing import Final

SHOWN: Final = 20  # broken claims that are told in full


class Trial:
    """Counts, and what did not hold. A trial that counted nothing shows nothing."""

    def __init__(self, title: str) -> None:
        self.title: Final = title
        self.counts: Final[Counter[str]] = Counter()
        self.broken: Final[list[str]] = []
        self.notes: Final[list[str]] = []

    def count(self, what: str, more: int = 1) -> None:
        """Count something."""
        self.counts[what] += more

    def claim(self, held: bool, words: str) -> None:  # noqa: FBT001 - reads as an assertion
        """Note a claim that does not hold."""
        if not held:
            self.broken.append(words)

    def require(self, *counted: str) -> None:
        """Note as broken whatever was never counted: the trial shows nothing of it."""
        for what in counted:
            self.claim(self.counts[what] > 0, f"no {what}: the trial shows nothing")

    @property
    def told(self) -> str:
        """All that is broken, in lines; empty if nothing is."""
        more = len(self.broken) - SHOWN
        shown = self.broken[:SHOWN]
        return "\n".join([*shown, f"and {more} more"] if more > 0 else shown)
