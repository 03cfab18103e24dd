"""Single pieces of the hot path, each on its own.

Run with `pytest benchmarks/test_core.py`; one figure is one call, or one pair of calls
where one without the other would grow what is measured.
"""

from collections.abc import Iterator

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bus.core import codec, subject
from bus.core.backlog import Backlog
from bus.core.ids import IdSource
from bus.core.message import Message, Priority
from bus.core.routing import RoutingTree
from policy import keys
from policy.compliance import ComplianceValidator

NOW_NS = 1_800_000_000_000_000_000
BODY_BYTES = 220
WAITING = 400
VALIDATOR = ComplianceValidator("0123456789abcdef", keys.generate())
PLAIN = Message(
    id=IdSource(bytes(8)).next(NOW_NS),
    subject="tasks.survey.python.worker7",
    type="task_request",
    priority=Priority.NORMAL.value,
    tenant="acme-corp",
    sender="planner",
    content_type="application/msgpack",
    body=bytes(BODY_BYTES),
    created_ns=NOW_NS,
    constitution=VALIDATOR.constitution,
    revision="0123456789abcdef",
)


class Item:
    """What a backlog needs of an item, and nothing more."""

    __slots__ = ("turn",)

    def __init__(self) -> None:
        self.turn = 0


def stamped() -> Message:
    """Return a stamped message of its own."""
    message = msgspec.structs.replace(PLAIN)
    VALIDATOR.seal(message)
    return message


def expect(made: object, expected: object) -> None:
    """Fail a figure that was taken of the wrong work."""
    if made != expected:
        pytest.fail(f"{made!r} is not {expected!r}")


def test_seal(benchmark: BenchmarkFixture) -> None:
    # The same message each time: taking its old stamp off is part of the figure.
    message = stamped()
    benchmark(VALIDATOR.seal, message)
    VALIDATOR.check(message, NOW_NS)


def test_check(benchmark: BenchmarkFixture) -> None:
    benchmark(VALIDATOR.check, stamped(), NOW_NS)


@pytest.mark.parametrize("priority", Priority)
def test_push_and_pop(benchmark: BenchmarkFixture, priority: int) -> None:
    backlog: Backlog[Item] = Backlog()
    item, level = Item(), int(priority)

    def push_and_pop() -> Item:
        backlog.push(item, level)
        return backlog.pop()

    expect(benchmark(push_and_pop), item)


def test_push_and_pop_of_all_priorities(benchmark: BenchmarkFixture) -> None:
    backlog: Backlog[Item] = Backlog()
    for n in range(WAITING):
        backlog.push(Item(), n % len(Priority))

    def push_and_pop() -> None:
        for level in range(len(Priority)):
            backlog.push(Item(), level)
            backlog.pop()

    benchmark(push_and_pop)
    expect(backlog.size, WAITING)


def test_id(benchmark: BenchmarkFixture) -> None:
    source = IdSource(bytes(8))
    expect(len(benchmark(source.next, NOW_NS)), len(PLAIN.id))


def test_encode(benchmark: BenchmarkFixture) -> None:
    message = stamped()
    expect(codec.decode(benchmark(codec.encode, message)), message)


def test_decode(benchmark: BenchmarkFixture) -> None:
    message = stamped()
    expect(benchmark(codec.decode, codec.encode(message)), message)


def others(count: int) -> Iterator[tuple[str, ...]]:
    """Yield patterns that do not match the subject, near and far from it."""
    for n in range(count):
        yield subject.parse_pattern(f"tasks.survey.{n}.*" if n % 2 else f"team{n}.>")


@pytest.mark.parametrize("count", [10, 100_000])
def test_route_past_what_does_not_match(
    benchmark: BenchmarkFixture, count: int
) -> None:
    tree: RoutingTree[int] = RoutingTree()
    for n, pattern in enumerate(others(count)):
        tree.add(pattern, n)
    tree.add(subject.parse_pattern("tasks.survey.*.worker7"), -1)
    found = benchmark(tree.match, subject.parse(PLAIN.subject))
    expect(found, [-1])
