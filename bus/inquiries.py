"""An agent's requests: each waits for one reply, in bounded number and time."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from typing import Final

from bus.core.errors import (
    LimitExceededError,
    MalformedMessageError,
    OverloadedError,
    ProtocolError,
    RequestTimeoutError,
)
from bus.core.limits import REQUEST_TIMEOUT_S_MAX, REQUESTS_WAITING_MAX, RETRY_AFTER_S
from bus.core.message import QUERY, Message
from bus.core.outcome import Accepted, Held
from bus.draft import NORMAL, Author, Options, descend_from, draft
from bus.host import Host
from bus.letters import Waiting
from bus.routes import Origin

_CORRELATION_BYTES: Final = 16
_DRAWN: Final = 64


class MalformedRequestError(Exception):
    """A request that could not even be made; `cause` says why."""

    def __init__(self, cause: ProtocolError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Inquiries:
    """One inbox for all requests of an agent; the correlation tells replies apart."""

    def __init__(self, host: Host, author: Author, origin: Origin) -> None:
        self._host = host
        self._author = author
        self._origin = origin
        self._waiting: dict[str, Waiting] = {}
        self._correlations = _correlations()

    async def ask(
        self, subject: str, body: object, timeout_s: float, options: Options
    ) -> Message:
        """Publish a query and return the first reply.

        Raises:
            MalformedRequestError: something the requester set breaks a rule.
            RequestTimeoutError: no reply within `timeout_s`.
            BusError: the request did not get through, or its handler gave it up.
        """
        parts = self._host.parts
        try:
            message = self._draft(subject, body, timeout_s, options)
        except ProtocolError as error:
            raise MalformedRequestError(error) from error
        correlation = message.correlation or ""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[correlation] = Waiting(future)
        timer = parts.clock.call_after(timeout_s, _give_up(future, subject, timeout_s))
        try:
            outcome = await self._host.pipeline.ingest(
                message, self._origin, "request", timeout_s
            )
            if isinstance(outcome, Accepted):
                waiting.left = outcome.deliveries
            elif not isinstance(outcome, Held):  # held: it may yet be released
                outcome.unwrap()
            reply = await future
            descend_from(reply)
            return reply
        finally:
            timer.cancel()
            del self._waiting[correlation]
            if future.done() and not future.cancelled():
                future.exception()  # seen, also where another error came first

    def _draft(
        self, subject: str, body: object, timeout_s: object, options: Options
    ) -> Message:
        if not isinstance(timeout_s, int | float) or not timeout_s > 0:
            raise MalformedMessageError(f"timeout {timeout_s!r}: seconds above 0")
        if timeout_s > REQUEST_TIMEOUT_S_MAX:
            raise LimitExceededError(
                "timeout seconds", actual=timeout_s, allowed=REQUEST_TIMEOUT_S_MAX
            )
        if len(self._waiting) >= REQUESTS_WAITING_MAX:
            raise OverloadedError("the inbox", retry_after_s=RETRY_AFTER_S)
        correlation = options.correlation or next(self._correlations)
        if correlation in self._waiting:
            raise MalformedMessageError(f"correlation {correlation!r} waits already")
        if not self._author.inbox:
            self._author.inbox = self._host.roster.open_inbox(
                self._author.id, self._author.tenant, self._waiting
            )
        if options.dedup is not None or options.delay is not None:
            raise MalformedMessageError(
                "a request waits for its reply: it takes neither dedup nor delay"
            )
        asked = Options(
            options.headers,
            options.ttl,
            self._author.inbox,
            correlation,
            options.causation,
            options.content_type,
            options.ordering_key,
        )
        return draft(self._author, subject, body, QUERY, NORMAL, asked)


def _correlations() -> Iterator[str]:
    """Yield what is not to be guessed: who knows one could answer in another's place.

    Each is 16 bytes of the system's randomness, asked for 64 at a time: asking for each
    took 0.9 us of a round trip.
    """
    while True:
        drawn = secrets.token_hex(_DRAWN * _CORRELATION_BYTES)
        for at in range(0, len(drawn), 2 * _CORRELATION_BYTES):
            yield drawn[at : at + 2 * _CORRELATION_BYTES]


def _give_up(
    future: "asyncio.Future[Message]", subject: str, timeout_s: float
) -> Callable[[], None]:
    def give_up() -> None:
        if not future.done():
            future.set_exception(
                RequestTimeoutError(f"no reply on {subject!r} within {timeout_s:g} s")
            )

    return give_up
