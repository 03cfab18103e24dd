"""An audit record as a line of JSON, and back.

Rule: every record can be written. What JSON cannot carry, or what is longer than
any reader takes, is escaped or cut and says so; nothing is left out.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from bus.core.limits import AUDIT_FIELD_CHARS_MAX, AUDIT_LINE_BYTES_MAX

Record = tuple[str, int, bytes, str, str, str, str, str, bytes]

_encoder: Final = msgspec.json.Encoder()
_decode_record: Final = msgspec.json.Decoder(Record).decode
_NineValues = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=9, max_length=9)]
_decode_values: Final = msgspec.json.Decoder(_NineValues).decode


class Entry(msgspec.Struct, frozen=True):
    """A record as a person reads it: id and stamp in hex."""

    event: str
    time_ns: int
    id: str
    tenant: str
    agent: str
    subject: str
    revision: str
    detail: str
    stamp: str


def encode(records: Sequence[Record]) -> bytes:
    """Encode records as lines. Every record can be written: see `_writable`."""
    try:
        lines = _encoder.encode_lines(records)
    except (UnicodeEncodeError, TypeError, OverflowError, msgspec.MsgspecError):
        lines = _encoder.encode_lines([_writable(record) for record in records])
    if len(lines) > AUDIT_LINE_BYTES_MAX:
        return _encoder.encode_lines([_writable(record) for record in records])
    return lines


def check(line: bytes) -> None:
    """Return if the line is an array of nine values, whatever their types.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: it is not.
    """
    _decode_values(line)


def decode(line: bytes) -> Entry:
    """Decode a record's line.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: not a record.
    """
    event, time_ns, message_id, tenant, agent, subject, revision, detail, stamp = (
        _decode_record(line)
    )
    return Entry(
        event=event,
        time_ns=time_ns,
        id=message_id.hex(),
        tenant=tenant,
        agent=agent,
        subject=subject,
        revision=revision,
        detail=detail,
        stamp=stamp.hex(),
    )


def _writable(record: Record) -> Record:
    """Return the record in a form JSON can carry: odd text escaped, long text cut.

    Only a record that could not be written as it is comes here; a field of a wrong
    type is written as its `repr`.
    """
    event, time_ns, message_id, *texts, stamp = record
    plain = [_text(text) for text in texts]
    return (
        _text(event),
        time_ns if _is_time(time_ns) else 0,
        _octets(message_id),
        plain[0],
        plain[1],
        plain[2],
        plain[3],
        plain[4] if _is_time(time_ns) else _text(f"time {time_ns!r}; {plain[4]}"),
        _octets(stamp),
    )


def _text(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= AUDIT_FIELD_CHARS_MAX:
        return text
    return f"{text[:AUDIT_FIELD_CHARS_MAX]} (cut, was {len(text)} characters)"


def _octets(value: object) -> bytes:
    octets = value if isinstance(value, bytes) else _text(value).encode()
    return octets[:AUDIT_FIELD_CHARS_MAX]


def _is_time(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 1 << 63
