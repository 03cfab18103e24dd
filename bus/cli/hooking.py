"""What `assent hook claude-code` does: standard input to verdict, through a node.

Rule: whatever goes wrong blocks the call: exit code 2, and why on standard error. Only
what a process can load in a few milliseconds is imported, as it runs before every call
of a tool: no HTTP library, no typer (docs/decisions/0028-hooks-and-mcp.md).
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, NoReturn

PATH: Final = "/v1/hooks/claude-code"
BLOCKED: Final = 2
_NOT_HELD_UP: Final = frozenset({"Stop", "SubagentStop", "SubagentStart", "SessionEnd"})
_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_INPUT_BYTES_MAX: Final = 1_048_576
_ANSWER_BYTES_MAX: Final = 1_048_576
_TOKEN_BYTES_MAX: Final = 8_192
_SECONDS: Final = 30.0
_WHOLE_SECONDS: Final = 45.0
"""From start to verdict, whatever takes its time: names, connecting, TLS, the event."""

_OK: Final = 200


class HookError(Exception):
    """Something that keeps the hook from a verdict; its text is shown."""


class Line:
    """Where the node is, and what is shown to it."""

    def __init__(self, server: str, token_file: str, ca_file: str = "") -> None:
        scheme, _, rest = server.partition("://")
        place, _, path = rest.partition("/")
        if scheme not in {"http", "https"} or not place or path:
            raise HookError(
                f"--server {server!r}: http://HOST:PORT or https://HOST:PORT"
            )
        host, _, port = place.rpartition(":")
        if not host or host.endswith(":") or not port.isdigit():
            host, port = place, "443" if scheme == "https" else "80"
        if scheme == "http" and host not in _HOSTS:
            raise HookError(
                f"--server {server!r}: a token goes to another machine over https only"
            )
        self.secure = scheme == "https"
        self.host, self.port, self.ca_file = host, int(port), ca_file
        self.token = _token(token_file)

    def ask(self, data: bytes) -> bytes:
        """Return the node's answer to an event."""
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        until = time.monotonic() + _SECONDS  # noqa: TID251 - a process of its own, no bus
        with self._connected() as connection:
            connection.sendall(head.encode("ascii") + data)
            parts, size = [], 0
            while part := connection.recv(65_536):
                parts.append(part)
                size += len(part)
                late = time.monotonic() > until  # noqa: TID251 - as above
                if late or size > _ANSWER_BYTES_MAX:
                    raise HookError("the node's answer has no end")
        return _content(b"".join(parts))

    def _connected(self) -> socket.socket:
        place = (self.host.strip("[]"), self.port)
        connection = socket.create_connection(place, timeout=_SECONDS)
        if not self.secure:
            return connection
        import ssl  # noqa: PLC0415 - 10 ms, and not needed on the loopback

        context = ssl.create_default_context(cafile=self.ca_file or None)
        return context.wrap_socket(connection, server_hostname=place[0])


def main(arguments: Sequence[str]) -> int:
    """Answer one event; return the exit code, which is 0 only with a verdict.

    The process ends itself in time: a coding agent that has to end it lets the call
    through.
    """
    late = threading.Timer(_WHOLE_SECONDS, _give_up)
    late.daemon = True
    late.start()
    try:
        return _answered(arguments)
    finally:
        late.cancel()


def _answered(arguments: Sequence[str]) -> int:
    try:
        options = _options(arguments)
        line = Line(
            options["server"], options["token-file"], options.get("ca-file", "")
        )
        data = sys.stdin.buffer.read(_INPUT_BYTES_MAX + 1)
    except HookError as fault:
        return _blocked("", str(fault))
    except BaseException as fault:  # noqa: BLE001 - an interrupt lets no call through either
        return _blocked("", f"{type(fault).__name__}: {fault}")
    try:
        answer = line.ask(data)
        json.loads(answer)
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    except HookError as fault:
        return _blocked(_name(data), str(fault))
    except BaseException as fault:  # noqa: BLE001 - as above
        told = f"{options['server']}: {type(fault).__name__}: {fault}"
        return _blocked(_name(data), told)
    return 0


def _options(arguments: Sequence[str]) -> dict[str, str]:
    known = {"--server", "--token-file", "--ca-file"}
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name not in known:
            raise HookError(f"no option {name!r}; there are {', '.join(sorted(known))}")
        if not equals:
            if not rest:
                raise HookError(f"{name} needs a value")
            value = rest.pop(0)
        options[name[2:]] = value
    for needed in ("server", "token-file"):
        if not options.get(needed):
            raise HookError(f"--{needed} is missing; `assent hook install` sets it")
    return options


def _token(file: str) -> str:
    try:
        with open(file, encoding="ascii") as opened:  # noqa: PTH123 - pathlib costs 5 ms
            token = opened.read(_TOKEN_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HookError(f"--token-file {file}: {error}") from None
    if not token or not token.isprintable() or " " in token:
        raise HookError(f"--token-file {file}: holds no token")
    return token


def _content(answer: bytes) -> bytes:
    """Return the body of a response that says how long it is; else it is no answer."""
    head, found, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = lines[0].split(b" ", 2)
    if not found or len(status) < 2 or not status[1].isdigit():  # noqa: PLR2004 - version, status
        raise HookError("the node did not answer in HTTP")
    length = None
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
    if int(status[1]) != _OK:
        raise HookError(f"the node answered {int(status[1])}")
    if length is None or length != len(body):
        raise HookError("the node's answer was cut short")
    return body


def _name(data: bytes) -> str:
    """Return the event's name, if it can be told."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    name: Any = event.get("hook_event_name") if isinstance(event, dict) else ""
    return name if isinstance(name, str) else ""


def _blocked(name: str, why: str) -> int:
    """Say why, and return what blocks; the end of an agent is not held up by a fault."""
    plain = "".join(c if c.isprintable() else " " for c in why)
    sys.stderr.write(f"assent hook: {plain}\n")
    return 1 if name in _NOT_HELD_UP else BLOCKED


def _give_up() -> NoReturn:
    """Block the call from beside whatever holds it up."""
    exit_now(_blocked("", f"no verdict in {_WHOLE_SECONDS:g} s"))


def exit_now(code: int) -> NoReturn:
    """End the process at once: what is left to tear down costs milliseconds."""
    import os  # noqa: PLC0415 - loaded by the interpreter already

    sys.stderr.flush()
    os._exit(code)
