"""An operator takes a durable consumer back to its last ack, over the control channel."""

import asyncio
from typing import Any

import msgspec
import pytest

from bus import operating
from bus.adapters import control
from bus.adapters.control.client import ControlLaterError, ControlUsageError
from bus.core.errors import BusNotStartedError, StoreUnavailableError, UsageError
from bus.rewinding import Rewound
from bus.watching import Seen, Top, top
from tests.fakes.buses import PartsBus, at_rest
from tests.fakes.busparts import ListAudit
from tests.fakes.durable import DurableBus, Place, Takes


async def picture() -> Top:
    """Show nothing."""
    return top(Seen(time_ns=1, revision="r1", checks={}), [])


async def rewound(bus: PartsBus, place: Place, name: str, **asked: Any) -> Rewound:
    """Order it as `assent recovery rewind` does, through a socket."""
    rewind = operating.rewinds(bus._host)  # noqa: SLF001 - as the composition root does
    orders = operating.commands(picture, None, None, rewind)
    path = place.folder / "op.sock"
    async with control.serve(path, orders):
        answer = await asyncio.to_thread(
            control.ask, path, "recovery.rewind", {"consumer": name, **asked}
        )
    return msgspec.json.decode(answer, type=Rewound)


def recorded(bus: DurableBus) -> list[str]:
    """Return what the audit record says of recovery."""
    assert isinstance(bus.audit, ListAudit)
    return [record[7] for record in bus.audit.records if record[0] == "recovery"]


async def test_what_waits_is_read_anew_and_nothing_is_handed_over_twice(
    place: Place,
) -> None:
    """What is in hand stays there, what is delayed stays delayed, what is over is over."""
    bus, takes = place.bus(), Takes(3)
    sub = bus.agent("critic").subscribe("a", takes, max_deliver=2, backoff=[60])
    async with bus:
        await bus.keep("a", 1, 2, 3)
        await bus.settle()
        takes.gate.clear()
        await bus.keep("a", 4, 5, 6, 7)
        await bus.settle()
        assert takes.bodies == [1, 2, 3, 4]
        done = await rewound(bus, place, "critic/a")
        assert done == Rewound(
            tenant="acme", consumer="critic/a", deliveries=5, in_hand=1
        )
        takes.fails.clear()
        takes.gate.set()
        await bus.settle()
        assert takes.bodies == [1, 2, 3, 4, 5, 6, 7]
        await bus.advance(61)
        assert takes.bodies[-1] == 3
        assert takes.attempts == [1, 1, 1, 1, 1, 1, 1, 2]
        assert bus.consumer("critic/a").pending == 0
        assert at_rest(sub)
        (told,) = recorded(bus)
        assert told == (
            "consumer critic/a of acme: rewound to its last ack; 5 not settled, 1 of "
            "them in hand; by operator"
        )


async def test_a_consumer_that_is_away_goes_on_from_its_last_ack(place: Place) -> None:
    """There is nobody to read for yet; who comes gets everything once."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes(), durable="reviews")
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", 1, 2)
        assert (await rewound(bus, place, "reviews", tenant="acme")).deliveries == 2
        takes = Takes()
        bus.agent("critic").subscribe("a", takes, durable="reviews")
        await bus.settle()
        assert takes.bodies == [1, 2]


async def test_a_consumer_that_is_not_there_or_not_clear_is_refused(
    place: Place,
) -> None:
    """It says what there is, or of whom it might be; nothing happens."""
    bus = place.bus()
    bus.agent("critic").subscribe("a", Takes(), durable="reviews")
    bus.agent("spy").subscribe("a", Takes(), durable="reviews")
    async with bus:
        await bus.settle()
        for asked, told in (
            ({"name": "revews"}, "no consumer 'revews'; did you mean 'reviews'"),
            ({"name": "reviews"}, "a consumer of acme, globex; say of which"),
            ({"name": "reviews", "tenant": "umbrella"}, "'reviews' of umbrella"),
        ):
            with pytest.raises(ControlUsageError, match=told) as raised:
                await rewound(bus, place, **asked)
            assert raised.value.reason_code == "unknown_consumer"
        assert recorded(bus) == []
        assert bus.consumer("reviews").rewound == 0
        assert (await rewound(bus, place, "reviews", tenant="globex")).deliveries == 0
        assert bus.consumer("reviews").rewound == 0
        assert bus.consumer("reviews", "globex").rewound == 1


async def test_while_the_store_cannot_be_written_nothing_is_rewound(
    place: Place,
) -> None:
    """It is for later."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.settle()
        bus.line.refusing = StoreUnavailableError("the disk is full")
        with pytest.raises(ControlLaterError, match="disk is full"):
            await rewound(bus, place, "critic/a")
        bus.line.refusing = None
        assert bus.consumer("critic/a").rewound == 0
        assert recorded(bus) == []


async def test_a_bus_that_keeps_nothing_or_does_not_run_has_none(place: Place) -> None:
    """And says what to do."""
    with pytest.raises(ControlUsageError) as raised:
        await rewound(place.bus(), place, "critic/a")
    assert raised.value.reason_code == BusNotStartedError.code
    async with PartsBus() as plain:
        with pytest.raises(ControlUsageError, match=r"set store\.kind") as raised:
            await rewound(plain, place, "critic/a")
    assert raised.value.reason_code == UsageError.code
