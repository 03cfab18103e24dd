"""An agent's face of a bus that is elsewhere: as `bus.agent.Agent`, over a connection.

Rule: what the embedded bus ends as an outcome is one here, and what it raises is raised
here. What only the connection can do to a call, losing it, ends it as `Failed`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar, Unpack, cast, overload

import msgspec

from bus.core import clientframes as out, serverframes as told
from bus.core.codec import decoder
from bus.core.decision import Principal
from bus.core.errors import (
    BusNotStartedError,
    MalformedMessageError,
    UnavailableError,
    UsageError,
)
from bus.core.limits import (
    ACK_WAIT_S,
    DELIVERIES_MAX,
    DRAIN_S_MAX,
    PUBLISHES_PER_TURN,
    REQUEST_TIMEOUT_S,
)
from bus.core.message import EVENT
from bus.core.outcome import Failed, Outcome, Rejected
from bus.core.validation import check_seconds
from bus.draft import Extras
from bus.remote.handling import handling
from bus.remote.publishing import NOT_SENT, Coming, Publishing
from bus.remote.reading import answer_of, ending
from bus.remote.subscription import RemoteSubscription
from bus.remote.takers import Takers
from bus.remote.writing import body_of, checked, checked_subject
from bus.spec import SubscribeOptions, make_spec

F = TypeVar("F", bound=Callable[..., Awaitable[object]])
T = TypeVar("T")

_NORMAL: Final = 1


class Kept(msgspec.Struct, frozen=True):
    """What `bus.spec` asks of a bus's parts: its defaults, and whether it has a store."""

    kept: object | None
    max_deliver: int = DELIVERIES_MAX
    ack_wait_s: float = ACK_WAIT_S


class RemoteAgent:
    """The agent that a credential is for. Get it from `RemoteBus.agent`."""

    def __init__(self, takers: Takers, principal: Principal, name: str | None) -> None:
        self._takers = takers
        self._link = takers.link
        self._principal = principal
        self._publishing = Publishing(takers.link, name)

    @property
    def name(self) -> str:
        """The agent's id, as policy knows it."""
        return self._principal.id

    @property
    def tenant(self) -> str:
        """The tenant the agent belongs to."""
        return self._principal.tenant

    @property
    def roles(self) -> tuple[str, ...]:
        """The agent's roles when it connected."""
        return self._principal.roles

    def __repr__(self) -> str:
        return f"RemoteAgent({self.name!r}, tenant={self.tenant!r})"

    async def publish(  # noqa: PLR0913, PLR0917 - as `Agent.publish`
        self,
        subject: str,
        body: object,
        type: str = EVENT,  # noqa: A002 - the field's name in the reference
        priority: int = _NORMAL,
        headers: dict[str, str] | None = None,
        ttl: float | None = None,
        reply_to: str | None = None,
        correlation: str | None = None,
        causation: str | None = None,
        content_type: str | None = None,
        wait: float | None = None,
        ordering_key: str | None = None,
        dedup: str | None = None,
        delay: float | datetime | None = None,
    ) -> Outcome:
        """Publish, and return what became of the message; see `Agent.publish`.

        Where the connection is lost before the node has answered: a node with a store is
        asked again under the same `dedup` name, one of ours if none is given, so that it
        keeps one. Else it ends as `Failed(unavailable)`, whose text says that nobody knows.
        Cancelling it may come too late. Raises `BusNotStartedError` if not connected.
        """
        extras: dict[str, Any] = {}
        if not (
            headers is None
            and ttl is wait is delay is None
            and reply_to is correlation is causation is content_type is None
            and ordering_key is dedup is None
        ):
            given = {
                "headers": headers,
                "ttl": ttl,
                "reply_to": reply_to,
                "correlation": correlation,
                "causation": causation,
                "content_type": content_type,
                "wait": wait,
                "ordering_key": ordering_key,
                "dedup": dedup,
                "delay": delay,
            }
            extras = {key: one for key, one in given.items() if one is not None}
        coming = await self._publishing.send(subject, body, (type, priority), extras)
        return await self._publishing.ended(coming)

    async def publish_many(
        self,
        items: Iterable[tuple[str, object]],
        type: str = EVENT,  # noqa: A002 - as above
        priority: int = _NORMAL,
        **extras: Unpack[Extras],
    ) -> list[Outcome]:
        """Publish (subject, body) pairs in order; return their outcomes in order.

        Raises:
            BusNotStartedError: not connected.
            UsageError: a `dedup` name, which is one message's.
        """
        if "dedup" in extras:
            raise UsageError("dedup names one message; publish those one at a time")
        self._link_or_raise()
        publishing, kind = self._publishing, (type, priority)
        coming: list[Coming] = []
        for number, item in enumerate(items, 1):
            if not number % PUBLISHES_PER_TURN:
                await asyncio.sleep(0)
            try:
                subject, body = item
            except (TypeError, ValueError) as error:
                odd = MalformedMessageError(f"no (subject, body) pair: {error}")
                coming.append(Rejected(NOT_SENT, odd))
                continue
            try:
                sent = await publishing.send(subject, body, kind, dict(extras))
            except BusNotStartedError as error:
                sent = Failed(NOT_SENT, UnavailableError(str(error)))
            coming.append(sent)
        return [await publishing.ended(one) for one in coming]

    @overload
    async def request(
        self,
        subject: str,
        body: object,
        *,
        timeout: float = ...,  # noqa: ASYNC109 - as below
        returns: type[T],
        **extras: Unpack[Extras],
    ) -> T: ...

    @overload
    async def request(
        self,
        subject: str,
        body: object,
        *,
        timeout: float = ...,  # noqa: ASYNC109 - as below
        returns: Any = ...,
        **extras: Unpack[Extras],
    ) -> Any: ...

    async def request(
        self,
        subject: str,
        body: object,
        *,
        timeout: float = REQUEST_TIMEOUT_S,  # noqa: ASYNC109 - a bound of the protocol
        returns: Any = Any,
        **extras: Unpack[Extras],
    ) -> Any:
        """Publish a query and return the body of the first reply, decoded to `returns`.

        Raises what `Agent.request` raises; `UnavailableError` where the connection is lost
        meanwhile: whether it was carried out is not known then.
        """
        self._link_or_raise()
        odd = {"reply_to", "dedup", "delay"} & extras.keys()
        if odd:
            raise MalformedMessageError(f"a request takes no {', '.join(sorted(odd))}")
        decode = decoder(returns)
        raw, kind, encoding = body_of(body, extras.get("content_type"))
        number = self._link.next()
        rest = {**extras, "content_type": kind}
        delivery = handling.get()
        frame = out.Request(
            number,
            checked_subject(subject),
            raw,
            timeout,
            encoding=encoding,
            did=None if delivery is None else delivery.did or None,
            **cast("dict[str, Any]", rest),
        )
        item = checked(frame, plain=False)
        await self._link.room()
        answer = await self._link.ask(number, item, bound=frame.did is not None)
        if type(answer) is told.Answer:
            return decode(answer_of(answer))
        return ending(answer).unwrap()

    def subscriber(
        self, pattern: str, **options: Unpack[SubscribeOptions]
    ) -> Callable[[F], F]:
        """Decorate an async function to handle what matches `pattern`.

        Raises what `subscribe` raises.
        """

        def decorate(function: F) -> F:
            self.subscribe(pattern, function, **options)
            return function

        return decorate

    def subscribe(
        self,
        pattern: str,
        handler: Callable[..., Awaitable[object]],
        **options: Unpack[SubscribeOptions],
    ) -> RemoteSubscription:
        """Let an async function handle what matches `pattern`; see `SubscribeOptions`.

        The node is asked meanwhile: `ready` of what is returned waits for its answer and
        raises what it refuses with. What is refused here at once is a bad argument.

        Raises:
            HandlerError: the function's signature cannot be served.
            UsageError: `once`, which only the process with the store can keep.
            SubjectError, LimitExceededError, MalformedMessageError: a bad argument.
        """
        self._link_or_raise()
        if options.get("once"):
            raise UsageError("once is for handlers in the process that has the store")
        connected = self._link.connected
        store = object() if connected is None or connected.durable else None
        spec = make_spec(
            self._principal, pattern, handler, options, cast("Any", Kept(store))
        )
        return self._takers.add(spec, dict(options))

    async def unsubscribe(
        self,
        subscription: RemoteSubscription,
        *,
        drain: float = 5.0,
        forget: bool = False,
    ) -> int:
        """End a subscription once its queue is empty, or after `drain` seconds.

        Returns how many of its messages became dead letters; see `Agent.unsubscribe`.

        Raises:
            UnavailableError: the node is away for longer than calls wait for it.
        """
        drain_s = check_seconds("drain", drain, DRAIN_S_MAX)
        self._link.require_open()
        return await self._takers.remove(subscription, drain_s, forget=forget)

    def _link_or_raise(self) -> None:
        try:
            self._link.require_open()
        except UnavailableError:
            return  # each call ends by that itself
