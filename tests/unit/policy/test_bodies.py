"""A body is shown to rules exactly as a handler gets it, or the message is denied."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.msgpack import Ext

from bus.core import codec
from bus.core.limits import PAYLOAD_BYTES_MAX, POLICY_INPUT_BYTES_MAX
from bus.core.message import JSON, MSGPACK, OCTETS, Message
from policy import bodies
from policy.authorizer import EmbeddedAuthorizer
from policy.bodies import UnaskableError
from policy.fields import InputPlan
from tests.fakes import policies
from tests.fakes.policies import message

ALLOW = '{"allow": true, "reasons": [], "obligations": []}'
DENY = '{"allow": false, "reasons": ["no"], "obligations": []}'
# Ways to reach the text of a body, with what else a policy needs for it.
WAYS = {
    "named": ("input.message.body.text", ""),
    "aliased": ("m.body.text", "m := input.message"),
    "a computed step": ("input.message[k].text", 'k := concat("", ["bo", "dy"])'),
    "object.get": ('object.get(input.message, "body", {}).text', ""),
    "object.get of all": ('object.get(input, ["message", "body", "text"], "")', ""),
    "a parameter": ("f(input.message)", "f(m) := m.body.text"),
    "a walk": ("texts[_]", "texts contains v if { walk(input, [_, v]); is_string(v) }"),
}
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


def packed(body: Any) -> Message:
    """Return a message with a body as MessagePack."""
    return message(body=msgspec.msgpack.encode(body), content_type=MSGPACK)


def plain(body: bytes, content_type: str = JSON) -> Message:
    """Return a message with a body of these bytes."""
    return message(body=body, content_type=content_type)


def seen(made: Message) -> dict[str, Any]:
    """Return what a rule that names the body is shown of it."""
    plan = InputPlan([("message", "body", "tool")])
    found: dict[str, Any] = json.loads(plan.document("publish", made, ()))["message"]
    return found


@pytest.mark.parametrize(("reads", "rule"), WAYS.values(), ids=WAYS)
def test_a_rule_denies_by_the_body_however_it_reaches_it(
    tmp_path: Path, reads: str, rule: str
) -> None:
    """What is not there cannot be denied by; and one decision is not another's."""
    asked = policies.ruled(
        tmp_path,
        "default bad := false",
        f'bad if contains({reads}, "password")',
        *([rule] if rule else []),
        f"decision := {ALLOW} if not bad",
        f"decision := {DENY} if bad",
    )
    good, bad = packed({"text": "hello"}), packed({"text": "my password"})
    for _ in range(2):
        assert asked.decide_now("publish", good).allow
        assert asked.decide_now("publish", bad).reasons == ("no",)


def test_the_key_tells_bodies_apart_and_is_short_for_long_ones() -> None:
    """A cache of decisions does not hold bodies."""
    plan = InputPlan([("message",)])
    one, other = packed("a" * 100_000), packed("a" * 100_001)
    assert plan.key(one) == plan.key(packed("a" * 100_000))
    assert plan.key(one) != plan.key(other)
    assert len(plan.key(one)) < 500
    same = plain(b"[]"), plain(b"[]", "text/plain")
    assert plan.key(same[0]) != plan.key(same[1])


def test_a_rule_that_reads_no_body_is_shown_none() -> None:
    """Nor pays for it: what cannot be shown is no matter then."""
    plan = InputPlan([("message", "subject")])
    odd = packed(float("inf"))
    assert json.loads(plan.document("publish", odd, ()))["message"] == {
        "subject": odd.subject
    }


def test_only_whether_a_body_can_be_read_may_be_asked() -> None:
    """The body stays out of the document, and is in the key."""
    plan = InputPlan([("message", "body_readable")])
    for made, readable in ((packed(1), True), (plain(b"{", JSON), False)):
        document = json.loads(plan.document("publish", made, ()))
        assert document["message"] == {"body_readable": readable}
    assert plan.key(packed(1)) != plan.key(packed(2))


@given(values)
def test_what_is_shown_is_what_a_handler_gets(body: Any) -> None:
    """From MessagePack and from JSON, however it is spaced."""
    handler = codec.decoder(object)
    for made in (
        packed(body),
        plain(msgspec.json.encode(body)),
        plain(json.dumps(body, indent=1).encode()),
    ):
        shown = bodies.shown(made)
        assert shown is not None
        assert msgspec.json.decode(shown) == handler(made) == body


@pytest.mark.parametrize(
    "made",
    [
        packed({"amount": float("inf")}),
        packed({"amount": [float("-inf")]}),
        packed({"amount": float("nan")}),
        plain(b'{"amount":1e999}'),
        plain(b'{"amount":-1e999}'),
        plain(b'{"amount":18446744073709551616}'),
        plain(b'{"amount":-9223372036854775809}'),
        plain(b"1" * 5000),
        packed({"text": b"password"}),
        plain(b"\x92\x01\xd6\xff\x00\x00\x00\x00", MSGPACK),  # a time
        packed({"text": Ext(5, b"password")}),
        packed({1: "a", "1": "b"}),
        packed({None: "a"}),
        packed({b"text": "a"}),
        packed({(1, 2): "a"}),
    ],
    ids=lambda made: repr(made.body[:24]),
)
def test_what_rules_would_see_otherwise_is_not_asked(made: Message) -> None:
    """JSON has no infinity, our engine no number past 64 bits; bytes are no text."""
    with pytest.raises(UnaskableError, match="as it is"):
        bodies.shown(made)


@pytest.mark.parametrize(
    "made",
    [
        plain(b'{"amount":1000,"amount":1}'),
        plain(b'{"amount":1, "am\\u006funt":1}'),
        plain(b'[{"a":{"b":1,"c":":","b":1}}]'),
        plain(b'{"a":{"x":1},"a":"\\u003a\\u003a"}'),
        plain(b"\x82\xa6amount\xcd\x03\xe8\xa6amount\x01", MSGPACK),
        plain(b"\x82\xa1a\xc7\x01\x05\x81\xa1a\x01", MSGPACK),
        plain(b"\x91\xde\x00\x02\xa1a\xd9\x01b\xa1a\xdc\x00\x01\xc0", MSGPACK),
        plain(
            b"\xdf\x00\x00\x00\x02\xa1a\xc4\x01\x80\xa1a\xca\x00\x00\x00\x00", MSGPACK
        ),
    ],
    ids=lambda made: repr(made.body),
)
def test_a_body_with_a_key_twice_is_not_asked(made: Message) -> None:
    """The reader of bytes may take the one that policy did not see."""
    with pytest.raises(UnaskableError, match="a key twice"):
        bodies.shown(made)


@pytest.mark.parametrize(
    "made",
    [
        plain(b' {"a": {"a": [1, {"a": 2}]}, "b": 1.50} '),
        plain(b'{"a":"a:\\"b\\":c","b":"\\u003a"}'),
        plain(b"\x82\xa1a\xcd\x00\x01\xa1b\xca\x3f\x80\x00\x00", MSGPACK),
        plain(
            b"\xde\x00\x02\xd9\x01a\xdd\x00\x00\x00\x01\x05\xa1b\x81\xa1a\xc3", MSGPACK
        ),
        plain(b"\xda\x00\x03abc", MSGPACK),
    ],
    ids=lambda made: repr(made.body),
)
def test_other_spellings_of_a_body_are_shown(made: Message) -> None:
    """Not every encoder writes as ours does."""
    shown = bodies.shown(made)
    assert shown is not None
    assert msgspec.json.decode(shown) == codec.decoder(object)(made)


@pytest.mark.parametrize(
    "content_type",
    [
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json ;x=y; Charset="UTF-8"',
    ],
)
def test_a_content_type_may_have_capitals_and_parameters(content_type: str) -> None:
    """A rule is not gone round by writing it otherwise."""
    assert seen(plain(b'{"a":1}', content_type)) == {
        "body": {"a": 1},
        "body_readable": True,
    }


@pytest.mark.parametrize(
    "made",
    [
        plain(b"{"),
        plain(b"NaN"),
        plain(b'"\xff"'),
        plain(b"\x81\xa1\xff\x01", MSGPACK),
        plain(b"\xc1", MSGPACK),
        plain(b'{"amount":1000}', OCTETS),
        plain(b'{"amount":1000}', ""),
        plain(b'{"amount":1000}', "application/json; charset=utf-16"),
        plain(b"x" * PAYLOAD_BYTES_MAX, OCTETS),
    ],
    ids=lambda made: f"{made.content_type} {made.body[:16]!r}",
)
def test_a_body_that_cannot_be_read_says_so(made: Message) -> None:
    """A rule can deny it; null in a body that can be read is another thing."""
    assert seen(made) == {"body": None, "body_readable": False}
    assert seen(plain(b"null")) == {"body": None, "body_readable": True}


def test_a_body_past_what_rules_can_be_shown_is_not_asked() -> None:
    """Before it is decoded."""
    with pytest.raises(UnaskableError, match=r"524289 bytes; 524288 can be shown"):
        bodies.shown(plain(b"[" * (POLICY_INPUT_BYTES_MAX + 1)))


def test_a_message_that_cannot_be_asked_about_is_denied(tmp_path: Path) -> None:
    """A fault of the input, counted, said without its values, and not kept."""
    asked = policies.ruled(tmp_path, f"decision := {ALLOW} if input.message")
    for made in (
        packed({"amount": float("inf"), "card": "4111"}),
        plain(b'{"card":"4111","card":1}'),
        packed("4111" * (POLICY_INPUT_BYTES_MAX // 4)),  # larger as JSON
        plain(b"[" * 200 + b"]" * 200),
        message(headers={"Card": "4111", "card": "1"}),
    ):
        for _ in range(2):
            denied = asked.decide_now("publish", made)
            assert (denied.allow, denied.fault, denied.cached) == (
                False,
                "input",
                False,
            )
            assert "4111" not in denied.reasons[0]
    assert asked.decide_now("publish", packed({})).allow
    assert asked.stats().faults["input"] == 10


def example(place: Path) -> EmbeddedAuthorizer:
    """Return a policy that denies by the body as the reference page says."""
    return policies.ruled(
        place,
        "default denied := false",
        "denied if input.message.body.amount > 100",
        "denied if not input.message.body_readable",
        f"decision := {ALLOW} if not denied",
        f"decision := {DENY} if denied",
    )


def test_a_rule_can_deny_what_it_cannot_read(tmp_path: Path) -> None:
    """So that the sender's word on the content goes round nothing."""
    asked = example(tmp_path)
    content = b'{"amount":1000}'
    for kind in (JSON, "application/json; charset=utf-8", OCTETS, "x/y"):
        assert asked.decide_now("publish", plain(content, kind)).reasons == ("no",)
    assert asked.decide_now("publish", plain(b'{"amount":1}')).allow
