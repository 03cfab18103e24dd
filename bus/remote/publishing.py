"""Publishes over a link: made into frames, sent in order, ended as outcomes.

Rule: no task for each. A call waits in the link's buffer, which is bounded, and its
caller waits for room in it or for its answer.
"""

import asyncio
from typing import Any, Final

from bus.core import clientframes as out
from bus.core.errors import ProtocolError, UnavailableError
from bus.core.limits import HEADERS_MAX, PUBLISH_WAIT_S_MAX
from bus.core.message import EVENT
from bus.core.outcome import Failed, Outcome, Rejected
from bus.core.validation import check_seconds
from bus.remote.handling import handling
from bus.remote.link import Link, Phase
from bus.remote.reading import ending
from bus.remote.writing import body_of, checked, checked_subject, due

Coming = Outcome | tuple[int, "asyncio.Future[Any]"]
"""An outcome, or the number of a call and what it will be answered with."""
NOT_SENT: Final = b""  # the id of what the node never had
_NORMAL: Final = 1
_HEADERS_OF_OURS: Final = 3  # for an ordering key, a dedup name and a delay


class Publishing:
    """What an agent publishes. By `name` a node knows again what is sent twice.

    Without one nothing is sent twice but what has a dedup name of its own.
    """

    def __init__(self, link: Link, name: str | None) -> None:
        self._link = link
        self._name = name

    async def send(
        self,
        subject: object,
        body: object,
        kind: tuple[str, int],
        extras: dict[str, Any],
    ) -> Coming:
        """Have a message sent once there is room; `ended` returns what became of it.

        Raises:
            BusNotStartedError: not connected.
        """
        link = self._link
        try:
            if link.calls.full or link.phase is not Phase.OPEN:
                await link.room()
            number = link.next()
            item, again, bound = self._item(number, subject, body, kind, extras)
        except ProtocolError as error:
            return Rejected(NOT_SENT, error)
        except UnavailableError as error:
            return Failed(NOT_SENT, error)
        return number, link.call(number, item, again=again, bound=bound)

    async def ended(self, coming: Coming) -> Outcome:
        """Return an outcome, once there is one; cancelled it is not waited for any more."""
        if not isinstance(coming, tuple):
            return coming
        number, future = coming
        try:
            return ending(await future)
        except ProtocolError as error:
            return Rejected(NOT_SENT, error)
        except UnavailableError as error:
            return Failed(NOT_SENT, error)
        except asyncio.CancelledError:
            self._link.calls.forget(number)
            raise

    def _item(
        self,
        number: int,
        subject: object,
        body: object,
        kind: tuple[str, int],
        extras: dict[str, Any],
    ) -> tuple[bytes, bool, bool]:
        """Return a message's frame, and whether it may be sent again or is of this line."""
        raw, content_type, encoding = body_of(body, extras.pop("content_type", None))
        type_, priority = kind
        plain = type_ is EVENT and priority is _NORMAL and not extras
        if not plain:
            if "wait" in extras:
                check_seconds("wait", extras["wait"], PUBLISH_WAIT_S_MAX)
            if "delay" in extras:
                extras["delay"] = due(extras["delay"])
        delivery = handling.get()
        did = None if delivery is None else delivery.did or None
        dedup = extras.pop("dedup", None)
        if dedup is None and did is None and self._knows_again(extras):
            dedup = f"{self._name}.{number}"
        frame = out.Publish(
            number,
            checked_subject(subject),
            raw,
            type_,
            priority,
            content_type=content_type,
            encoding=encoding,
            dedup=dedup,
            did=did,
            **extras,
        )
        return checked(frame, plain=plain), dedup is not None, did is not None

    def _knows_again(self, extras: dict[str, Any]) -> bool:
        """Tell whether the node can know a message by a name, and it can carry one."""
        connected = self._link.connected
        if self._name is None or connected is None or not connected.durable:
            return False
        return len(extras.get("headers") or ()) + _HEADERS_OF_OURS <= HEADERS_MAX
