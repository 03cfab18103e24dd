"""The protocol `assent.v1` as an AsyncAPI 3 document, made from the types of its frames.

`python -m bus.edge.asyncapi` prints it; docs/reference/asyncapi.json is kept equal to it.
"""

import sys
from typing import Any, Final

import msgspec

from bus.core import clientframes as client, serverframes as server
from bus.core.frame import Frame
from bus.core.frames import SUBPROTOCOL

_CHANNEL: Final = {"$ref": "#/channels/connection"}
_ANSWERS: Final[dict[type[Frame], tuple[type[Frame], ...]]] = {
    client.Connect: (server.Connected,),
    client.Publish: (server.Outcome,),
    client.Request: (server.Answer, server.Error),
    client.Subscribe: (server.Subscribed, server.Error),
    client.Unsubscribe: (server.Unsubscribed, server.Error),
    client.Reply: (server.Outcome, server.Error),
    client.Ping: (server.Pong,),
}
"""What answers each call; the other frames of a client are not answered."""
_UNASKED: Final = (
    server.Message,
    server.Ended,
    server.Missed,
    server.Error,
    server.Draining,
)


def frames_of(union: Any) -> tuple[type[Frame], ...]:
    """Return the frames of one direction."""
    return tuple(union.__args__)


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    every = (*frames_of(client.FromClient), *frames_of(server.FromServer))
    _, schemas = msgspec.json.schema_components(
        every, ref_template="#/components/schemas/{name}"
    )
    names = [_op(frame) for frame in every]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Assent, protocol {SUBPROTOCOL}",
            "version": "1.0.0",
            "description": (
                "A text frame carries JSON, a binary frame MessagePack. One WebSocket "
                "frame is one of these objects, or an array of them, in order. The "
                "subprotocol is assent.v1."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "node": {
                "host": "{host}",
                "pathname": "/ws",
                "protocol": "wss",
                "variables": {"host": {"default": "localhost"}},
            }
        },
        "channels": {
            "connection": {
                "address": "/ws",
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in names
                },
            }
        },
        "operations": _operations(),
        "components": {
            "messages": {_op(frame): _message(frame) for frame in every},
            "schemas": schemas,
        },
    }


def text() -> str:
    """Return the document as it is kept: JSON, indented, with a line end."""
    return (
        msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"
    )


def _operations() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for frame in frames_of(client.FromClient):
        made = _operation("receive", frame)
        answers = _ANSWERS.get(frame, ())
        if answers:
            made["reply"] = {
                "channel": _CHANNEL,
                "messages": [_in_channel(answer) for answer in answers],
            }
        found[f"receive_{_op(frame)}"] = made
    for frame in _UNASKED:
        found[f"send_{_op(frame)}"] = _operation("send", frame)
    return found


def _operation(action: str, frame: type[Frame]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": _CHANNEL,
        "summary": _summary(frame),
        "messages": [_in_channel(frame)],
    }


def _message(frame: type[Frame]) -> dict[str, Any]:
    return {
        "name": _op(frame),
        "summary": _summary(frame),
        "payload": {"$ref": f"#/components/schemas/{frame.__name__}"},
    }


def _in_channel(frame: type[Frame]) -> dict[str, str]:
    return {"$ref": f"#/channels/connection/messages/{_op(frame)}"}


def _op(frame: type[Frame]) -> str:
    return str(frame.__struct_config__.tag)


def _summary(frame: type[Frame]) -> str:
    return (frame.__doc__ or "").partition("\n")[0]


if __name__ == "__main__":
    sys.stdout.write(text())
