"""What goes over the pipe, and who waits for it."""

import asyncio

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core.errors import UsageError
from bus.core.policylimits import (
    ISOLATED_ANSWER_BYTES_MAX,
    ISOLATED_QUESTIONS_BYTES_MAX,
    ISOLATED_QUESTIONS_MAX,
)
from policy.deps import Dependencies
from policy.evaluation import EvaluationError
from policy.isolation import wire
from policy.isolation.line import Line, Question
from policy.isolation.terms import Terms
from tests.fakes import isolated

READ = Dependencies(
    frozenset({("message", "subject"), ("action",)}),
    frozenset({("agents",)}),
    frozenset({"count"}),
)


def question(number: int, size: int = 1) -> Question:
    """Return a question that nobody waits for yet."""
    future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    return Question(number, bytes(size), future, float(number))


@pytest.mark.parametrize(
    "told",
    [
        wire.Ready(READ),
        wire.Ready(Dependencies(None, frozenset(), frozenset())),
        wire.Ready(None),
        wire.Refused("no", "a.rego", 3),
        wire.Answered(1, None),
        wire.Answered(2**63, '"<undefined>"'),
        wire.Failed(1, "x", "", 0, "oversize"),
    ],
)
def test_what_a_worker_tells_is_read_as_it_was(told: wire.Told) -> None:
    """Undefined stays apart from every text."""
    frames = wire.Frames(1_000)
    frames.feed(wire.frame(told))
    found = frames.take()
    assert found is not None
    assert wire.read_told(found) == told


def test_a_bundle_arrives_as_it_was() -> None:
    """The worker's revision is the parent's, to the last integer of 64 bits."""
    data = {**isolated.DATA, "n": [2**64 - 1, -(2**63), 0.1, None, True, "é\x00"]}
    sent = isolated.bundle(data=data)
    read = wire.read_bundle(wire.frame(sent)[4:])
    assert read == sent
    assert read.revision == sent.revision


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 50))
def test_frames_are_found_however_they_are_cut(parts: list[bytes], cut: int) -> None:
    """A read may end in the middle of a length."""
    written = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    frames, found = wire.Frames(40), []
    for start in range(0, len(written), cut):
        frames.feed(written[start : start + cut])
        while (frame := frames.take()) is not None:
            found.append(frame)
    assert found == parts


def test_a_frame_is_refused_for_its_announced_length() -> None:
    """Nobody waits for 4 GiB to find out that they are too many."""
    frames = wire.Frames(ISOLATED_ANSWER_BYTES_MAX)
    frames.feed(b"\xff\xff\xff\xff")
    with pytest.raises(wire.FrameTooLongError) as error:
        frames.take()
    assert error.value.size == 2**32 - 1


@given(st.binary(max_size=60))
def test_bytes_that_are_no_answer_raise_what_the_parent_expects(content: bytes) -> None:
    """Whatever a worker writes, its parent goes on."""
    try:
        told = wire.read_told(content)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return
    assert isinstance(told, wire.Ready | wire.Refused | wire.Answered | wire.Failed)


def test_an_unknown_kind_of_failure_is_no_answer() -> None:
    """A worker cannot invent one."""
    made = msgspec.msgpack.encode(["failed", 1, "x", "", 0, "fine"])
    with pytest.raises(msgspec.ValidationError):
        wire.read_told(made)


async def test_the_line_keeps_the_order_of_asking() -> None:
    """What comes back from a lost worker was asked before what still waits."""
    line = Line()
    asked = [question(n) for n in range(5)]
    for one in asked:
        line.admit(one)
    sent = [line.next(), line.next(), line.next()]
    line.put_back(q for q in sent[1:] if q is not None)
    left = [line.next() for _ in range(5)]
    assert [q.number for q in left if q is not None] == [1, 2, 3, 4]


async def test_a_cancelled_question_is_never_sent() -> None:
    """Neither from the line nor after it came back."""
    line = Line()
    first, second, third = question(1), question(2), question(3)
    for one in (first, second, third):
        line.admit(one)
    assert line.next() is first
    first.future.cancel()
    second.future.cancel()
    line.put_back([first])
    assert line.next() is third
    assert line.next() is None


async def test_the_line_is_bounded_by_number_and_room_comes_with_an_answer() -> None:
    """Past the bound a question is refused, and changes nothing."""
    line = Line()
    for number in range(ISOLATED_QUESTIONS_MAX):
        line.admit(question(number))
    with pytest.raises(EvaluationError) as error:
        line.admit(question(0))
    assert error.value.kind == "unavailable"
    sent = line.next()
    assert sent is not None
    with pytest.raises(EvaluationError):
        line.admit(question(0))
    line.settled(sent)
    line.admit(question(0))


async def test_the_line_is_bounded_by_bytes() -> None:
    """A few large questions are as much as many small ones."""
    line = Line()
    line.admit(question(1, ISOLATED_QUESTIONS_BYTES_MAX))
    with pytest.raises(EvaluationError, match="bytes") as error:
        line.admit(question(2))
    assert error.value.kind == "unavailable"


@pytest.mark.parametrize(
    "terms",
    [
        {"deadline_s": 0},
        {"deadline_s": -1},
        {"deadline_s": float("nan")},
        {"deadline_s": 1e9},
        {"wait_s": 0},
        {"load_s": float("inf")},
        {"memory_bytes": 1},
        {"spares": 0},
        {"spares": 1_000},
    ],
)
def test_terms_outside_their_range_are_refused(terms: dict[str, float]) -> None:
    """No bound is switched off by a zero, a sign or a NaN."""
    with pytest.raises(UsageError, match=next(iter(terms))):
        Terms(**terms)  # type: ignore[arg-type]  # the point of the test
