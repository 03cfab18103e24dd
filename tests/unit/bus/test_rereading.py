"""What a replay yields: what falls under the pattern, is not over, and is what was kept."""

from typing import Any

import pytest

from bus.adapters.stores.memory import MemoryStore
from bus.core.changes import Append, PutStream, StreamRow
from bus.core.entries import Sealer, key_of
from bus.core.errors import HashMismatchError, StoreBrokenError
from bus.core.message import Message
from bus.core.stamp import KeyRing
from bus.rereading import Rereading
from bus.streams import CATCH_ALL, Stream
from policy.compliance import ComplianceValidator
from tests.fakes.messages import full
from tests.fakes.recording import NOW_NS, SteppedClock
from tests.fakes.storekit import ALLOW, keep

HASH = "0123456789abcdef"
RING = KeyRing({1: bytes(range(32))}, active=1)
SEALER = Sealer(RING)


def message(subject: str = "a.b", **changes: Any) -> Message:
    """Return a stamped message of this constitution that never ends."""
    fields = {"constitution": HASH, "expires_ns": None, **changes}
    made = full(subject=subject, **fields)
    RING.seal(made)
    return made


async def replayed(*messages: Message, pattern: str = ">") -> list[str]:
    """Keep messages, and return the subjects of what a replay yields."""
    clock = SteppedClock()
    store = MemoryStore(clock)
    await store.open()
    appends = [
        Append(key, NOW_NS, SEALER.close(key, one, ALLOW, ()))
        for key, one in ((key_of(1, n), one) for n, one in enumerate(messages, 1))
    ]
    await keep(store, PutStream(1, "acme", "default"), *appends)
    validator = ComplianceValidator(HASH, RING)
    rereading = Rereading(store, SEALER, validator, clock)
    row = StreamRow(1, "acme", "default", len(messages), 1, 1, len(messages))
    streams = [Stream(CATCH_ALL, row, saved=True)]
    pages = rereading.entries(streams, tuple(pattern.split(".")), "all")
    return [entry.message.subject async for page in pages for entry in page]


async def test_what_falls_under_the_pattern_is_yielded_in_order() -> None:
    """Each subject is looked at once in a page; the bus's own fall under no wildcard."""
    kept = [message(subject) for subject in ("a.b", "c", "$SYS.x", "a.d", "a.b")]
    assert await replayed(*kept) == ["a.b", "c", "a.d", "a.b"]
    assert await replayed(*kept, pattern="a.*") == ["a.b", "a.d", "a.b"]
    assert await replayed() == []


async def test_what_has_expired_is_left_out() -> None:
    """The bound is over; what has time left is checked in full."""
    over, later = message("over", expires_ns=NOW_NS), message(expires_ns=NOW_NS + 1)
    assert await replayed(over, later, message("c")) == ["a.b", "c"]


async def test_a_message_of_another_constitution_is_not_yielded() -> None:
    """It is said that it is, even though its seal holds."""
    with pytest.raises(HashMismatchError):
        await replayed(message(), message(constitution="f" * 16))


async def test_an_entry_whose_seal_does_not_hold_is_not_yielded() -> None:
    """The seal covers the message with its stamp."""
    other = KeyRing({1: bytes(range(1, 33))}, active=1)
    forged = Append(key_of(1, 1), NOW_NS, Sealer(other).close(1, message(), ALLOW, ()))
    clock = SteppedClock()
    store = MemoryStore(clock)
    await store.open()
    await keep(store, PutStream(1, "acme", "default"), forged)
    rereading = Rereading(store, SEALER, ComplianceValidator(HASH, RING), clock)
    streams = [
        Stream(CATCH_ALL, StreamRow(1, "acme", "default", 1, 1, 1, 1), saved=True)
    ]
    with pytest.raises(StoreBrokenError, match="was changed"):
        await anext(rereading.entries(streams, (">",), "all"))
