"""Prints messages as they come: a line for each."""

import asyncio
import base64
import json
import sys
from datetime import datetime
from typing import Any, Final

import msgspec

from bus.cli.bodies import shown
from bus.cli.output import complain, printable
from bus.cli.server import Where
from bus.cli.times import utc
from bus.core.errors import MalformedMessageError, UnavailableError, UsageError
from bus.core.message import JSON, MSGPACK, Message
from bus.subscription import Delivery

_NAMED: Final = ("reply_to", "correlation", "causation")
_AHEAD: Final = 256


def options(
    queue: str | None, durable: str | None, start: str | None
) -> dict[str, Any]:
    """Return the subscription's options; raises `UsageError` for what does not go."""
    asked: dict[str, Any] = {"durable": durable or False}
    if queue is not None:
        asked["queue"] = queue
    if start is not None:
        if durable is None:
            raise UsageError("--start needs --durable: nothing else remembers")
        asked["start"] = _start(start)
    return asked


async def tail(
    at: Where, pattern: str, asked: dict[str, Any], count: int | None, *, as_json: bool
) -> None:
    """Print what comes until `count`, or until cancelled; then hang up in order."""
    enough = asyncio.Event()
    seen = 0

    async def show(delivery: Delivery) -> None:
        nonlocal seen
        if count is not None and seen >= count:
            delivery.nak(0.0)  # one more than was asked for: another may have it
            return
        seen += 1
        line = json.dumps(document(delivery)) if as_json else _line(delivery)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if seen == count:
            enough.set()

    def gap(told: Any) -> None:
        complain(f"the connection was lost: what came until now may be missing: {told}")

    ahead = _AHEAD if count is None else 0
    async with at.bus(on_gap=gap, prefetch=ahead) as remote:
        subscription = remote.agent().subscribe(pattern, show, **asked)
        await subscription.ready()
        async with asyncio.TaskGroup() as group:
            over = group.create_task(subscription.finished())
            waiting = group.create_task(enough.wait())
            await asyncio.wait((over, waiting), return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            waiting.cancel()
        if not enough.is_set():
            raise subscription.failure or UnavailableError("the connection has ended")


def document(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as JSON has it, its body as a value where it is one."""
    message = delivery.message
    told: dict[str, Any] = {
        "id": message.id.hex(),
        "subject": message.subject,
        "type": message.type,
        "priority": message.priority,
        "sender": message.sender,
        "tenant": message.tenant,
        "created_ns": message.created_ns,
        "attempt": delivery.attempt,
        "depth": message.depth,
        "content_type": message.content_type,
        **content(message),
    }
    if message.headers:
        told["headers"] = message.headers
    for name in _NAMED:
        if getattr(message, name) is not None:
            told[name] = getattr(message, name)
    for name, value in (("root", message.root), ("parent", message.parent)):
        if value is not None:
            told[name] = value.hex()
    return told


def content(message: Message) -> dict[str, Any]:
    """Return a body as the HTTP interface has it."""
    try:
        if message.content_type == MSGPACK:
            value = msgspec.msgpack.decode(message.body)
        elif message.content_type == JSON:
            value = msgspec.json.decode(message.body)
        else:
            return {"body_base64": base64.b64encode(message.body).decode()}
        return {"body": msgspec.to_builtins(value, enc_hook=str)}
    except msgspec.MsgspecError:
        return {"body_base64": base64.b64encode(message.body).decode()}


def _line(delivery: Delivery) -> str:
    message = delivery.message
    head = f"{utc(message.created_ns)} {message.subject} {message.sender}"
    if delivery.attempt > 1:
        head += f" (attempt {delivery.attempt})"
    return printable(f"{head}: {shown(content(message))}")


def _start(text: str) -> Any:
    if text in {"new", "all"}:
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MalformedMessageError(
            f"--start {text}: new, all, a sequence, or a time with its zone"
        ) from None
