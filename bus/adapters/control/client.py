"""Asks a running bus over its control channel, and waits for the answer. It blocks.

Rule: what the bus answers with an error ends here as an error of the same class, so
that a command ends with the same code as if it had been done in this process.
"""

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.adapters.control.wire import Response, read_response, request_line
from bus.core.errors import BusError, LimitExceededError, UnavailableError, UsageError
from bus.core.operatinglimits import (
    CONTROL_COMMAND_S,
    CONTROL_READ_S,
    CONTROL_REQUEST_BYTES_MAX,
    CONTROL_RESPONSE_BYTES_MAX,
)

_CHUNK_BYTES: Final = 65_536


class _ToldError(Exception):
    """What the bus said. `reason_code` is the code of its error there."""

    def __init__(self, text: str, reason_code: str) -> None:
        super().__init__(f"{reason_code}: {text}")
        self.reason_code = reason_code


class ControlRefusedError(_ToldError, BusError):
    """The bus, or its policy, refused a command."""

    code = "control_refused"


class ControlUsageError(_ToldError, UsageError):
    """The bus cannot make sense of a command, or has no such thing."""

    code = "control_usage"


class ControlLaterError(_ToldError, UnavailableError):
    """The bus cannot carry a command out now."""

    code = "control_later"


class ControlUnavailableError(UnavailableError):
    """No bus answers at the socket."""

    code = "control_unavailable"


class ControlFaultError(Exception):
    """A command failed in the bus by a fault of ours; its log has the traceback."""


_RAISED: Final[Mapping[str, Callable[[str, str], BusError]]] = {
    "usage": ControlUsageError,
    "later": ControlLaterError,
    "refused": ControlRefusedError,
}


def ask(
    path: Path, name: str, arguments: Mapping[str, Any] | None = None
) -> msgspec.Raw:
    """Return the result of a command as JSON.

    Raises:
        ControlUnavailableError: nobody answers, or not in time.
        ControlUsageError, ControlLaterError, ControlRefusedError: the bus says why.
        ControlFaultError: it failed there.
    """
    line = request_line(name, dict(arguments or {}))
    if len(line) > CONTROL_REQUEST_BYTES_MAX:
        raise LimitExceededError(
            "request bytes", actual=len(line), allowed=CONTROL_REQUEST_BYTES_MAX
        )
    return _result(read_response(_exchange(path, line)))


def _result(answer: Response) -> msgspec.Raw:
    if answer.ok:
        return answer.result
    if answer.acts == "fault":
        raise ControlFaultError(answer.text)
    raise _RAISED[answer.acts](answer.text, answer.code)


def _exchange(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(CONTROL_READ_S)
        try:
            channel.connect(os.fspath(path))
            with suppress(BrokenPipeError):  # refused before it was read: that is told
                channel.sendall(line)
            # The bus reads, works, and writes, each within its bound.
            channel.settimeout(CONTROL_COMMAND_S + 2 * CONTROL_READ_S)
            return _answer(channel)
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlUnavailableError(
                f"{path}: no bus answers there; start one with this control.socket"
            ) from None
        except TimeoutError:
            raise ControlUnavailableError(f"{path}: no answer in time") from None
        except OSError as error:
            raise ControlUnavailableError(
                f"{path}: {error.strerror or error}"
            ) from error


def _answer(channel: socket.socket) -> bytes:
    got = bytearray()
    while not got.endswith(b"\n") and (chunk := channel.recv(_CHUNK_BYTES)):
        got += chunk
        if len(got) > CONTROL_RESPONSE_BYTES_MAX:
            raise LimitExceededError(
                "answer bytes", actual=len(got), allowed=CONTROL_RESPONSE_BYTES_MAX
            )
    return bytes(got)
