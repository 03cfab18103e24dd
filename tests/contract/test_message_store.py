"""What every message store promises: message, decision and plan are kept together.

A store that is added is added to STORES, and keeps the same promises.
"""

from collections.abc import Callable
from typing import Any

import pytest

from bus.adapters.stores.memory import MemoryStore
from bus.core.decision import Decision
from bus.core.message import Message
from bus.ports import MessageStore
from tests.fakes.messages import full

STORES: dict[str, Callable[[], MessageStore]] = {"memory": MemoryStore}
ALLOW = Decision(allow=True, reasons=(), revision="r1", digest="d")


class Queue:
    """A taker with room for everything."""

    def __init__(self) -> None:
        self.got: list[tuple[Message, Decision]] = []

    def put(
        self,
        message: Message,
        decision: Decision,
        bodies: dict[Any, Any] | None = None,
    ) -> None:
        """Keep both; what is shared between takers is the taker's business."""
        del bodies
        self.got.append((message, decision))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> MessageStore:
    """Each store there is."""
    return STORES[request.param]()


def test_each_taker_of_the_plan_gets_the_message_once(store: MessageStore) -> None:
    """And nobody else."""
    takers, other = [Queue(), Queue(), Queue()], Queue()
    message = full()
    store.append(message, ALLOW, takers)
    assert [taker.got for taker in takers] == [[(message, ALLOW)]] * 3
    assert other.got == []


def test_the_message_is_handed_over_as_it_was_stamped(store: MessageStore) -> None:
    """Not a field differs."""
    taker, message = Queue(), full(stamp=bytes(20))
    store.append(message, ALLOW, [taker])
    assert taker.got[0][0] == message


def test_the_decision_that_let_it_in_goes_with_it(store: MessageStore) -> None:
    """Each message has its own."""
    taker = Queue()
    other = Decision(allow=True, reasons=(), revision="r2", digest="e")
    store.append(full(), ALLOW, [taker])
    store.append(full(), other, [taker])
    assert [decision for _, decision in taker.got] == [ALLOW, other]


def test_the_order_of_appending_is_the_order_of_the_queue(store: MessageStore) -> None:
    """First in, first out, for each taker."""
    first, second = Queue(), Queue()
    messages = [full(id=n.to_bytes(16, "big")) for n in range(20)]
    for n, message in enumerate(messages):
        store.append(message, ALLOW, [first] if n % 2 else [first, second])
    assert [message for message, _ in first.got] == messages
    assert [message for message, _ in second.got] == messages[::2]


def test_what_one_taker_does_to_its_headers_no_other_sees(store: MessageStore) -> None:
    """The dictionary is each taker's own."""
    takers = [Queue(), Queue(), Queue()]
    store.append(full(headers={"role": "user"}), ALLOW, takers)
    takers[0].got[0][0].headers["role"] = "admin"
    assert [taker.got[0][0].headers["role"] for taker in takers[1:]] == ["user"] * 2
