"""Keys and documents hold what the rule reads, and keep apart what it can tell apart."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from bus.core.errors import PolicyLoadError
from bus.core.message import Message
from bus.ports import Access
from policy.bodies import UnaskableError
from policy.fields import MESSAGE_FIELDS, RECORDED, InputPlan, access_key
from policy.loading import sample_message
from policy.syntax import Path
from tests.fakes import messages as fakes
from tests.fakes.policies import message

ROUTED: list[Path] = [
    ("action",),
    ("principal", "id"),
    ("principal", "roles"),
    ("principal", "tenant"),
    ("message", "subject"),
    ("message", "type"),
    ("message", "tenant"),
]


def document(paths: list[Path] | None, made: Message) -> Any:
    """Return the input made of a message."""
    return json.loads(InputPlan(paths).document("publish", made, ("a",)))


def test_the_whole_document_is_as_described() -> None:
    """Every field of the reference, and no other."""
    made = fakes.full()
    assert document(None, made) == {
        "action": "publish",
        "principal": {"id": "planner", "tenant": "acme", "roles": ["a"]},
        "message": {
            "id": bytes(range(16)).hex(),
            "subject": "orders.created.eu",
            "type": "event",
            "priority": 1,
            "tenant": "acme",
            "content_type": "application/json",
            "size": 7,
            "headers": {"trace": "00-ab"},
            "reply_to": "$INBOX.a.b",
            "correlation": "c-1",
            "causation": "c-0",
            "depth": 2,
            "authors": ["critic"],
            "root": bytes(16).hex(),
            "parent": bytes(range(1, 17)).hex(),
            "created_ns": fakes.NOW_NS,
            "created_minute": fakes.NOW_NS // 60_000_000_000,
            "expires_ns": fakes.NOW_NS + 1,
            "body": {"a": 1},
            "body_readable": True,
        },
    }


def test_what_is_recorded_is_everything_but_the_body() -> None:
    """The decision log holds no body, whatever rules read."""
    made = message(headers={"A": "1"})
    recorded = json.loads(RECORDED.document("publish", made, ("a",)))
    whole = document(None, made)
    assert whole["message"].pop("body") == {}
    assert whole["message"].pop("body_readable") is True
    assert recorded == whole
    assert RECORDED.message_fields == MESSAGE_FIELDS.keys()


def test_the_sample_has_the_fields_of_a_message() -> None:
    """A dry run asks what a message asks."""
    assert sample_message("acme", "publish").keys() == MESSAGE_FIELDS.keys()


def test_only_what_is_read_is_in_the_document() -> None:
    """The rest costs nothing."""
    assert document([("message", "subject"), ("principal", "id")], message()) == {
        "action": "publish",
        "principal": {"id": "planner"},
        "message": {"subject": "tasks.a"},
    }


def test_a_field_below_a_field_brings_it() -> None:
    """A path may go on where the document ends."""
    made = message(headers={"a": "1", "b": "2"})
    assert document([("message", "headers", "a", "x")], made)["message"] == {
        "headers": {"a": "1"}
    }
    assert document([("message", "headers")], made)["message"] == {
        "headers": {"a": "1", "b": "2"}
    }
    assert document([("message", "nosuch")], made)["message"] == {}


@pytest.mark.parametrize("paths", [[("message", "headers", "a-b")], None])
def test_a_header_has_its_name_in_small_letters(paths: list[Path] | None) -> None:
    """So no rule is gone round with capitals, and equal questions share a key."""
    plan = InputPlan(paths)
    told = [message(headers={name: "1"}) for name in ("a-b", "A-B", "A-b")]
    for made in told:
        assert document(paths, made)["message"]["headers"] == {"a-b": "1"}
    assert len({plan.key(made) for made in told}) == 1
    assert plan.key(told[0]) != plan.key(message(headers={"a-b": "2"}))


@pytest.mark.parametrize("paths", [[("message", "headers", "a")], None])
def test_two_headers_of_one_name_cannot_be_asked_about(
    paths: list[Path] | None,
) -> None:
    """Which of them counts is not policy's to guess."""
    made = message(headers={"a": "1", "A": "2"})
    for asking in (InputPlan(paths).key, lambda m: document(paths, m)):
        with pytest.raises(UnaskableError, match="one name"):
            asking(made)


def test_a_rule_that_names_a_header_with_capitals_is_refused() -> None:
    """It would never be there, and a rule that denies by it would never deny."""
    with pytest.raises(PolicyLoadError, match=r"'X-Tenant'.*read 'x-tenant'"):
        InputPlan([("message", "headers", "X-Tenant")])


def test_the_key_of_most_policies_is_of_four_fields() -> None:
    """What the authorizer's hottest line relies on."""
    plan = InputPlan(ROUTED)
    made = message()
    assert plan.routed
    expected = (made.sender, made.tenant, made.subject, made.type)
    assert plan.key(made) == msgspec.msgpack.encode(expected)


@pytest.mark.parametrize(
    "path",
    [
        ("message", "priority"),
        ("message", "size"),
        ("message", "headers", "a"),
        ("message",),
        (),
    ],
)
def test_a_rule_that_reads_more_has_a_key_of_more(path: Path) -> None:
    """No field the rule reads is left out of the key."""
    assert not InputPlan([*ROUTED, path]).routed


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("priority", [True, 1, 1.0, "1"]),
        ("depth", [0, False, 0.0]),
        ("reply_to", [None, "", "None"]),
        ("headers", [{}, {"a": ""}, {"a": None}, {"a": "x"}, {"b": "x"}]),
    ],
)
def test_bytes_keys_keep_values_of_other_types_apart(
    field: str, values: list[Any]
) -> None:
    """A tuple of Python would take True, 1 and 1.0 for the same."""
    keys = {InputPlan(None).key(message(**{field: value})) for value in values}
    assert len(keys) == len(values)


def test_a_missing_header_is_neither_empty_nor_null() -> None:
    """Three different things to a rule are three different keys."""
    plan = InputPlan([("message", "headers", "a")])
    headers: list[dict[str, Any]] = [{}, {"a": ""}, {"a": None}, {"a": "x"}]
    assert len({plan.key(message(headers=told)) for told in headers}) == len(headers)


def test_headers_that_are_not_read_are_not_in_the_key() -> None:
    """A trace id does not make each message a question of its own."""
    plan = InputPlan([("message", "headers", "a")])
    assert plan.key(message(headers={"a": "1", "trace": "x"})) == plan.key(
        message(headers={"trace": "y", "a": "1"})
    )


def test_neighbouring_fields_do_not_run_together() -> None:
    """Framed, so that no two questions share a key."""
    plan = InputPlan([("principal", "id"), ("message", "subject")])
    assert plan.key(message(sender="ab", tenant="c")) != plan.key(
        message(sender="a", tenant="bc")
    )


@given(first=fakes.messages, second=fakes.messages)
def test_messages_that_agree_where_the_rule_looks_are_one_question(
    first: Message, second: Message
) -> None:
    """Same fields read: same key and same input, whatever else differs."""
    plan = InputPlan(ROUTED)
    read = {n: getattr(first, n) for n in ("sender", "tenant", "subject", "type")}
    second = fakes.changed(second, **read)
    assert plan.key(first) == plan.key(second)
    assert plan.document("publish", first, ()) == plan.document("publish", second, ())


@given(first=fakes.messages, second=fakes.messages)
def test_messages_that_differ_where_the_rule_looks_are_two_questions(
    first: Message, second: Message
) -> None:
    """Another input is another key, whichever field it is that differs."""
    for paths in (None, *([("message", name)] for name in MESSAGE_FIELDS)):
        plan = InputPlan(paths)
        inputs = {plan.document("publish", m, (m.sender,)) for m in (first, second)}
        if len(inputs) > 1:
            assert plan.key(first) != plan.key(second)


def test_access_has_a_document_and_a_key_of_its_own() -> None:
    """Connecting and subscribing are questions without a message."""
    asked = Access("subscribe", "planner", "acme", "a.>", "q")
    assert json.loads(InputPlan(None).access_document(asked, ("r",))) == {
        "action": "subscribe",
        "principal": {"id": "planner", "tenant": "acme", "roles": ["r"]},
        "subscription": {"pattern": "a.>", "queue": "q"},
    }
    others = [
        msgspec.structs.replace(asked, **{field: "other"})
        for field in ("sender", "tenant", "pattern", "queue")
    ]
    assert len({access_key(access) for access in (asked, *others)}) == 5
