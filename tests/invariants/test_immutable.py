"""Invariant 8: a message does not change once it is stamped."""

from typing import Any

import msgspec
import pytest

from bus.core.message import Message
from bus.subscription import Delivery
from tests.fakes.buses import (
    Inbox,
    PartsBus,
    at_rest,
    new_bus,
    tamper,
    totals,
)

CHANGES: dict[str, Any] = {
    "id": bytes(16),
    "subject": "payments.out",
    "type": "command",
    "priority": 3,
    "tenant": "globex",
    "sender": "critic",
    "content_type": "application/json",
    "body": b"\x07",
    "created_ns": 5,
    "constitution": "0" * 16,
    "revision": "r0",
    "headers": {"role": "admin"},
    "reply_to": "$INBOX.x",
    "correlation": "other",
    "causation": "other",
    "root": bytes(16),
    "parent": bytes(16),
    "depth": 9,
    "authors": ("somebody",),
    "expires_ns": 1 << 62,
    "stamp": bytes(20),
}


def test_8_every_field_of_a_message_is_tried() -> None:
    """A field that is added must be added here."""
    assert set(CHANGES) == set(Message.__struct_fields__)


@pytest.mark.parametrize("value", ["other", "gone"])
@pytest.mark.parametrize("field", CHANGES)
async def test_8_a_queued_message_that_was_changed_is_never_delivered(
    field: str, value: str
) -> None:
    """In any covered field, to any value: refused, counted, recorded; others go on."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish("a", "first")
        await bus.settle()
        await planner.publish("a", "changed", ttl=60, correlation="c", causation="d")
        await planner.publish("a", "last")
        queued = sub.clear()
        new: Any = CHANGES[field] if value == "other" else None
        tamper(queued[0].message, **{field: new})
        for delivery in queued:
            sub.push(delivery, 1)
        inbox.gate.set()
        await bus.settle()
        if value == "gone" and field in {"reply_to", "root", "parent"}:
            assert inbox.done == ["first", "changed", "last"]  # it was None before
            return
        assert inbox.done == ["first", "last"]
        assert totals(bus).refused == 1
        assert bus.audit.events().count("refused") == 1
        assert at_rest(sub)


async def test_8_a_header_changed_in_place_is_noticed() -> None:
    """The dictionary can be written to; the stamp tells."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        await bus.agent("planner").publish("a", 2, headers={"role": "user"})
        (queued,) = sub.clear()
        queued.message.headers["role"] = "admin"
        sub.push(queued, 1)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [1]
        assert totals(bus).refused == 1


async def test_8_a_message_cannot_be_assigned_to() -> None:
    """It is frozen for whoever holds it."""
    caught: list[str] = []

    async def handler(delivery: Delivery) -> None:
        message: Any = delivery.message
        for name in Message.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(message, name, None)
            caught.append(name)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
    assert caught == list(Message.__struct_fields__)


async def test_8_what_one_handler_does_to_its_body_no_other_sees() -> None:
    """Each subscription decodes for itself, and so does each attempt."""
    seen: list[Any] = []

    async def handler(body: dict[str, Any]) -> None:
        seen.append(dict(body))
        body["changed"] = True
        body["list"].append("x")
        if len(seen) <= 2:
            raise RuntimeError

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("a", handler)
        await bus.agent("planner").publish("a", {"n": 1, "list": []})
        await bus.advance(1)
    assert [sorted(body) for body in seen] == [["list", "n"]] * 4
    assert all(body["n"] == 1 for body in seen)


class Listing(msgspec.Struct, frozen=True):
    """Frozen, with a list and a dictionary that are not."""

    items: list[str]
    more: dict[str, int]


class Shelf(msgspec.Struct, frozen=True):
    """Frozen all the way, but for what is in it."""

    listings: tuple[Listing, ...]


class Label(msgspec.Struct, frozen=True):
    """Frozen all the way down."""

    name: str
    marks: tuple[str, ...] = ()


async def test_8_what_is_inside_a_frozen_body_no_other_handler_sees_changed() -> None:
    """Frozen is only the outside: a list in it is decoded for each handler."""
    seen: list[Shelf] = []

    async def handler(shelf: Shelf) -> None:
        seen.append(msgspec.convert(msgspec.to_builtins(shelf), Shelf))
        shelf.listings[0].items.append("x")
        shelf.listings[0].more["x"] = 1

    async with new_bus() as bus:
        for agent in ("worker", "critic"):
            bus.agent(agent).subscribe("a", handler)
        sent = Shelf((Listing(["one"], {}),))
        await bus.agent("planner").publish("a", sent)
        await bus.settle()
    assert seen == [sent, sent]


async def test_8_what_nobody_can_change_is_decoded_once() -> None:
    """Several handlers of one message share it."""
    seen: list[Label] = []

    async def handler(label: Label) -> None:
        seen.append(label)

    async with new_bus() as bus:
        for agent in ("worker", "critic"):
            bus.agent(agent).subscribe("a", handler)
        await bus.agent("planner").publish("a", Label("one", ("m",)))
        await bus.settle()
    assert seen == [Label("one", ("m",))] * 2
    assert seen[0] is seen[1]
