"""An agent's face of the bus: it publishes, requests and subscribes as itself only."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, Unpack, overload

from bus.awaiting import Coming, all_ended, breathe
from bus.core.codec import decoder
from bus.core.decision import Principal
from bus.core.errors import (
    BusNotStartedError,
    MalformedMessageError,
    ProtocolError,
    UnavailableError,
    UsageError,
)
from bus.core.limits import (
    DRAIN_S_MAX,
    PUBLISH_WAIT_S_MAX,
    PUBLISHES_PER_TURN,
    REQUEST_TIMEOUT_S,
)
from bus.core.message import EVENT, Message
from bus.core.outcome import Failed, Outcome
from bus.core.validation import check_seconds
from bus.draft import NO_OPTIONS, NORMAL, Extras, Options, draft, stub
from bus.host import Host
from bus.inquiries import Inquiries, MalformedRequestError
from bus.member import Member
from bus.ports import Strategy
from bus.routes import Origin
from bus.spec import SubscribeOptions, make_spec
from bus.subscription import Subscription, handled

F = TypeVar("F", bound=Callable[..., Awaitable[object]])
T = TypeVar("T")


class Agent(Member):
    """One agent of the host program. Get it from `Bus.agent`."""

    def __init__(
        self, host: Host, principal: Principal, broadcast: Strategy, *, admitted: bool
    ) -> None:
        super().__init__(host, principal, admitted=admitted)
        self._broadcast = Origin(self._origin.routes, self._origin.usage, broadcast)
        self._ingest = host.pipeline.ingest
        self._wait_s = host.parts.publish_wait_s
        self.inquiries = Inquiries(host, self._author, self._origin)

    def publish(  # noqa: PLR0913, PLR0917 - calls with keyword-only ones are not specialised
        self,
        subject: str,
        body: object,
        type: str = EVENT,  # noqa: A002 - the field's name in the reference
        priority: int = NORMAL,
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
    ) -> Coroutine[Any, Any, Outcome]:
        """Publish; await the result to learn what became of the message.

        `body` is bytes, or anything MessagePack carries; the rest is in `Extras`. A full
        queue is waited for up to `wait` seconds (the bus's own by default), then it is
        `Failed(overloaded)`. Cancelling it leaves nothing behind; with a store it may come
        too late. Raises `BusNotStartedError` if the bus is not running; all else is an
        `Outcome`.
        """
        if not self._door.open:
            if self._door is not self._host:
                plain = (subject, body, type, priority, headers, ttl)
                more = (reply_to, correlation, causation, content_type, wait)
                kept = (ordering_key, dedup, delay)
                return self._connect_first(
                    partial(self.publish, *plain, *more, *kept), subject
                )
            self._host.require_open()
        options, wait_s = None, self._wait_s
        try:
            if not (
                headers is None
                and ttl is wait is delay is None
                and reply_to is correlation is causation is content_type is None
                and ordering_key is dedup is None
            ):
                given = (headers, ttl, reply_to, correlation, causation, content_type)
                options = Options(*given, ordering_key, dedup, delay)
                if wait is not None:
                    wait_s = check_seconds("wait", wait, PUBLISH_WAIT_S_MAX)
            message = draft(self._author, subject, body, type, priority, options)
        except ProtocolError as error:
            return self._reject(subject, error)
        return self._ingest(message, self._origin, "publish", wait_s)

    async def publish_many(
        self,
        items: Iterable[tuple[str, object]],
        type: str = EVENT,  # noqa: A002 - as above
        priority: int = NORMAL,
        **extras: Unpack[Extras],
    ) -> list[Outcome]:
        """Publish (subject, body) pairs in order; return their outcomes in order.

        Raises:
            BusNotStartedError: the bus is not running. What it closes on in between
                ends as `Failed`, so that no outcome is lost.
            UsageError: a `dedup` name, which is one message's.
        """
        self._host.require_open()
        await self.connected()
        author, ingest, origin = self._author, self._ingest, self._origin
        host, wait_s = self._host, self._wait_s
        origin = Origin(origin.routes, origin.usage)
        origin.early = True  # all are on their way to a store before one is waited for
        options = _for_many(extras)
        outcomes: list[Coming] = []
        for number, item in enumerate(items, 1):
            if not number % PUBLISHES_PER_TURN:
                await breathe(outcomes)
            try:
                subject, body = item
                if not host.open:
                    host.require_open()
                message = draft(author, subject, body, type, priority, options)
            except ProtocolError as error:
                outcomes.append(await self._reject(item[0], error))
            except BusNotStartedError as error:
                closed = UnavailableError(str(error))
                outcomes.append(Failed(stub(author, item[0]).id, closed))
            except (TypeError, ValueError) as error:
                odd = MalformedMessageError(f"no (subject, body) pair: {error}")
                outcomes.append(await self._reject("", odd))
            else:
                outcomes.append(await ingest(message, origin, "publish", wait_s))
        return await all_ended(outcomes)

    async def forward(self, message: Message, wait: float | None = None) -> Outcome:
        """Publish a message of this agent's that carries a stamp, under its own id.

        Hash, stamp and expiry are checked first: a wrong one, or a message of somebody
        else's, ends as `Rejected`. Policy is asked again.
        """
        self._host.require_open()
        await self.connected()
        if not isinstance(message, Message):
            raise UsageError(f"forward takes a Message, not {type(message).__name__}")
        if handled.get() is not None:
            raise UsageError(
                "forward brings back a message from outside; a handler publishes, so "
                "that what it sends descends from what it handles"
            )
        presenter = stub(self._author, message.subject)
        wait_s = self._wait_s
        if wait is not None:
            wait_s = check_seconds("wait", wait, PUBLISH_WAIT_S_MAX)
        return await self._host.pipeline.readmit(
            message, presenter, self._origin, wait_s
        )

    async def broadcast(
        self,
        subject: str,
        body: object,
        type: str = EVENT,  # noqa: A002 - as above
        priority: int = NORMAL,
        **extras: Unpack[Extras],
    ) -> Outcome:
        """Publish to every subscription of the tenant but this agent's own."""
        self._host.require_open()
        await self.connected()
        options = Options(**extras) if extras else None
        try:
            message = draft(self._author, subject, body, type, priority, options)
        except ProtocolError as error:
            return await self._reject(subject, error)
        return await self._ingest(message, self._broadcast, "publish", self._wait_s)

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

        Raises:
            DeniedError, DroppedError, ProtocolError, UnavailableError: the request did
                not get through; `NoRespondersError` if nobody subscribes.
            RequestTimeoutError: no reply within `timeout` seconds.
            RemoteFaultError: the handler gave the request up.
            BodyTypeError: the reply does not decode to `returns`.
            BusNotStartedError: the bus is not running.
        """
        self._host.require_open()
        await self.connected()
        options = Options(**extras) if extras else NO_OPTIONS
        try:
            answer = await self.inquiries.ask(subject, body, timeout, options)
        except MalformedRequestError as malformed:
            await self._reject(subject, malformed.cause)
            raise malformed.cause from None
        return decoder(returns)(answer)

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
    ) -> Subscription:
        """Let an async function handle what matches `pattern`; see `SubscribeOptions`.

        Raises:
            DeniedError: policy does not let the agent subscribe to the pattern.
            HandlerError: the function's signature cannot be served.
            SubjectError, LimitExceededError, MalformedMessageError: a bad argument.
        """
        self.connected_now()
        return self._host.subscribe(
            make_spec(self._principal, pattern, handler, options, self._host.parts)
        )

    async def unsubscribe(
        self, subscription: Subscription, *, drain: float = 5.0, forget: bool = False
    ) -> int:
        """End a subscription once its queue is empty, or after `drain` seconds.

        Returns how many of its messages became dead letters. What a store keeps for it
        stays there for whoever subscribes again, unless the store is to `forget` it.
        """
        spec = subscription.spec
        if (spec.agent, spec.tenant) != (self.name, self.tenant):
            raise UsageError(f"{subscription.name} is not {self.name}'s to end")
        drain_s = check_seconds("drain", drain, DRAIN_S_MAX)
        consumer = subscription.consumer
        if forget:
            self._host.require_ledger().require_forgettable(consumer, self.name)
        left = await self._host.detach(subscription, drain_s)
        if forget:
            ledger = self._host.require_ledger()
            ledger.forget(consumer.row.tenant, consumer.row.name)
        return left

    async def _reject(self, subject: object, error: ProtocolError) -> Outcome:
        message = stub(self._author, subject)
        return await self._host.pipeline.reject(message, self._origin, error)


def _for_many(extras: Extras) -> Options | None:
    """Return what all messages of one call have; raises `UsageError` for what one has."""
    if "dedup" in extras:
        raise UsageError("dedup names one message; publish those one at a time")
    return Options(**extras) if extras else None
