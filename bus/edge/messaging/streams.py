"""Streams, read by clients: a page at a time, or as it comes.

Rule: a page begins after a sequence and says up to which it has looked, so that nothing
is skipped or told twice. Who waits costs the bus nothing: one task looks, for all who
wait, whether a stream has grown.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from bus.core.edgelimits import (
    CURSOR_CHARS_MAX,
    PAGE_ITEMS,
    PAGE_ITEMS_MAX,
    STREAM_LOOK_S,
    STREAM_WATCHERS_MAX,
    STREAM_WATCHERS_OF_TENANT_MAX,
)
from bus.core.entries import SEQUENCE_MAX, Entry
from bus.core.errors import BusNotStartedError, MalformedMessageError, OverloadedError
from bus.edge.caller import Caller
from bus.edge.messaging import asked, told
from bus.edge.messaging.kept import Kept
from bus.edge.messaging.words import Pattern, WaitS
from bus.edge.operations import Asks, Page
from bus.pauses import pause
from bus.streams import Stream

_RETRY_S: Final = 1.0
_DIGITS_MAX: Final = 15

Name = Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9_-]+$")]
Start = Callable[[Coroutine[Any, Any, None], str], None]


class Read(Asks, frozen=True, kw_only=True):
    """A page of the messages that the tenant's stream keeps under a pattern.

    What follows the sequence `after`, or what is `new`; where there is nothing yet, it is
    waited for up to `wait` seconds.
    """

    name: Name
    after: Annotated[
        str,
        Meta(
            max_length=CURSOR_CHARS_MAX,
            extra_json_schema={"pattern": "^([0-9]{1,12}|new)$"},
        ),
    ] = "0"
    limit: Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS
    wait: WaitS = 0.0
    pattern: Pattern = ">"


class StreamMessage(asked.Message, frozen=True, kw_only=True):
    """A message of a stream."""

    sequence: int


class StreamPage(Page, frozen=True, kw_only=True):
    """Messages in their order. `last` is the stream's last sequence as it was read.

    `next` is there even where nothing follows yet: it is where to go on.
    """

    items: tuple[StreamMessage, ...]
    last: int
    gone: int | UnsetType = UNSET


class Watch:
    """Tells those who wait that a stream has grown."""

    def __init__(self, kept: Kept, start: Start) -> None:
        self._kept = kept
        self._start = start
        self._waiting: dict[asyncio.Future[None], tuple[str, str, int]] = {}
        self._theirs: dict[str, int] = {}
        self._looking = False
        self.closed = False

    async def grown(self, tenant: str, name: str, after: int, wait_s: float) -> None:
        """Wait until a stream has more than `after`, for at most `wait_s` seconds.

        Raises:
            OverloadedError: too many wait.
            BusNotStartedError: the node stops.
        """
        if self.closed:
            raise BusNotStartedError("the node stops; read on elsewhere or later")
        theirs = self._theirs.get(tenant, 0)
        if (
            len(self._waiting) >= STREAM_WATCHERS_MAX
            or theirs >= STREAM_WATCHERS_OF_TENANT_MAX
        ):
            raise OverloadedError("the room for who waits", retry_after_s=_RETRY_S)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = (tenant, name, after)
        self._theirs[tenant] = theirs + 1
        if not self._looking:
            self._looking = True
            self._start(self._look(), "assent stream watch")
        timer = self._kept.host.parts.clock.call_after(wait_s, lambda: _done(future))
        try:
            await future
        finally:
            timer.cancel()
            del self._waiting[future]
            self._theirs[tenant] -= 1
            if not self._theirs[tenant]:
                del self._theirs[tenant]

    def close(self) -> None:
        """Let everybody go who waits; the node stops."""
        self.closed = True
        for future in self._waiting:
            _done(future)

    async def _look(self) -> None:
        """Look at streams until nobody waits any more."""
        clock = self._kept.host.parts.clock
        try:
            while self._waiting and not self.closed:
                if not self._kept.host.open:
                    self.close()  # the bus takes no more: nothing will come
                    return
                lasts: dict[tuple[str, str], int] = {}
                for stream in self._kept.ledger.streams.by_id.values():
                    lasts[stream.tenant, stream.name] = stream.last
                for future, (tenant, name, after) in list(self._waiting.items()):
                    if lasts.get((tenant, name), 0) > after:
                        _done(future)
                await pause(clock, STREAM_LOOK_S)
        finally:
            self._looking = False


class Streams:
    """Reads streams for callers."""

    def __init__(self, kept: Kept, start: Start) -> None:
        self._kept = kept
        self._watch = Watch(kept, start)

    def close(self) -> None:
        """Let everybody go who waits."""
        self._watch.close()

    async def read(self, caller: Caller, given: Read) -> StreamPage:
        """Return a page, at once or when there is something to tell."""
        return (await self.look(caller, given)).page()

    async def look(self, caller: Caller, given: Read) -> "Look":
        """Return what a page is made of, at once or when there is something in it."""
        tokens = await self.admit(caller, given.name, given.pattern)
        after = self.place(caller, given.name, given.after)
        clock = self._kept.host.parts.clock
        until_ns = clock.now_ns() + int(given.wait * 1e9)
        while True:
            found = await self.after(caller, given.name, tokens, (after, given.limit))
            left_s = (until_ns - clock.now_ns()) / 1e9
            if found.entries or left_s <= 0 or self._watch.closed:
                return found
            await self.grown(caller, given.name, (after, found), left_s)
            after = found.looked

    async def admit(self, caller: Caller, name: str, pattern: str) -> tuple[str, ...]:
        """Return the tokens of a pattern that a caller may read of a stream.

        Raises as `Kept.stream` and `Kept.admit`.
        """
        tokens = await self._kept.admit(caller, pattern)
        self._kept.stream(caller, name)
        return tokens

    def place(self, caller: Caller, name: str, cursor: str) -> int:
        """Return the sequence that a cursor is; raises `MalformedMessageError`."""
        return self.last(caller, name) if cursor == "new" else sequence_of(cursor)

    def last(self, caller: Caller, name: str) -> int:
        """Return the last sequence of a stream; 0 where nothing is in it."""
        stream = self._kept.stream(caller, name)
        return 0 if stream is None else stream.last

    async def after(
        self, caller: Caller, name: str, tokens: tuple[str, ...], at: tuple[int, int]
    ) -> "Look":
        """Return what follows a sequence, as many as a limit says: `at` has both."""
        after, limit = at
        stream = self._kept.stream(caller, name)
        if stream is None:
            return Look(entries=[], looked=after, last=0)
        entries, looked = await self._kept.page(stream, tokens, after, limit)
        gone = _gone(stream, after)
        return Look(entries=entries, looked=looked, last=stream.last, gone=gone)

    async def grown(
        self, caller: Caller, name: str, at: "tuple[int, Look]", wait_s: float
    ) -> None:
        """Wait for more than a look has seen; raises as `Watch.grown`."""
        after, found = at
        if found.last > found.looked == after:  # on its way to the store, or lost
            await pause(self._kept.host.parts.clock, STREAM_LOOK_S)
        await self._watch.grown(caller.tenant, name, found.looked, wait_s)


class Look(Struct, frozen=True, kw_only=True):
    """Entries of a stream, and the sequence up to which was looked."""

    entries: list[Entry]
    looked: int
    last: int
    gone: int = 0

    def page(self) -> StreamPage:
        """Return it as it is answered."""
        return StreamPage(
            items=tuple(item_of(entry) for entry in self.entries),
            last=self.last,
            next=str(self.looked),
            gone=self.gone or UNSET,
        )


def sequence_of(text: str) -> int:
    """Return the sequence that a cursor is.

    Raises:
        MalformedMessageError: it is none.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS_MAX:
        raise MalformedMessageError("a cursor of a stream is a sequence")
    return min(int(text), SEQUENCE_MAX)


def item_of(entry: Entry) -> StreamMessage:
    """Return an entry as it is told."""
    return StreamMessage(**told.fields_of(entry.message), sequence=entry.sequence)


def _gone(stream: Stream, after: int) -> int:
    """Return how many messages after a sequence are not kept any more."""
    return max(stream.first - 1 - after, 0) if after else 0


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
