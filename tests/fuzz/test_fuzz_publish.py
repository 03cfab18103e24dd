"""Anything at all given to `publish`: an outcome each time, and no rule broken by one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from bus import Accepted, Denied, Dropped, Failed, Rejected
from bus.core import subject as grammar
from bus.core.errors import BusError, ProtocolError
from bus.core.limits import (
    CLAIM_BYTES_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    PAYLOAD_BYTES_MAX,
    PUBLISH_WAIT_S_MAX,
    SUBJECT_BYTES_MAX,
    SUBJECT_TOKENS_MAX,
    TTL_S_MAX,
)
from bus.core.message import ASKED_HEADERS, MESSAGE_TYPES, Message
from bus.subscription import Delivery
from tests.fakes.buses import Background, PartsBus, totals
from tests.fakes.busparts import tapped

OUTCOMES = (Accepted, Denied, Dropped, Rejected, Failed)
FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.dates()
    | st.builds(object),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)
tokens = st.text("ab$*> .\x00é\udc80-/~", max_size=6)
subjects = st.lists(tokens, max_size=20).map(".".join)


async def _take(delivery: Delivery) -> None:
    """Take whatever comes."""


def with_bus(
    drive: Callable[[PartsBus, list[Message]], Coroutine[Any, Any, None]],
) -> list[Message]:
    """Drive a bus with a subscriber to everything; return what was kept."""
    kept: list[Message] = []

    async def run() -> None:
        hand = tapped(lambda message, _: kept.append(message))
        async with PartsBus(hand=hand) as bus:
            bus.agent("worker").subscribe(">", _take)
            await drive(bus, kept)
            await bus.settle()
            counts = totals(bus)
            assert counts.accepted == len(kept)
            assert counts.accepted == counts.delivered + counts.expired
            assert counts.dead == counts.refused == 0

    asyncio.run(run())
    return kept


def within_the_rules(message: Message) -> None:
    """Raise unless a kept message keeps every rule a publisher must keep."""
    grammar.parse(message.subject)
    assert not message.subject.startswith("$")
    assert len(message.subject) <= SUBJECT_BYTES_MAX
    assert message.subject.count(".") < SUBJECT_TOKENS_MAX
    assert message.type in MESSAGE_TYPES
    assert message.priority in {0, 1, 2, 3}
    assert type(message.body) is bytes
    assert len(message.body) <= PAYLOAD_BYTES_MAX
    own = message.headers.keys() - ASKED_HEADERS
    assert len(own) <= HEADERS_MAX
    size = 0
    for name, value in message.headers.items():
        assert name
        assert name.isascii()
        assert name.isprintable()
        assert value.isprintable()
        if name in own:
            size += len(name) + len(value.encode("utf-8", "surrogatepass"))
    assert size <= HEADER_BYTES_MAX
    for claim in (message.correlation, message.causation):
        assert claim is None or (claim.isascii() and len(claim) <= CLAIM_BYTES_MAX)
    if message.expires_ns is not None:
        life_ns = message.expires_ns - message.created_ns
        assert 0 <= life_ns <= TTL_S_MAX * 1e9
    assert (message.sender, message.tenant) == ("planner", "acme")
    assert (message.root, message.parent, message.depth) == (None, None, 0)


@FEW
@given(st.lists(st.tuples(subjects | anything, anything), max_size=8))
def test_any_subject_and_body_end_as_an_outcome(items: list[tuple[Any, Any]]) -> None:
    """Accepted only what the grammar and the encoder take."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        for subject, body in items:
            outcome = await bus.agent("planner").publish(subject, body)
            assert isinstance(outcome, OUTCOMES)
            if not isinstance(outcome, Accepted):
                assert isinstance(outcome, Rejected), outcome
                assert isinstance(outcome.error, ProtocolError)

    for message in with_bus(drive):
        within_the_rules(message)


options = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(sorted(MESSAGE_TYPES)) | anything,
        "priority": st.integers(-1, 4) | anything,
        "headers": st.dictionaries(
            st.text(max_size=10), st.text(max_size=10), max_size=40
        )
        | anything,
        "ttl": st.floats() | anything,
        "reply_to": subjects | anything,
        "correlation": st.text(max_size=200) | anything,
        "causation": st.text(max_size=200) | anything,
        "wait": st.floats(-1, PUBLISH_WAIT_S_MAX * 2) | anything,
    },
)


@FEW
@given(st.lists(options, min_size=1, max_size=5))
def test_any_options_end_as_an_outcome(many: list[dict[str, Any]]) -> None:
    """Accepted only what the rules allow; the rest is Rejected, never raised."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        for chosen in many:
            outcome = await bus.agent("planner").publish("a.b", 1, **chosen)
            assert isinstance(outcome, (Accepted, Rejected)), outcome

    for message in with_bus(drive):
        within_the_rules(message)


@FEW
@given(st.lists(st.tuples(subjects | anything, anything), max_size=6))
def test_publish_many_never_loses_count(items: list[tuple[Any, Any]]) -> None:
    """One outcome for each item, whatever the items are."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        outcomes = await bus.agent("planner").publish_many(items)
        assert len(outcomes) == len(items)
        assert all(isinstance(outcome, OUTCOMES) for outcome in outcomes)

    for message in with_bus(drive):
        within_the_rules(message)


@FEW
@given(st.lists(st.tuples(subjects | anything, anything), max_size=5))
def test_requests_and_broadcasts_raise_nothing_but_errors_of_the_bus(
    items: list[tuple[Any, Any]],
) -> None:
    """Whoever catches BusError has caught all."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        for subject, body in items:
            outcome = await bus.agent("critic").broadcast(subject, body)
            assert isinstance(outcome, OUTCOMES)
            async with Background() as background:
                asked = background.run(
                    bus.agent("critic").request(subject, body, timeout=1)
                )
                await bus.advance(2)
                answer = asked.result()  # the subscriber says nothing: None
                assert answer is None or isinstance(answer, BusError)

    for message in with_bus(drive):
        if message.subject.startswith("$"):
            assert (message.type, message.sender) == ("response", "worker")
        grammar.parse(message.subject)


@FEW
@given(subjects | anything)
def test_any_pattern_is_subscribed_to_or_refused(pattern: Any) -> None:
    """With an error of the bus, and never half."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        before = bus.stats().subscriptions
        try:
            bus.agent("critic").subscribe(pattern, _take)
        except BusError:
            assert bus.stats().subscriptions == before
        else:
            grammar.parse_pattern(pattern)
            assert bus.stats().subscriptions == before + 1
            assert not pattern.startswith("$") or pattern.startswith("$DEAD.")

    with_bus(drive)
