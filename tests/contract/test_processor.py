"""The Processor port's promises, kept by every built-in stage."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core.errors import BusError
from bus.core.message import JSON, MSGPACK, OCTETS, Message
from bus.ports import Processor
from processors import registry
from tests.fakes.processing import message

OPTIONS: dict[str, dict[str, Any]] = {
    "redact": {"headers": ["secret"], "fields": ["user.password"]},
    "enrich": {"headers": {"x-by": "assent"}, "derived": {"x-tenant": "tenant"}},
    "rate_limit": {"per": "agent", "rate_per_s": 1.0, "burst": 1_000_000},
}
UNCHANGED: dict[str, Message] = {
    "redact": message(headers={"x": "y"}, body=msgspec.msgpack.encode({"user": 1})),
    "enrich": message(headers={"x-by": "me", "x-tenant": "acme"}),
    "rate_limit": message(),
}
MAY_CHANGE = {"body", "content_type", "headers", "expires_ns"}

bodies = st.one_of(
    st.binary(max_size=64),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["user", "password", "x"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ).map(msgspec.msgpack.encode),
)
messages = st.builds(
    message,
    body=bodies,
    content_type=st.sampled_from([JSON, MSGPACK, OCTETS]),
    headers=st.dictionaries(
        st.sampled_from(["secret", "SECRET", "x-by", "x"]), st.text(max_size=8)
    ),
    sender=st.sampled_from(["planner", "worker"]),
)


@pytest.fixture(params=sorted(registry.BUILT_IN["stage"]))
def stage(request: pytest.FixtureRequest) -> Processor:
    """Each built-in stage."""
    name: str = request.param
    return registry.stage(name, OPTIONS[name])


def test_every_built_in_stage_is_under_contract() -> None:
    """A new stage joins this suite."""
    assert set(OPTIONS) == set(UNCHANGED) == set(registry.BUILT_IN["stage"])


def test_the_name_is_the_one_in_the_configuration(stage: Processor) -> None:
    """What outcomes name can be found in the settings."""
    assert registry.stage(stage.name, OPTIONS[stage.name]).name == stage.name


def test_an_unchanged_message_is_the_same_object(stage: Processor) -> None:
    """The pipeline tells a change by identity."""
    given_message = UNCHANGED[stage.name]
    assert stage.process(given_message, 1_000) is given_message


@given(given_message=messages)
@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_no_other_field_changes_and_no_other_error_is_raised(
    name: str, given_message: Message
) -> None:
    """Whatever comes in, a stage changes four fields at most or raises a typed error."""
    before = msgspec.msgpack.encode(given_message)
    try:
        after = registry.stage(name, OPTIONS[name]).process(given_message, 1_000)
    except BusError:
        after = given_message
    assert isinstance(after, Message)
    assert msgspec.msgpack.encode(given_message) == before
    for field in set(Message.__struct_fields__) - MAY_CHANGE:
        assert getattr(after, field) == getattr(given_message, field)
