"""How values are told: times, bodies, cursors, outcomes."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import UNSET

from bus.core.decision import Decision
from bus.core.edgeerrors import NotFoundError
from bus.core.errors import DeniedError, MalformedMessageError, OverloadedError
from bus.core.message import Message
from bus.core.outcome import Accepted, Denied, Failed, Held
from bus.edge.operator import told

ID = bytes(range(16))


def message(body: bytes, content_type: str) -> Message:
    """Return a message with a body."""
    return Message(
        id=ID,
        subject="a.b",
        type="event",
        priority=1,
        tenant="acme",
        sender="planner",
        content_type=content_type,
        body=body,
        created_ns=1,
        constitution="",
        revision="",
    )


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1_795_000_000_123_456_789, "2026-11-18T11:06:40.123456789Z"),
        (1 << 80, ""),
    ],
)
def test_a_time_is_rfc_3339_with_nanoseconds(time_ns: int, text: str) -> None:
    """A number that is no time is told as none."""
    assert told.rfc3339(time_ns) == text


@pytest.mark.parametrize(
    ("body", "content_type", "shown"),
    [
        (b'{"a":1}', "application/json", {"a": 1}),
        (b"[1]", "application/cloudevents+json; charset=utf-8", [1]),
        (
            msgspec.msgpack.encode({"a": [1, "x"]}),
            "application/msgpack",
            {"a": [1, "x"]},
        ),
        (b"null", "application/json", None),
    ],
)
def test_a_body_is_told_as_the_json_that_it_is(
    body: bytes, content_type: str, shown: Any
) -> None:
    """Also one of MessagePack that says the same."""
    made = msgspec.json.decode(
        msgspec.json.encode(told.content(message(body, content_type)))
    )
    assert made["body"] == shown
    assert "body_base64" not in made
    assert made["size"] == len(body)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"<b>", "text/html"),
        (msgspec.msgpack.encode({"a": b"octets"}), "application/msgpack"),
        (msgspec.msgpack.encode({1: 2}), "application/msgpack"),
        (b"\xc1", "application/msgpack"),
        (b"[" * 5000, "application/json"),
        (b"\x91" * 5000, "application/msgpack"),
        (msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"x")), "application/msgpack"),
    ],
)
def test_a_body_that_is_no_json_is_told_as_base64(
    body: bytes, content_type: str
) -> None:
    """To the last octet."""
    made = msgspec.json.decode(
        msgspec.json.encode(told.content(message(body, content_type)))
    )
    assert base64.b64decode(made["body_base64"]) == body
    assert "body" not in made


def test_a_large_body_is_left_out_of_a_list() -> None:
    """And is there where it is asked for."""
    large = message(b'"' + b"x" * 20_000 + b'"', "application/json")
    assert told.content(large).left_out == "large"
    assert told.content(large).body is UNSET
    assert told.content(large, 1 << 20).left_out == ""


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_a_cursor_that_was_given_is_taken(number: int) -> None:
    """As the number it is."""
    assert told.number_after(str(number)) == number


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "¹", "9" * 19, " 1"])
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    """It names no place in the list."""
    with pytest.raises(MalformedMessageError, match="not a cursor"):
        told.number_after(cursor)


def test_an_id_that_is_none_is_nowhere() -> None:
    """And a long one is not told back."""
    assert told.id_of(ID.hex()) == ID
    with pytest.raises(NotFoundError) as caught:
        told.id_of("z" * 1000)
    assert len(str(caught.value)) < 100


def test_a_body_is_given_once() -> None:
    """Or not at all."""
    assert told.body_given(UNSET, UNSET) is ...
    assert told.body_given(None, UNSET) is None
    assert told.body_given(UNSET, "AAE=") == b"\x00\x01"
    for body, octets in (({}, "AA=="), (UNSET, "%")):
        with pytest.raises(MalformedMessageError):
            told.body_given(body, octets)


def test_outcomes_are_told_and_faults_raised() -> None:
    """A refusal that is meant is no fault."""
    decision = Decision(allow=True, reasons=(), revision="r", digest="d")
    accepted = told.settled(Accepted(ID, decision, 2, duplicate=True))
    assert (accepted.status, accepted.deliveries, accepted.duplicate) == (
        "accepted",
        2,
        True,
    )
    held = told.settled(Held(ID, "wait", "r", 1))
    assert (held.status, held.reasons) == ("held", ("wait",))
    denied = Denied(ID, ("no",), "r")
    assert told.refused(denied).status == "denied"
    assert told.refused(Held(ID, "wait", "r", 1)).status == "held"
    with pytest.raises(DeniedError):
        told.settled(denied)
    with pytest.raises(OverloadedError):
        told.settled(Failed(ID, OverloadedError("it", retry_after_s=1.0)))
