"""Redact: headers and fields go, in every disguise."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core.errors import BodyTypeError, ConfigurationError, LimitExceededError
from bus.core.limits import NAMES_MEMO_MAX, REDACT_NODES_MAX, REDACT_PATHS_MAX
from bus.core.message import JSON, MSGPACK, OCTETS, Message
from processors.stages.redact import Redact, RedactOptions
from tests.fakes.processing import message


def redact(given_message: Message, **options: Any) -> Message:
    """Run a stage with `options`."""
    return Redact(RedactOptions(**options)).process(given_message, 0)


def test_a_named_header_goes_in_any_case() -> None:
    """A sender cannot keep a header by spelling it differently."""
    sent = message(headers={"AuthoriZation": "x", "trace": "1"})
    assert redact(sent, headers=("authorization",)).headers == {"trace": "1"}


def test_a_name_seen_asharmless_hides_no_other() -> None:
    """The memo of harmless names never lets a named header through."""
    stage = Redact(RedactOptions(headers=("Secret",)))
    stage.process(message(headers={"a": "1", "secret": "2"}), 0)
    assert stage.process(message(headers={"a": "1"}), 0).headers == {"a": "1"}
    assert stage.process(message(headers={"a": "1", "secret": "2"}), 0).headers == {
        "a": "1"
    }


def test_the_memo_of_names_is_bounded() -> None:
    """A sender that cycles names fills nothing up and still passes."""
    stage = Redact(RedactOptions(headers=("secret",)))
    for number in range(NAMES_MEMO_MAX + 10):
        sent = message(headers={f"h{number}": "1"})
        assert stage.process(sent, 0) is sent
    assert len(stage.harmless) == NAMES_MEMO_MAX
    assert stage.process(message(headers={"secret": "1"}), 0).headers == {}


@pytest.mark.parametrize("content_type", [MSGPACK, JSON])
def test_a_field_is_masked_wherever_the_path_leads(content_type: str) -> None:
    """Through maps, lists and `*`, in both formats; the rest stays."""
    codec = msgspec.msgpack if content_type == MSGPACK else msgspec.json
    tree = {
        "users": [{"password": "a", "n": 1}, [{"password": 2}]],
        "k": {"a": {"t": 1}},
    }
    sent = message(content_type=content_type, body=codec.encode(tree))
    after = redact(sent, fields=("users.password", "k.*.t"))
    assert after.content_type == content_type
    assert codec.decode(after.body) == {
        "users": [{"password": "***", "n": 1}, [{"password": "***"}]],
        "k": {"a": {"t": "***"}},
    }


def test_a_key_spelt_as_binary_is_masked() -> None:
    """MessagePack lets a key be binary; some readers take it for text."""
    sent = message(body=msgspec.msgpack.encode({b"password": "x"}))
    assert b"x" not in redact(sent, fields=("password",)).body.replace(b"***", b"")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"password":"hunter2"},"a":{}}',
        b'{"a":{"pass\\u0077ord":"hunter2"}}',
        b'{"a":{"password":"hunter2","password":"x"}}',
        b'{"a":{"pass\\u0077ord":"hunter2"},"a":1}',
    ],
)
def test_a_doubled_or_escaped_key_hides_nothing(body: bytes) -> None:
    """What a lenient reader could still find in the bytes is gone from them."""
    after = redact(message(content_type=JSON, body=body), fields=("a.password",))
    assert b"hunter2" not in after.body


@pytest.mark.parametrize("content_type", [MSGPACK, JSON])
@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b'{"a"', b"\xa2\xff\xff", b"\x91" * 5_000]
)
def test_a_malformed_body_fails(content_type: str, body: bytes) -> None:
    """What cannot be parsed is not let through."""
    with pytest.raises(BodyTypeError, match="redact"):
        redact(message(content_type=content_type, body=body), fields=("a",))


def test_an_opaque_body_is_refused_unless_told() -> None:
    """Bytes of unknown make cannot be looked into."""
    sent = message(content_type=OCTETS, body=b"password=x")
    with pytest.raises(BodyTypeError, match="octet-stream"):
        redact(sent, fields=("password",))
    assert redact(sent, fields=("password",), opaque="pass") is sent


LISTS = b"\xdd" + REDACT_NODES_MAX.to_bytes(4, "big") + b"\x90" * REDACT_NODES_MAX


def test_looks_at_a_body_are_bounded() -> None:
    """The bound itself is fine; one more, or a second path through it, is refused."""
    stage = Redact(RedactOptions(fields=("a.b",)))
    at_bound = message(body=LISTS)
    assert stage.process(at_bound, 0) is at_bound
    beyond = b"\xdd" + (REDACT_NODES_MAX + 1).to_bytes(4, "big") + LISTS[5:] + b"\x90"
    with pytest.raises(LimitExceededError, match="redact: body nodes") as caught:
        stage.process(message(body=beyond), 0)
    assert caught.value.allowed == REDACT_NODES_MAX
    with pytest.raises(LimitExceededError, match="redact: body nodes"):
        redact(at_bound, fields=("a.b", "c.d"))


def test_keys_under_a_wildcard_are_looks() -> None:
    """A map is no way round the bound, at the end of a path or on the way."""
    tree = dict.fromkeys(range(REDACT_NODES_MAX + 1), 0)
    sent = message(body=msgspec.msgpack.encode(tree))
    for field in ("*", "*.a"):
        with pytest.raises(LimitExceededError, match="redact: body nodes"):
            redact(sent, fields=(field,))


def test_masking_twice_changes_nothing_more() -> None:
    """A body that is masked already is unchanged."""
    once = redact(message(body=msgspec.msgpack.encode({"a": 1})), fields=("a",))
    assert redact(once, fields=("a",)) is once


@given(
    tree=st.recursive(
        st.sampled_from(["s3cret"]) | st.integers(0, 9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
        ),
        max_leaves=10,
    )
)
def test_nothing_named_survives(tree: Any) -> None:
    """Property: after `*` and `*.*`, no map two deep holds anything but the mask."""
    sent = message(content_type=JSON, body=json.dumps({"top": tree}).encode())
    after = msgspec.json.decode(redact(sent, fields=("top.*",)).body)["top"]
    todo = [after]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            assert set(node.values()) <= {"***"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fields": ("a..b",)},
        {"fields": ("",)},
        {"headers": tuple(str(n) for n in range(REDACT_PATHS_MAX + 1))},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    """A stage that redacts nothing, or an empty token, is a mistake."""
    with pytest.raises(ConfigurationError, match="redact"):
        Redact(RedactOptions(**options))
