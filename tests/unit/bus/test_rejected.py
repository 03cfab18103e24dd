"""What breaks the contract ends as Rejected, each with its code."""

from typing import Any

import pytest

from bus import Rejected
from bus.core.errors import (
    MalformedMessageError,
)
from bus.core.limits import HEADERS_MAX, PAYLOAD_BYTES_MAX, SUBJECT_BYTES_MAX, TTL_S_MAX
from tests.fakes.buses import Inbox, PartsBus, new_bus, totals

BAD: dict[str, tuple[tuple[Any, Any], dict[str, Any], str]] = {
    "empty subject": (("", 1), {}, "bad_subject"),
    "empty token": (("a..b", 1), {}, "bad_subject"),
    "wildcard": (("a.*", 1), {}, "bad_subject"),
    "tail wildcard": (("a.>", 1), {}, "bad_subject"),
    "space": (("a b", 1), {}, "bad_subject"),
    "no ascii": (("tâche", 1), {}, "bad_subject"),
    "surrogate": (("a\udc80", 1), {}, "bad_subject"),
    "not a text: None": ((None, 1), {}, "bad_subject"),
    "not a text: number": ((7, 1), {}, "bad_subject"),
    "not a text: bytes": ((b"a", 1), {}, "bad_subject"),
    "not a text: list": ((["a"], 1), {}, "bad_subject"),
    "reserved": (("$SYS.a", 1), {}, "bad_subject"),
    "dead letters are the bus's": (("$DEAD.a", 1), {}, "bad_subject"),
    "inboxes are the bus's": (("$INBOX.a", 1), {}, "bad_subject"),
    "long subject": (("a" * (SUBJECT_BYTES_MAX + 1), 1), {}, "limit_exceeded"),
    "many tokens": ((".".join("a" * 17), 1), {}, "limit_exceeded"),
    "large body": (("a", bytes(PAYLOAD_BYTES_MAX + 1)), {}, "limit_exceeded"),
    "body that cannot be encoded": (("a", object()), {}, "bad_body"),
    "body that contains itself": (("a", []), {}, "bad_body"),
    "unknown type": (("a", 1), {"type": "telegram"}, "malformed"),
    "type not a text": (("a", 1), {"type": ["event"]}, "malformed"),
    "priority too high": (("a", 1), {"priority": 4}, "malformed"),
    "priority below 0": (("a", 1), {"priority": -1}, "malformed"),
    "priority not a number": (("a", 1), {"priority": "high"}, "malformed"),
    "priority None": (("a", 1), {"priority": None}, "malformed"),
    "header name": (("a", 1), {"headers": {"a b": "c"}}, "malformed"),
    "header line break": (("a", 1), {"headers": {"a": "b\r\nc: d"}}, "malformed"),
    "header not a text": (("a", 1), {"headers": {"a": 1}}, "malformed"),
    "headers not a mapping": (("a", 1), {"headers": [("a", "b")]}, "malformed"),
    "many headers": (
        ("a", 1),
        {"headers": {f"h{n}": "" for n in range(HEADERS_MAX + 1)}},
        "limit_exceeded",
    ),
    "large header": (("a", 1), {"headers": {"a": "b" * 5_000}}, "limit_exceeded"),
    "ttl 0": (("a", 1), {"ttl": 0}, "malformed"),
    "ttl below 0": (("a", 1), {"ttl": -1.0}, "malformed"),
    "ttl not a number": (("a", 1), {"ttl": float("nan")}, "malformed"),
    "ttl a text": (("a", 1), {"ttl": "5"}, "malformed"),
    "long ttl": (("a", 1), {"ttl": TTL_S_MAX * 2}, "limit_exceeded"),
    "endless ttl": (("a", 1), {"ttl": float("inf")}, "limit_exceeded"),
    "reply_to": (("a", 1), {"reply_to": "a.*"}, "bad_subject"),
    "reply_to not a text": (("a", 1), {"reply_to": 5}, "bad_subject"),
    "correlation": (("a", 1), {"correlation": "a\nb"}, "malformed"),
    "long correlation": (("a", 1), {"correlation": "a" * 129}, "limit_exceeded"),
    "causation not a text": (("a", 1), {"causation": b"x"}, "malformed"),
    "wait below 0": (("a", 1), {"wait": -1}, "malformed"),
    "endless wait": (("a", 1), {"wait": float("inf")}, "limit_exceeded"),
    "wait not a number": (("a", 1), {"wait": "5"}, "malformed"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_rejected_with_a_code_counted_and_recorded(
    name: str,
) -> None:
    """What breaks the contract ends as Rejected: an outcome, a count, a record."""
    (subject, body), options, code = BAD[name]
    if name == "body that contains itself":
        body.append(body)
    async with PartsBus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe(">", inbox)
        outcome = await bus.agent("planner").publish(subject, body, **options)
        assert isinstance(outcome, Rejected), outcome
        assert outcome.code == code
        assert outcome.reason
        await bus.settle()
        assert inbox.got == []
        assert totals(bus).rejected == 1
        assert bus.audit.events() == ["rejected"]


def test_options_of_a_wrong_name_are_refused() -> None:
    """A misspelt keyword is an error at the call."""
    bus = new_bus()
    with pytest.raises(TypeError):
        bus.agent("planner").publish("a", 1, prority=3)  # type: ignore[call-arg,unused-coroutine]  # misspelt on purpose


def test_rejections_raise_the_fault_they_carry() -> None:
    """`unwrap` of a rejection raises exactly its error."""
    error = MalformedMessageError("nothing is right")
    with pytest.raises(MalformedMessageError, match="nothing is right"):
        Rejected(b"", error).unwrap()
