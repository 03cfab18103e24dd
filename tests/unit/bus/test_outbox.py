"""The box of a handler whose effects happen once."""

from typing import Any

import pytest

from bus.core.decision import Decision
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.outcome import Accepted
from bus.outbox import Outbox


class Boxed:
    """A message in a box that notes whether it was taken back."""

    def __init__(self, action: str = "publish", scope: str = "") -> None:
        self.decision = Decision(True, (), "r1", "d", action=action)
        self.scope = scope
        self.dropped = 0

    def accepted(self) -> Accepted:
        """Return what its publisher is told."""
        return Accepted(bytes(16), self.decision, 1)

    def changes(self) -> list[Any]:
        """Change nothing."""
        return []

    def drop(self) -> None:
        """Note it."""
        self.dropped += 1

    def __call__(self, error: Exception | None) -> None:
        """Nobody asks."""


def test_what_is_put_in_is_kept_in_order_and_found_by_its_name() -> None:
    """The publisher is told that it is accepted."""
    box, first, second = Outbox(), Boxed(), Boxed(scope="n")
    assert isinstance(box.put(first), Accepted)
    box.put(second)
    assert box.kept == [first, second]
    assert box.named("n") is second
    assert box.named("other") is None


def test_dropping_it_takes_everything_back_once() -> None:
    """And nothing more may be put in."""
    box, kept, late = Outbox(), Boxed(), Boxed()
    box.put(kept)
    box.drop()
    box.drop()
    assert (kept.dropped, box.kept) == (1, [])
    with pytest.raises(MalformedMessageError, match="is over"):
        box.put(late)
    assert late.dropped == 1


def test_a_request_is_taken_back() -> None:
    """It would wait for ever."""
    box, asked = Outbox(), Boxed("request")
    with pytest.raises(MalformedMessageError, match="cannot wait"):
        box.put(asked)
    assert (asked.dropped, box.kept) == (1, [])


def test_a_box_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one too many is taken back; the others stay."""
    monkeypatch.setattr("bus.outbox.OUTBOX_MESSAGES_MAX", 1)
    box, one, more = Outbox(), Boxed(), Boxed()
    box.put(one)
    with pytest.raises(LimitExceededError):
        box.put(more)
    assert (one.dropped, more.dropped, box.kept) == (0, 1, [one])
