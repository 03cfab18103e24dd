"""What goes over the control channel: one line of JSON each way, then it is closed.

Rule: both lines are bounded and strict. An error comes back as its code, a text for a
person, and who must act, so that the client ends as the command would have here.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeVar

import msgspec

from bus.core.errors import (
    BusError,
    ConfigurationError,
    LimitExceededError,
    MalformedMessageError,
    ProtocolError,
    UnavailableError,
    UsageError,
)
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.operatinglimits import CONTROL_RESPONSE_BYTES_MAX

Command = Callable[[dict[str, Any]], Awaitable[object]]
"""Carries a command out: its arguments come as JSON gave them, its result is a struct."""

Acts = Literal["usage", "later", "refused", "fault"]
"""Who must act: who asked, nobody yet, whoever refused, or we."""

S = TypeVar("S", bound=msgspec.Struct)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command by name, with its arguments."""

    command: str
    arguments: dict[str, Any] = {}


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a command that was carried out, or why it was not."""

    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    code: str = ""
    text: str = ""
    acts: Acts = "fault"


_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_request: Final = msgspec.json.Decoder(Request).decode
_response: Final = msgspec.json.Decoder(Response).decode


def command(kind: type[S], work: Callable[[S], Awaitable[object]]) -> Command:
    """Return a command whose arguments are the fields of `kind`, nothing unknown.

    What does not fit ends as `MalformedMessageError`, and `work` is not called.
    """

    async def carry_out(arguments: dict[str, Any]) -> object:
        try:
            given = msgspec.convert(arguments, kind)
        except msgspec.ValidationError as error:
            raise MalformedMessageError(f"arguments: {error}") from None
        return await work(given)

    return carry_out


def request_line(name: str, arguments: dict[str, Any]) -> bytes:
    """Return the line that asks for a command."""
    return _encode(Request(name, arguments)) + b"\n"


def read_request(line: bytes) -> Request:
    """Return what a line asks for; raises `MalformedMessageError`."""
    try:
        return _request(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not a request: {error}") from None


def answer_line(result: object) -> bytes:
    """Return the line that carries a result; past its bound, the one that says so."""
    line = _encode(Response(ok=True, result=msgspec.Raw(_encode(result)))) + b"\n"
    if len(line) <= CONTROL_RESPONSE_BYTES_MAX:
        return line
    return error_line(
        LimitExceededError(
            "answer bytes", actual=len(line), allowed=CONTROL_RESPONSE_BYTES_MAX
        )
    )


def error_line(error: Exception) -> bytes:
    """Return the line that says why a command was not carried out.

    What is no error of ours is a fault of ours: its text stays in the bus's own log.
    """
    if isinstance(error, BusError):
        code, text, acts = error.code, str(error), _who(error)
    else:
        code, text, acts = "fault", f"{type(error).__name__} in the bus", "fault"
    made = Response(ok=False, code=code, text=text[:ERROR_CHARS_MAX], acts=acts)
    return _encode(made) + b"\n"


def read_response(line: bytes) -> Response:
    """Return what was answered; raises `MalformedMessageError`."""
    try:
        return _response(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not an answer of a bus: {error}") from None


def _who(error: BusError) -> Acts:
    if isinstance(error, UnavailableError):
        return "later"
    if isinstance(error, ConfigurationError | UsageError | ProtocolError):
        return "usage"
    return "refused"
