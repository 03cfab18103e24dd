"""What can be asked of a store: plain values. Those of one submission are one transaction.

A delivery is a row (consumer, number) for as long as it is not settled. Numbers order a
consumer's deliveries; replayed ones are negative, so they come first. `due_ns` is 0 for
at once. Times are nanoseconds since the epoch.
"""

import msgspec


class Append(msgspec.Struct, frozen=True, gc=False):
    """Keep an entry, with a delivery (consumer, number, due_ns) to each taker of its plan.

    A delivery whose `due_ns` is not 0 waits in the store until `Wake`. `dedup` is what
    the publisher calls the message, with its scope, and until when that is remembered.
    """

    key: int
    time_ns: int
    entry: bytes
    deliveries: tuple[tuple[int, int, int], ...] = ()
    dedup: tuple[str, int] | None = None


class Settle(msgspec.Struct, frozen=True, gc=False):
    """A delivery is over: its row goes. One that is not there is no fault."""

    consumer: int
    number: int


class Retry(msgspec.Struct, frozen=True, gc=False):
    """A delivery is tried again: `attempt` were begun, the next is due then."""

    consumer: int
    number: int
    attempt: int
    due_ns: int


class Wake(msgspec.Struct, frozen=True, gc=False):
    """A delivery that waited until `due_ns` is pending from now on, as `fresh`."""

    consumer: int
    number: int
    due_ns: int
    fresh: int


class Letter(msgspec.Struct, frozen=True, gc=False):
    """A dead letter: an entry that was given up for one consumer, and why."""

    id: int
    at_ns: int
    tenant: str
    consumer: str
    attempts: int
    reason: str
    key: int
    entry: bytes


class Bury(msgspec.Struct, frozen=True, gc=False):
    """A delivery is given up: its row goes, a letter is kept."""

    consumer: int
    number: int
    letter: Letter


class DropLetter(msgspec.Struct, frozen=True, gc=False):
    """A letter was replayed, or gave way to newer ones."""

    id: int


class ConsumerRow(msgspec.Struct, frozen=True, gc=False):
    """A durable consumer. `pending` counts its rows and is the store's to keep.

    `replay` is where it stands in reading streams from before it was made, as its
    owner encodes it; empty when it has caught up.
    """

    id: int
    tenant: str
    name: str
    agent: str
    pattern: str
    queue: str
    replay: bytes = b""
    pending: int = 0


class PutConsumer(msgspec.Struct, frozen=True, gc=False):
    """Make a consumer, or note where it stands (`pending` is left as it is)."""

    row: ConsumerRow


class Forget(msgspec.Struct, frozen=True, gc=False):
    """A consumer goes, with all its deliveries."""

    consumer: int


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """A consumer that reads back gets a delivery of a message that is stored."""

    consumer: int
    number: int
    key: int


class StreamRow(msgspec.Struct, frozen=True, gc=False):
    """A tenant's stream, and what is in it. Sequences count from 1; `last` is the latest given."""

    id: int
    tenant: str
    name: str
    messages: int = 0
    bytes: int = 0
    first: int = 1
    last: int = 0


class PutStream(msgspec.Struct, frozen=True, gc=False):
    """Make a stream. What it holds is counted by the store from then on."""

    id: int
    tenant: str
    name: str


Change = (
    Append
    | Settle
    | Retry
    | Wake
    | Bury
    | DropLetter
    | PutConsumer
    | Forget
    | Deliver
    | PutStream
)


class DeliveryRow(msgspec.Struct, frozen=True, gc=False):
    """A pending delivery as it is read back, with the sealed entry it brings."""

    consumer: int
    number: int
    key: int
    attempt: int
    due_ns: int
    entry: bytes


class DueRow(msgspec.Struct, frozen=True, gc=False):
    """A delivery that waits for its time, with the sealed entry it brings."""

    due_ns: int
    consumer: int
    number: int
    key: int
    entry: bytes


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """What a stream is cut down to: what is older, or more, goes, the oldest first.

    With `settled_only` a message that is still to be delivered to anybody stays, and
    so does everything after it.
    """

    messages: int
    bytes: int
    before_ns: int
    settled_only: bool


class Trimmed(msgspec.Struct, frozen=True, gc=False):
    """What a stream holds after it was cut, and what went: `messages` of so many `bytes`.

    `evicted` are the deliveries (consumer, number) that went with them.
    """

    stream: StreamRow
    messages: int
    bytes: int
    evicted: tuple[tuple[int, int], ...] = ()


class Contents(msgspec.Struct, frozen=True, gc=False):
    """What a store holds when it is opened.

    `epoch` rises with every opening. `next_number` and `next_letter` were never used.
    `clean` tells that it was closed; else a process died with it open, and which
    deliveries were in a handler's hands is not known.
    """

    epoch: int
    clean: bool
    next_number: int
    next_letter: int
    streams: tuple[StreamRow, ...] = ()
    consumers: tuple[ConsumerRow, ...] = ()
    dedup: tuple[tuple[str, int, int], ...] = ()
    """(scope and id, key, until_ns), of those whose time is not over."""
    letters: int = 0
    next_due_ns: int = 0
