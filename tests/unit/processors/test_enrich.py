"""Enrich: what is derived is true; what is configured overrides only when told."""

from typing import Any

import pytest

from bus.core.errors import ConfigurationError, LimitExceededError
from bus.core.limits import HEADER_BYTES_MAX, HEADERS_MAX
from bus.core.message import Message
from processors.stages.enrich import Enrich, EnrichOptions
from tests.fakes.processing import message


def enrich(given_message: Message, **options: Any) -> Message:
    """Run a stage with `options`."""
    return Enrich(EnrichOptions(**options)).process(given_message, 0)


def test_static_and_derived_headers_are_added() -> None:
    """Beside what the sender set."""
    sent = message(headers={"mine": "1"}, root=b"\x01" * 16)
    derived = {
        "i": "id",
        "s": "subject",
        "p": "template",
        "t": "tenant",
        "a": "sender",
        "k": "type",
        "r": "root",
    }
    after = enrich(
        sent, headers={"by": "assent"}, derived=derived, templates=("x", "tasks.*")
    )
    assert after.headers == {
        "mine": "1",
        "by": "assent",
        "i": "00" * 16,
        "s": "tasks.new",
        "p": "tasks.*",
        "t": "acme",
        "a": "planner",
        "k": "event",
        "r": "01" * 16,
    }


def test_a_subject_under_no_template_is_other() -> None:
    """Templates stay few, whatever subjects there are."""
    after = enrich(message(), derived={"p": "template"}, templates=("orders.>",))
    assert after.headers == {"p": "other"}


def test_a_message_that_nothing_caused_is_its_own_root() -> None:
    """It is the root of what it will cause."""
    assert enrich(message(), derived={"r": "root"}).headers == {"r": "00" * 16}


def test_a_header_of_the_sender_stays_unless_told() -> None:
    """`override` is a decision of the operator."""
    sent = message(headers={"by": "me"})
    assert enrich(sent, headers={"by": "assent"}) is sent
    after = enrich(sent, headers={"by": "assent"}, override=True)
    assert after.headers == {"by": "assent"}


@pytest.mark.parametrize("override", [False, True])
@pytest.mark.parametrize("name", ["x-sender", "X-Sender", "X-SENDER"])
def test_a_derived_header_cannot_be_forged(name: str, override: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The sender's own gives way, however it is spelt, whatever `override` says."""
    sent = message(headers={name: "admin", "mine": "1"})
    after = enrich(sent, derived={"x-Sender": "sender"}, override=override)
    assert after.headers == {"mine": "1", "x-Sender": "planner"}


def test_a_configured_header_meets_the_senders_in_any_case() -> None:
    """There is never a second one of that name."""
    sent = message(headers={"X-By": "me"})
    assert enrich(sent, headers={"x-by": "assent"}) is sent
    after = enrich(sent, headers={"x-by": "assent"}, override=True)
    assert after.headers == {"x-by": "assent"}


def test_no_two_messages_share_their_headers() -> None:
    """A handler that changes its dict changes no other message."""
    stage = Enrich(EnrichOptions(headers={"by": "assent"}))
    first, second = stage.process(message(), 0), stage.process(message(), 0)
    assert first.headers is not second.headers


def test_headers_past_the_bounds_are_refused() -> None:
    """A stage may not make a message that a sender may not send."""
    many = {f"h{n}": "" for n in range(HEADERS_MAX)}
    with pytest.raises(LimitExceededError, match="headers"):
        enrich(message(headers=many), headers={"by": "assent"})
    with pytest.raises(LimitExceededError, match="header bytes"):
        enrich(message(headers={"a": "x" * HEADER_BYTES_MAX}), headers={"by": "a"})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"": "x"}},
        {"headers": {"a b": "x"}},
        {"headers": {"é": "x"}},
        {"headers": {"a": "x" * HEADER_BYTES_MAX}},
        {"headers": {f"h{n}": "" for n in range(HEADERS_MAX + 1)}},
        {"headers": {"a": "x"}, "derived": {"a": "tenant"}},
        {"headers": {"a": "x"}, "derived": {"A": "tenant"}},
        {"headers": {"a": "x", "A": "y"}},
        {"derived": {"a": "template"}},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    """Nothing to add, no name, too much, or two values for one header."""
    with pytest.raises(ConfigurationError, match="enrich"):
        Enrich(EnrichOptions(**options))
