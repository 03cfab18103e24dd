"""States are a table, the record is only added to, and nobody approves his own."""

import multiprocessing
import os
from itertools import count
from pathlib import Path

import pytest

from bus.core.errors import (
    DeniedError,
    IllegalTransitionError,
    MalformedMessageError,
    PolicyLoadError,
)
from bus.core.policylimits import BUNDLE_REASON_CHARS_MAX
from policy.bundles import lifecycle as lifecycles
from policy.bundles.lifecycle import Lifecycle
from policy.bundles.states import ACTIVE, TABLE, Event, State, advance
from tests.fakes.messages import NOW_NS

ONE, TWO = "1" * 64, "2" * 64
TO_PUBLISHED = (
    (Event.DRAFT, "ann"),
    (Event.SUBMIT, "ann"),
    (Event.APPROVE, "bob"),
    (Event.PUBLISH, "ann"),
)


@pytest.fixture
def record(tmp_path: Path) -> Lifecycle:
    """Return a record that is not there yet; its clock goes by one each time."""
    return new(tmp_path / "states.jsonl")


def new(path: Path) -> Lifecycle:
    """Return a record in a file."""
    clock = count(NOW_NS)
    return Lifecycle(path, now_ns=lambda: next(clock))


def played(record: Lifecycle, *events: tuple[Event, str], digest: str = ONE) -> State:
    """Record events and return the state after them."""
    for event, who in events:
        record.record(digest, event, who=who)
    return record.standing(digest).state


def test_the_way_to_publication() -> None:
    """Each step once, in order, and back only by rejection."""
    state = State.ABSENT
    seen = []
    for event in ("draft", "submit", "reject", "submit", "approve", "publish"):
        state = advance(state, Event(event))
        seen.append(state.value)
    assert seen == [
        "draft",
        "pending_review",
        "draft",
        "pending_review",
        "approved",
        "published",
    ]
    assert advance(State.PUBLISHED, Event.DEPRECATE) is State.DEPRECATED


def test_everything_may_be_revoked_and_nothing_leads_back() -> None:
    """Even what was never drafted; revoked is for ever."""
    for state in State:
        if state is State.REVOKED:
            continue
        assert advance(state, Event.REVOKE) is State.REVOKED
    assert all(state is not State.REVOKED for state, _ in TABLE)


def test_what_the_table_does_not_have_is_refused() -> None:
    """The complement of the table, and the error says what is possible."""
    for state in State:
        for event in Event:
            if (state, event) not in TABLE:
                with pytest.raises(IllegalTransitionError, match=f"{event} is not"):
                    advance(state, event)
    with pytest.raises(IllegalTransitionError, match="submit, revoke is"):
        advance(State.DRAFT, Event.APPROVE)
    with pytest.raises(IllegalTransitionError, match="nothing is"):
        advance(State.REVOKED, Event.REVOKE)


def test_who_and_when_are_recorded(record: Lifecycle) -> None:
    """Every entry says what, by whom, when and why, and survives."""
    made = record.record(
        ONE, Event.DRAFT, who="ann", reason="new limits", declared="v7"
    )
    assert played(record, *TO_PUBLISHED[1:]) is State.PUBLISHED
    history = new(record.path).standing(ONE).history
    assert history[0] == made
    assert (made.at_ns, made.who, made.reason, made.declared) == (
        NOW_NS,
        "ann",
        "new limits",
        "v7",
    )
    assert [(entry.number, entry.who) for entry in history] == [
        (1, "ann"),
        (2, "ann"),
        (3, "bob"),
        (4, "ann"),
    ]
    assert record.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("who", ["ann", "eve"])
def test_nobody_approves_what_he_brought(record: Lifecycle, who: str) -> None:
    """Neither who drafted it nor who submitted it; nothing is written."""
    played(record, (Event.DRAFT, "eve"), (Event.SUBMIT, "ann"))
    before = record.path.read_bytes()
    with pytest.raises(DeniedError, match=f"{who} has drafted or submitted"):
        record.record(ONE, Event.APPROVE, who=who)
    assert record.path.read_bytes() == before
    assert played(record, (Event.APPROVE, "bob")) is State.APPROVED


def test_a_rejection_does_not_wash_authors_clean(record: Lifecycle) -> None:
    """Guard: submitting through somebody else does not make one a reviewer."""
    played(record, (Event.DRAFT, "ann"), (Event.SUBMIT, "ann"), (Event.REJECT, "bob"))
    played(record, (Event.SUBMIT, "eve"))
    with pytest.raises(DeniedError):
        record.record(ONE, Event.APPROVE, who="ann")


def test_only_what_is_published_or_deprecated_is_put_in_force(
    record: Lifecycle,
) -> None:
    """Guard: every other state is refused, and so is a revision nobody recorded."""
    allowed = set()
    for event, who in (*TO_PUBLISHED, (Event.DEPRECATE, "bob"), (Event.REVOKE, "bob")):
        record.record(ONE, event, who=who)
        state = record.standing(ONE).state
        if state in ACTIVE:
            record.require_active(ONE)
            allowed.add(state)
            continue
        with pytest.raises(PolicyLoadError, match=f"revision {'1' * 16} is {state}"):
            record.require_active(ONE)
    assert allowed == ACTIVE == {State.PUBLISHED, State.DEPRECATED}
    with pytest.raises(PolicyLoadError, match="is absent"):
        record.require_active(TWO)


def test_without_a_record_nothing_is_put_in_force(record: Lifecycle) -> None:
    """Guard: a record that was removed opens nothing."""
    with pytest.raises(PolicyLoadError, match="is absent"):
        record.require_active(ONE)


def test_revisions_do_not_touch_each_other(record: Lifecycle) -> None:
    """Two in one record, by their whole digests."""
    near = ONE[:-1] + "0"
    played(record, *TO_PUBLISHED)
    played(record, (Event.REVOKE, "bob"), digest=near)
    record.require_active(ONE)
    assert record.standing(near).state is State.REVOKED
    assert set(record.standings()) == {ONE, near}


def test_every_changed_byte_of_the_record_is_seen(record: Lifecycle) -> None:
    """Guard: who edits history is told by the line."""
    played(record, *TO_PUBLISHED)
    content = record.path.read_bytes()
    last = content[:-1].rfind(b"\n")
    for place in range(0, last, 5):
        changed = bytearray(content)
        changed[place] ^= 1
        record.path.write_bytes(bytes(changed))
        with pytest.raises(PolicyLoadError):
            record.require_active(ONE)
    lines = content.splitlines(keepends=True)
    for wrong in (
        lines[1:],
        [lines[0], *lines[2:]],
        [*lines[::-1]],
        [*lines, lines[3]],
    ):
        record.path.write_bytes(b"".join(wrong))
        with pytest.raises(PolicyLoadError, match=r"states\.jsonl:\d: was changed"):
            record.record(ONE, Event.REVOKE, who="bob")


def test_half_a_line_refuses_the_record(record: Lifecycle) -> None:
    """Guard: nothing is added after it, and nothing put in force."""
    played(record, *TO_PUBLISHED)
    record.path.write_bytes(record.path.read_bytes()[:-9])
    with pytest.raises(PolicyLoadError, match=r":4: the last line is cut off"):
        record.require_active(ONE)
    with pytest.raises(PolicyLoadError, match="cut off"):
        record.record(ONE, Event.REVOKE, who="bob")


def test_the_record_is_bounded(
    record: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: at the bound it says so, and what is there stays readable."""
    record.record(ONE, Event.DRAFT, who="ann")
    size = record.path.stat().st_size
    monkeypatch.setattr(lifecycles, "BUNDLE_RECORD_BYTES_MAX", size + 10)
    with pytest.raises(PolicyLoadError, match="begin another"):
        record.record(ONE, Event.SUBMIT, who="ann")
    assert record.standing(ONE).state is State.DRAFT
    monkeypatch.setattr(lifecycles, "BUNDLE_RECORD_BYTES_MAX", size - 1)
    with pytest.raises(PolicyLoadError, match=f"more than {size - 1} bytes"):
        record.standing(ONE)


@pytest.mark.parametrize(
    ("digest", "who", "reason"),
    [
        ("1" * 16, "ann", ""),
        ("A" * 64, "ann", ""),
        (ONE, "", ""),
        (ONE, "ann ", ""),
        (ONE, "ann", "x" * (BUNDLE_REASON_CHARS_MAX + 1)),
        (ONE, "ann", "a\nb"),
    ],
)
def test_a_wrong_entry_is_refused_before_it_is_written(
    record: Lifecycle, digest: str, who: str, reason: str
) -> None:
    """Guard: a digest cut short, a name that only looks different, a text too long."""
    with pytest.raises(MalformedMessageError):
        record.record(digest, Event.DRAFT, who=who, reason=reason)
    assert not record.path.exists()


def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Guard: a folder in its place is not an empty record."""
    with pytest.raises(PolicyLoadError, match="cannot be read"):
        new(tmp_path).standings()


def test_an_entry_that_is_not_on_disk_does_not_count(
    record: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: a disk that fails leaves the record as it was, to the byte."""
    record.record(ONE, Event.DRAFT, who="ann")
    before = record.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device", str(descriptor))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            record.record(ONE, Event.SUBMIT, who="ann")
    assert record.path.read_bytes() == before
    assert played(record, (Event.SUBMIT, "ann")) is State.PENDING_REVIEW


def _draft(path: str, number: int) -> None:
    for step in range(10):
        Lifecycle(Path(path), now_ns=lambda: NOW_NS).record(
            f"{number}{step}".zfill(64), Event.DRAFT, who="ann"
        )


def test_processes_may_share_a_record(record: Lifecycle) -> None:
    """What two write at once is one chain, and nothing of it is lost."""
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_draft, args=(str(record.path), number))
        for number in (1, 2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert len(record.standings()) == 20
