"""Messages for tests: a full one with every field set, and strategies that vary it."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from bus.core.message import Message

HASH = "0123456789abcdef"
NOW_NS = 1_800_000_000_000_000_000

FULL = Message(
    id=bytes(range(16)),
    subject="orders.created.eu",
    type="event",
    priority=1,
    tenant="acme",
    sender="planner",
    content_type="application/json",
    body=b'{"a":1}',
    created_ns=NOW_NS,
    constitution=HASH,
    revision="r1",
    headers={"trace": "00-ab"},
    reply_to="$INBOX.a.b",
    correlation="c-1",
    causation="c-0",
    root=bytes(16),
    parent=bytes(range(1, 17)),
    depth=2,
    authors=("critic",),
    expires_ns=NOW_NS + 1,
)
FIELDS = Message.__struct_fields__
COVERED = FIELDS[:-1]


def changed(message: Message, **changes: Any) -> Message:
    """Return a copy that nobody has stamped anew."""
    return msgspec.structs.replace(message, **changes)


def full(**changes: Any) -> Message:
    """Return a new unstamped message with every field set."""
    return changed(FULL, **changes)


_text = st.text(max_size=30)
_ids = st.binary(min_size=16, max_size=16)
_ns = st.integers(min_value=0, max_value=(1 << 63) - 1)

messages = st.builds(
    Message,
    id=_ids,
    subject=_text,
    type=_text,
    priority=st.integers(0, 3),
    tenant=_text,
    sender=_text,
    content_type=_text,
    body=st.binary(max_size=300),
    created_ns=_ns,
    constitution=_text,
    revision=_text,
    headers=st.dictionaries(_text, _text, max_size=4),
    reply_to=st.none() | _text,
    correlation=st.none() | _text,
    causation=st.none() | _text,
    root=st.none() | _ids,
    parent=st.none() | _ids,
    depth=st.integers(0, 64),
    authors=st.lists(_text, max_size=3).map(tuple),
    expires_ns=st.none() | _ns,
)
"""Unstamped messages whose fields have the right types, whatever their values."""
