"""`kill -9` at random moments, and what must hold over all of them.

The journal orders everything that the processes of a lane saw. Submissions to a store are
carried out in order; so once a publish that began after an ack is accepted, that ack is on
disk, and its message may not come again.
"""

import asyncio
import itertools
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from bus import composing
from bus.adapters.stores.sqlite import SqliteStore
from bus.config import Settings
from bus.core.changes import Letter
from bus.core.entries import Entry, Sealer
from bus.core.limits import DELIVERIES_MAX
from tests.crash.claims import Trial
from tests.crash.kill_child import POISON_TRIES
from tests.fakes.recording import SteppedClock
from tests.fakes.storekit import KEYS, LOWEST

ROOT: Final = Path(__file__).parents[2]
LANE_S: Final = 600
LANES_AT_ONCE: Final = 2
CONSUMERS: Final = ("plain", "pool", "once", "child", "poison")
CLOCK: Final = SteppedClock()


class Got(NamedTuple):
    """A message in a handler's hands. `line` is the place in the journal."""

    line: int
    round: int
    number: str
    key: int
    token: int
    attempt: int
    allow: bool


class Left(NamedTuple):
    """What a store holds at the end."""

    entries: dict[int, Entry]
    letters: list[Letter]
    pending: int


class Seen:
    """What a journal tells."""

    def __init__(self, journal: str) -> None:
        self.rounds = 0
        self.killed = 0
        self.tried: dict[str, tuple[int, int]] = {}  # number -> (line, round)
        self.subjects: dict[str, str] = {}
        self.accepted: dict[str, str] = {}  # number -> message
        self.refused: list[str] = []
        self.got: dict[tuple[str, str], list[Got]] = {}  # (consumer, message)
        self.acked: dict[
            tuple[str, str], tuple[int, int]
        ] = {}  # the first: line, round
        self.latest: dict[int, int] = {}  # round -> last line at which a publish began
        for line, text in enumerate(journal.splitlines()):
            self._take(line, text.split())

    def kept_ack(self, consumer: str, message: str) -> int | None:
        """Return where a message was acked, if that is known to be on disk."""
        line, of = self.acked.get((consumer, message), (0, -1))
        return line if of >= 0 and self.latest.get(of, -1) > line else None

    def _take(self, line: int, words: list[str]) -> None:
        now = self.rounds - 1
        match words:
            case ["round", _]:
                self.rounds += 1
            case ["killed", _]:
                self.killed += 1
            case ["try", number, subject]:
                self.tried[number] = (line, now)
                self.subjects[number] = subject
            case ["accepted", number, message, "1"]:
                self.accepted[number] = message
                began = self.tried[number][0]
                self.latest[now] = max(began, self.latest.get(now, began))
            case ["ack", consumer, message]:
                self.acked.setdefault((consumer, message), (line, now))
            case ["got", consumer, number, message, key, token, attempt, allow]:
                place = (int(key), int(token), int(attempt))
                got = Got(line, now, number, *place, allow == "1")
                self.got.setdefault((consumer, message), []).append(got)
            case _:
                self.refused.append(" ".join(words))


def kill_rounds(seed: int, lanes: int, rounds: int) -> Trial:
    """Run lanes of so many rounds each, every one over a store of its own."""
    trial = Trial("kill -9")
    with ThreadPoolExecutor(LANES_AT_ONCE) as pool:
        list(pool.map(lambda lane: _lane(seed + lane, rounds, trial), range(lanes)))
    trial.require(
        "kills", "accepted", "handed over", "letters", "once handled", "handed again"
    )
    return trial


def _lane(seed: int, rounds: int, trial: Trial) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.crash.kill_child",
                folder,
                str(seed),
                str(rounds),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LANE_S,
            check=False,
        )
        words = f"lane {seed}: "
        trial.claim(done.returncode == 0, f"{words}a process failed: {done.stderr}")
        if done.returncode:
            return  # nothing is drained, so nothing can be said of it
        place = Path(folder)
        seen = Seen((place / "journal").read_text())
        path = place / "store.db"
        ring = composing.key_ring(composing.stored_in(path, Settings()))
        left = asyncio.run(_left(path, Sealer(ring)))
    judge(seen, left, trial, words)


async def _left(path: Path, sealer: Sealer) -> Left:
    """Check every row of a store, and read it under its seals."""
    await SqliteStore(path, sealer, CLOCK).verify()
    store = SqliteStore(path, sealer, CLOCK, threaded=False)
    contents = await store.open()
    try:
        entries: dict[int, Entry] = {}
        first = KEYS[0]
        while page := await store.entries(first, KEYS[1], 4_000):
            entries |= {key: sealer.open(key, sealed) for key, sealed in page}
            first = page[-1][0] + 1
        letters: list[Letter] = []
        after = LOWEST
        while found := await store.letters(after, 4_000):
            letters += found
            after = found[-1].id
        for letter in letters:
            sealer.open(letter.key, letter.entry)
        pending = sum(row.pending for row in contents.consumers)
    finally:
        await store.close()
    return Left(entries, letters, pending)


def judge(seen: Seen, left: Left, trial: Trial, words: str) -> None:
    """Hold what was seen against each claim."""
    trial.count("rounds", seen.rounds)
    trial.count("kills", seen.killed)
    trial.count("accepted", len(seen.accepted))
    trial.count("letters", len(left.letters))
    trial.claim(not seen.refused, f"{words}refused: {seen.refused[:3]}")
    _nothing_is_lost(seen, left, trial, words)
    _nothing_without_a_receipt(seen, left, trial, words)
    _no_duplicate_without_a_reason(seen, trial, words)
    _once_is_once(seen, left, trial, words)
    _tokens_rise(seen, trial, words)
    _letters_have_a_reason(seen, left, trial, words)


def _nothing_is_lost(seen: Seen, left: Left, trial: Trial, words: str) -> None:
    """Accepted without delivered, pending or given up is empty; each letter is one."""
    trial.claim(not left.pending, f"{words}{left.pending} are pending at the end")
    dead = [_message(left, letter.key) for letter in left.letters]
    trial.claim(len(dead) == len(set(dead)), f"{words}a letter twice")
    handed = {message for _, message in seen.got}
    for number, message in seen.accepted.items():
        poison = seen.subjects[number].startswith("poison")
        there = message in (dead if poison else handed)
        trial.count("lost", int(not there))
        trial.claim(there, f"{words}{number} was accepted and is lost")
    entries = {entry.message.id.hex() for entry in left.entries.values()}
    for number, message in seen.accepted.items():
        trial.claim(message in entries, f"{words}{number} is not in its stream")


def _nothing_without_a_receipt(
    seen: Seen, left: Left, trial: Trial, words: str
) -> None:
    """What was handed over stands in the store, sealed, with the decision that let it in."""
    for (consumer, message), times in seen.got.items():
        for got in times:
            trial.count("handed over")
            entry = left.entries.get(got.key)
            held = entry is not None and entry.message.id.hex() == message
            allowed = held and entry is not None and entry.decision.allow
            trial.claim(
                bool(allowed and got.allow and got.number in seen.tried),
                f"{words}{consumer} got {got.number} without a receipt",
            )


def _no_duplicate_without_a_reason(seen: Seen, trial: Trial, words: str) -> None:
    """Again in one process only as another attempt; and never once its ack is on disk."""
    for (consumer, message), times in seen.got.items():
        trial.count("handed again", len(times) - 1)
        for before, after in itertools.pairwise(times):
            trial.claim(
                after.round > before.round or after.attempt > before.attempt,
                f"{words}{consumer} got {after.number} twice in one process",
            )
        line = seen.kept_ack(consumer, message)
        if line is not None:
            trial.count("acks known to be on disk")
            trial.claim(
                times[-1].line < line,
                f"{words}{consumer} got {times[-1].number} after its ack was on disk",
            )


def _once_is_once(seen: Seen, left: Left, trial: Trial, words: str) -> None:
    """What a handler with once=True did is there once, or it was given up: then never."""
    dead = {_message(left, letter.key) for letter in left.letters}
    children: dict[str, list[str]] = {}
    for entry in left.entries.values():
        if entry.message.subject.startswith("child"):
            parent = entry.message.parent
            told = "" if parent is None else parent.hex()
            children.setdefault(told, []).append(entry.message.id.hex())
    handed = {message for consumer, message in seen.got if consumer == "once"}
    trial.count("once handled", len(handed))
    for message in handed:
        runs = len(seen.got["once", message])
        trial.count("once handled more than once", int(runs > 1))
        made = len(children.get(message, ()))
        trial.count("effects", made)
        due = int(message not in dead)
        trial.claim(made == due, f"{words}{message} had its effect {made} times")
    trial.claim(set(children) <= handed, f"{words}an effect without its cause")


def _tokens_rise(seen: Seen, trial: Trial, words: str) -> None:
    """No fencing token is used twice, and each process's are above those before."""
    everything = sorted(got for times in seen.got.values() for got in times)
    tokens = [got.token for got in everything]
    trial.claim(len(tokens) == len(set(tokens)), f"{words}a token was used twice")
    highest = {0: 0}
    for got in everything:
        highest[got.round] = max(highest.get(got.round, 0), got.token)
        earlier = max((t for r, t in highest.items() if r < got.round), default=0)
        trial.claim(got.token > earlier, f"{words}token {got.token} is not above")


def _letters_have_a_reason(seen: Seen, left: Left, trial: Trial, words: str) -> None:
    """Given up is what always fails, and what processes died on as often as is allowed."""
    for letter in left.letters:
        entry = left.entries[letter.key]
        poison = entry.message.subject.startswith("poison")
        allowed = POISON_TRIES if poison else DELIVERIES_MAX
        trial.count("letters of what processes died on", int(not poison))
        trial.claim(
            letter.attempts == allowed, f"{words}given up after {letter.attempts}"
        )
        message = entry.message.id.hex()
        settled = any(
            seen.kept_ack(consumer, message) is not None for consumer in CONSUMERS
        )
        trial.claim(not settled, f"{words}{message} was given up after its ack")


def _message(left: Left, key: int) -> str:
    entry = left.entries.get(key)
    return "" if entry is None else entry.message.id.hex()
