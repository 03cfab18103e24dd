"""Serves the control channel: who may command, and what becomes of a command.

Rule: a connection is one request and its answer. Sizes, times and connections are
bounded, and only the user that runs the bus, or root, is listened to.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bus.adapters.control.claiming import Claim
from bus.adapters.control.wire import Command, answer_line, error_line, read_request
from bus.core.errors import (
    BusError,
    ConfigurationError,
    DeniedError,
    LimitExceededError,
    MalformedMessageError,
    UnavailableError,
    UsageError,
)
from bus.core.operatinglimits import (
    CONTROL_COMMAND_S,
    CONTROL_CONNECTIONS_MAX,
    CONTROL_READ_S,
    CONTROL_REQUEST_BYTES_MAX,
    CONTROL_RETRY_S,
    CONTROL_STOP_S,
)
from bus.core.suggest import hint
from bus.crew import Crew

_log: Final = logging.getLogger("assent.control")
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
_CHUNK_BYTES: Final = 8_192
_ROOT: Final = 0


@asynccontextmanager
async def serve(
    path: Path | None, commands: Mapping[str, Command], *, uid: int | None = None
) -> AsyncIterator[None]:
    """Serve `commands` at `path` until the block is left; nothing where it is None.

    `uid` is whose commands are taken beside root's: the user of this process if None.
    Leaving waits up to CONTROL_STOP_S for commands under way, then cancels them.

    Raises:
        ConfigurationError: the socket cannot be had, or another process serves there.
    """
    if path is None:
        yield
        return
    if not hasattr(socket, "SO_PEERCRED"):
        raise ConfigurationError(
            "control.socket: this system does not tell who connects; unset it"
        )
    claim = await asyncio.to_thread(Claim, path)
    door = _Door(claim.listener, commands, os.getuid() if uid is None else uid)
    try:
        door.open()
        yield
    finally:
        try:
            await door.close()
        finally:
            await asyncio.to_thread(claim.release)


class _Door:
    """Takes connections and answers them."""

    def __init__(
        self, listener: socket.socket, commands: Mapping[str, Command], uid: int
    ) -> None:
        self._listener = listener
        self._commands = commands
        self._uid = uid
        self._takers = Crew(_failed)
        self._crew = Crew(_failed)
        self._places = asyncio.Semaphore(CONTROL_CONNECTIONS_MAX)
        self._at_work = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def open(self) -> None:
        """Begin to take connections."""
        self._takers.start(self._take(), "assent control")

    async def close(self) -> None:
        """Take nothing more; let commands that were begun end in their time."""
        await self._takers.end(CONTROL_STOP_S)
        try:
            async with asyncio.timeout(CONTROL_STOP_S):
                await self._quiet.wait()
        except TimeoutError:
            _log.warning("%d commands did not end in time", self._at_work)
        await self._crew.end(CONTROL_STOP_S)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # out of handles, most likely: they come back
                self._places.release()
                _log.warning("cannot take a connection: %s", error)
                await asyncio.sleep(CONTROL_RETRY_S)
                continue
            except BaseException:
                self._places.release()
                raise
            self._crew.start(self._serve(connection), "assent control connection")

    async def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.setblocking(False)
                line = await self._answer(connection)
                async with asyncio.timeout(CONTROL_READ_S):
                    await asyncio.get_running_loop().sock_sendall(connection, line)
        except (OSError, TimeoutError) as error:
            _log.info("a client of the control channel went away: %r", error)
        finally:
            self._places.release()

    async def _answer(self, connection: socket.socket) -> bytes:
        try:
            self._check_peer(connection)
            asked = read_request(await _line(connection))
            work = self._work(asked.command)
        except BusError as error:
            return error_line(error)
        try:
            return answer_line(
                await self._carry_out(asked.command, work, asked.arguments)
            )
        except BusError as error:
            return error_line(error)
        except Exception as error:  # noqa: BLE001 - whatever it raises, who asked is told
            _log.exception("%s failed", asked.command)
            return error_line(error)

    def _work(self, name: str) -> Command:
        work = self._commands.get(name)
        if work is None:
            raise UsageError(f"no command {name!r}{hint(name, self._commands)}")
        return work

    async def _carry_out(
        self, name: str, work: Command, arguments: dict[str, object]
    ) -> object:
        self._at_work += 1
        self._quiet.clear()
        limit = asyncio.timeout(CONTROL_COMMAND_S)
        try:
            async with limit:
                return await work(arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise UnavailableError(
                f"{name} took longer than {CONTROL_COMMAND_S:g} s and was cancelled"
            ) from None
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._quiet.set()

    def _check_peer(self, connection: socket.socket) -> None:
        told = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        _, uid, _ = _CREDENTIALS.unpack(told)
        if uid not in {_ROOT, self._uid}:
            reason = f"user {uid} may not command this bus"
            raise DeniedError((reason,), decision_id="", revision="")


async def _line(connection: socket.socket) -> bytes:
    """Return the request's line; raises `ProtocolError` for what is none."""
    loop, got = asyncio.get_running_loop(), bytearray()
    try:
        async with asyncio.timeout(CONTROL_READ_S):
            while b"\n" not in got:
                chunk = await loop.sock_recv(connection, _CHUNK_BYTES)
                if not chunk:
                    raise MalformedMessageError("the request ends before its line does")
                got += chunk
                if len(got) > CONTROL_REQUEST_BYTES_MAX:
                    raise LimitExceededError(
                        "request bytes",
                        actual=len(got),
                        allowed=CONTROL_REQUEST_BYTES_MAX,
                    )
    except TimeoutError:
        raise MalformedMessageError(
            f"no whole request came in {CONTROL_READ_S:g} s"
        ) from None
    line, _, rest = bytes(got).partition(b"\n")
    if rest:
        raise MalformedMessageError("a connection is for one request only")
    return line


def _failed(error: BaseException) -> None:
    _log.error("the control channel takes no more commands: %r", error)
