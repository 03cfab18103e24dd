"""Decision logs for tests: real decisions of a real policy, as OPA would write them."""

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bus.core.message import Message
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.fields import RECORDED
from tests.fakes import policies
from tests.fakes.messages import NOW_NS


def authorizer(folder: Path | None = None, **data: Any) -> EmbeddedAuthorizer:
    """Return an authorizer of the built-in policy, or of a folder with its data."""
    given = None if folder else {**policies.data(), **data}
    return load_authorizer(data=given, policy_dir=folder, now_ns=lambda: NOW_NS)


def event(made: EmbeddedAuthorizer, message: Message, number: int) -> dict[str, Any]:
    """Decide on a message and return the log's event."""
    decision = made.decide_now("publish", message)
    roles = made.principal(message.sender).roles
    return {
        "decision_id": f"d-{number:08d}",
        "timestamp": "2026-11-21T10:00:00.000000000Z",
        "path": "assent/authz/decision",
        "labels": {"id": "bus-1"},
        "bundles": {"assent": {"revision": decision.revision}},
        "custom": {
            "message": message.id.hex(),
            "action": "publish",
            "cached": decision.cached,
        },
        "input": msgspec.json.decode(RECORDED.document("publish", message, roles)),
        "result": {
            "allow": decision.allow,
            "reasons": list(decision.reasons),
            "obligations": list(decision.obligations),
        },
    }


def events(
    made: EmbeddedAuthorizer, messages: Iterable[Message]
) -> Iterator[dict[str, Any]]:
    """Yield the events of a number of decisions."""
    for number, message in enumerate(messages):
        yield event(made, message, number)


def messages(count: int, *senders: str) -> Iterator[Message]:
    """Yield messages of the senders in turn, on subjects that repeat after ten."""
    for number in range(count):
        yield policies.message(
            id=number.to_bytes(16, "big"),
            sender=senders[number % len(senders)],
            subject=f"tasks.t{number % 10}",
        )


def write(place: Path, written: Iterable[dict[str, Any]]) -> Path:
    """Write a log, packed where the name ends in `.gz`."""
    text = b"".join(msgspec.json.encode(one) + b"\n" for one in written)
    place.write_bytes(gzip.compress(text) if place.suffix == ".gz" else text)
    return place
