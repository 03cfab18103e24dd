"""The first words on a line: who connects, and whether the node lets it in."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

from bus.core import clientframes as out, serverframes as told
from bus.core.edgeerrors import ForbiddenError, UnauthenticatedError
from bus.core.edgelimits import CLIENT_CONNECT_S
from bus.core.errors import BusError, MalformedMessageError, OverloadedError
from bus.core.frames import BINARY, from_server
from bus.core.limits import RETRY_AFTER_S
from bus.remote.line import Line, Over, RefusedError, UnreachableError, dial
from bus.remote.reading import error_of
from bus.remote.writing import checked

_CLIENT: Final = "assent-python"
_REFUSALS: Final[Mapping[int, type[BusError]]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    4401: UnauthenticatedError,
    4403: ForbiddenError,
}
_BUSY: Final = frozenset({429, 4429})


async def greeted(
    url: str,
    context: ssl.SSLContext | None,
    token: str | None,
    session: str | None,
    who: tuple[str, str] | None,
) -> tuple[Line, told.Connected]:
    """Open a line and be let in. `who` is the agent and tenant that it has to be.

    Raises:
        UnreachableError: nobody there, or not in time.
        UnauthenticatedError, ForbiddenError, DeniedError: not let in; the text says why.
        MalformedMessageError: what is there is no node of this protocol.
    """
    try:
        line = await dial(url, {}, context)
    except RefusedError as error:
        raise _refusal(error.status, str(error)) from error
    try:
        async with asyncio.timeout(CLIENT_CONNECT_S):
            hello = out.Connect(token, _CLIENT, session or None)
            await line.send(checked(hello, plain=False))
            connected = await _let_in(line)
        if who is not None and (connected.agent, connected.tenant) != who:
            raise UnauthenticatedError(  # noqa: TRY301 - the line is closed below
                f"the credential is for {connected.agent!r} of {connected.tenant!r} now"
            )
    except BaseException as error:
        await line.close(1000, "")
        if isinstance(error, TimeoutError):
            raise UnreachableError(f"{url}: it does not answer") from error
        raise
    return line, connected


async def _let_in(line: Line) -> told.Connected:
    """Wait for the node's first word."""
    said: BusError | None = None
    while True:
        read = await line.receive()
        if isinstance(read, Over):
            raise said or _refusal(read.code, read.reason)
        for frame in from_server(BINARY, read):
            if isinstance(frame, told.Connected):
                return frame
            if not isinstance(frame, told.Error):
                raise MalformedMessageError(f"{type(frame).__name__} before connected")
            said = error_of(frame)


def _refusal(status: int, reason: str) -> BusError:
    """Return what a status or a close code means for who wanted in."""
    kind = _REFUSALS.get(status)
    if kind is not None:
        return kind(reason or f"the node says {status}")
    if status in _BUSY:
        return OverloadedError("the node", retry_after_s=RETRY_AFTER_S)
    return UnreachableError(f"the node says {status}: {reason or 'no reason given'}")
