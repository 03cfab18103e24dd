"""Killed at random moments, a bus with a store keeps what it said; and who says so is right.

With ASSENT_DEEP=1 it is killed 200 times, else a share of that.
"""

import pytest

from bus.core.changes import Letter
from bus.core.entries import Entry, key_of
from tests.crash.claims import Trial
from tests.crash.kills import Left, Seen, judge, kill_rounds
from tests.fakes.messages import full
from tests.fakes.storekit import ALLOW
from tests.parts import depth

LANES = 2
KEY = key_of(1, 1)
MESSAGE = full(id=b"\1" * 16, subject="plain.a")
ID = MESSAGE.id.hex()
ENTRY = Entry(KEY, MESSAGE, ALLOW)
FIRST = "round 0\ntry 0-1 plain.a\naccepted 0-1 {id} 1\n"
GOT = f"got plain 0-1 {ID} {KEY} {{token}} {{attempt}} {{allow}}\n"
ONE = GOT.format(token=1, attempt=1, allow=1)
ACKED = f"ack plain {ID}\ntry 0-2 plain.a\naccepted 0-2 {ID} 1\n"


@pytest.mark.timeout(600)
def test_nothing_accepted_is_lost_and_nothing_comes_twice_without_a_reason() -> None:
    """Over kills at random moments, in the middle of starts too, with everything at work."""
    rounds = depth(9, 100)
    trial = kill_rounds(1, LANES, rounds)
    assert not trial.broken, trial.told
    assert trial.counts["kills"] == LANES * rounds
    assert trial.counts["acks known to be on disk"] > 0
    assert trial.counts["effects"] > 0


def judged(journal: str, *entries: Entry, letters: int = 0, pending: int = 0) -> str:
    """Return what is said of a journal and what is left."""
    trial = Trial("judged")
    kept = {entry.key: entry for entry in entries}
    letter = Letter(1, 1, "acme", "poison", 2, "gave up", KEY, b"")
    left = Left(kept, [letter] * letters, pending)
    judge(Seen(journal.format(id=ID)), left, trial, "")
    return trial.told


def test_what_is_in_order_is_not_complained_of() -> None:
    """Handed over once, with a receipt, or again after a kill."""
    assert judged(FIRST + ONE, ENTRY) == ""
    later = GOT.format(token=2, attempt=1, allow=1)
    assert judged(FIRST + ONE + "killed 0\nround 1\n" + later, ENTRY) == ""


@pytest.mark.parametrize(
    ("journal", "words"),
    [
        (FIRST, "0-1 was accepted and is lost"),
        (FIRST + ONE + ONE.replace(" 1 1 1", " 2 1 1"), "twice in one process"),
        (FIRST + ONE.replace(" 1 1 1", " 1 1 0"), "without a receipt"),
        (FIRST + ONE.replace(str(KEY), str(KEY + 1)), "without a receipt"),
        (FIRST + ONE + "round 1\n" + ONE, "a token was used twice"),
        (
            f"{FIRST}{ONE}{ACKED}round 1\n{GOT.format(token=2, attempt=1, allow=1)}",
            "after its ack was on disk",
        ),
        (f"{FIRST}{ONE}refused 0-2 Failed\n", "refused"),
        (
            FIRST.replace("plain", "once") + ONE.replace("plain", "once"),
            "had its effect 0 times",
        ),
    ],
)
def test_what_is_broken_is_said(journal: str, words: str) -> None:
    """Each claim can fail."""
    assert words in judged(journal, ENTRY)


def test_what_is_left_is_looked_at_too() -> None:
    """Pending deliveries, letters that are there twice, effects that nobody caused."""
    assert "2 are pending" in judged(FIRST + ONE, ENTRY, pending=2)
    assert "a letter twice" in judged(FIRST + ONE, ENTRY, letters=2)
    assert "given up after 2" in judged(FIRST + ONE, ENTRY, letters=1)
    acked = judged(FIRST + ONE + ACKED, ENTRY, letters=1)
    assert "was given up after its ack" in acked
    assert "is not in its stream" in judged(FIRST + ONE)
    child = Entry(
        KEY + 1, full(id=b"\2" * 16, subject="child.a", parent=b"\3" * 16), ALLOW
    )
    assert "an effect without its cause" in judged(FIRST + ONE, ENTRY, child)
