"""Bodies of messages on the command line: what is given, and how one is shown.

Rule: what parses as JSON is that value, anything else is text. What is shown cannot
control a terminal.
"""

import base64
import json
import sys
from typing import Any

from bus.cli.output import printable
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.limits import PAYLOAD_BYTES_MAX


def body_of(given: str, *, text: bool) -> Any:
    """Return a body; `-` is read from stdin.

    Raises:
        LimitExceededError: longer than a body may be.
        MalformedMessageError: stdin is no UTF-8.
    """
    return parsed(_read() if given == "-" else given, text=text)


def parsed(given: str, *, text: bool) -> Any:
    """Return the JSON value that a text is, or the text itself."""
    if text:
        return given
    try:
        return json.loads(given, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return given


def headers_of(given: list[str] | None) -> dict[str, str] | None:
    """Return headers that are given as NAME=VALUE; raises `MalformedMessageError`."""
    found: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals:
            raise MalformedMessageError(f"--header {one}: NAME=VALUE is needed")
        found[name] = value
    return found or None


def shown(content: dict[str, Any] | None) -> str:
    """Return a body of the HTTP interface in one line."""
    if not content:
        return ""
    if "body" in content:
        body = content["body"]
        line = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        return printable(line)
    if "body_base64" in content:
        return _octets(content["body_base64"])
    return f"({content.get('left_out') or 'nothing'})"


def _octets(text: str) -> str:
    data = base64.b64decode(text)
    try:
        return printable(data.decode())
    except UnicodeDecodeError:
        return f"({len(data)} bytes)"


def _read() -> str:
    data = sys.stdin.buffer.read(PAYLOAD_BYTES_MAX + 1)
    if len(data) > PAYLOAD_BYTES_MAX:
        raise LimitExceededError(
            "body bytes", actual=len(data), allowed=PAYLOAD_BYTES_MAX
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessageError(f"stdin is no UTF-8: {error}") from None


def _no_number(name: str) -> Any:
    raise ValueError(name)
