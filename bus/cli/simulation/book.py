"""What a simulation saw: every outcome, every hand-over, every letter; and what must hold."""

from collections import Counter, defaultdict

import msgspec

from bus.core.errors import BusError
from bus.core.message import Message
from bus.core.outcome import Accepted, Outcome


class ClaimError(BusError):
    """A simulation saw something that must never be."""

    code = "claim_broken"


class Book:
    """One run's observations, over all lives of its bus."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.accepted: dict[str, int] = {}
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.handled: dict[str, Counter[str]] = defaultdict(Counter)
        self.acked: dict[str, set[str]] = defaultdict(set)
        self.children: dict[str, set[bytes]] = defaultdict(set)
        self.letters: dict[str, set[str]] = defaultdict(set)
        self.running: Counter[tuple[str, str]] = Counter()
        self.first: dict[tuple[str, str], list[int]] = defaultdict(list)

    def note(self, *words: object) -> None:
        """Write a line of the trace."""
        self.lines.append(" ".join(map(str, words)))

    def outcome(self, name: str, outcome: Outcome) -> None:
        """Note how a publish ended."""
        self.note("outcome", name, type(outcome).__name__, getattr(outcome, "code", ""))
        if isinstance(outcome, Accepted):
            self.accepted[name] = outcome.deliveries
        else:
            self.refused.add(name)

    def begins(self, consumer: str, name: str, message: Message, attempt: int) -> None:
        """Note that a handler begins."""
        self.note("begin", consumer, name, attempt)
        if name in self.refused:
            raise ClaimError(f"{name} was refused, and handed to {consumer}")
        self.handled[consumer][name] += 1
        key = message.headers.get("assent-ordering-key")
        if key is not None:
            self.running[consumer, key] += 1
            if self.running[consumer, key] > 1:
                raise ClaimError(f"two of key {key} at once at {consumer}")
            number = int(name.rsplit("-", maxsplit=1)[-1])
            seen = self.first[consumer, key]
            if number not in seen:
                if seen and number < max(seen):
                    raise ClaimError(f"{name} of key {key} after a later one")
                seen.append(number)

    def ends(self, consumer: str, message: Message) -> None:
        """Note that a handler is over, however."""
        key = message.headers.get("assent-ordering-key")
        if key is not None:
            self.running[consumer, key] -= 1

    def crashed(self) -> None:
        """Note that no handler runs any more."""
        self.note("crash")
        self.running.clear()

    def child(self, name: str, message: Message) -> None:
        """Note what a handler whose effects happen once has published."""
        self.note("child", name, message.id.hex()[-8:])
        self.children[name].add(message.id)

    def check(self, plan: dict[str, set[str]]) -> None:
        """Raise unless everything accepted reached everybody it was for.

        `plan` names the consumers of each subject; all is quiet now.
        """
        for name in self.accepted:
            subject = name.split("-")[0]
            for consumer in plan[subject]:
                if name not in self.acked[consumer] | self.letters[consumer]:
                    raise ClaimError(f"{name} was accepted, and lost for {consumer}")
        for name in self.handled["once"]:
            due = 0 if name in self.letters["once"] else 1
            if len(self.children[name]) != due:
                raise ClaimError(
                    f"{name} has {len(self.children[name])} effects, not {due}"
                )


class Summary(msgspec.Struct, frozen=True):
    """What one seed came to."""

    seed: int
    ok: bool
    accepted: int
    handled: int
    lives: int
    faults: int
    digest: str
    reason: str = ""
