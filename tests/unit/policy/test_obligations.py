"""Only policy's own `true` allows, and what it obliges is never lost."""

import json
from typing import Any

import pytest

from bus import Delivery
from bus.core.decision import Decision
from bus.core.limits import (
    ERROR_CHARS_MAX,
    LINEAGE_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
    POLICY_OBLIGATIONS_MAX,
    POLICY_REASONS_MAX,
)
from policy import obligations
from tests.fakes.buses import data, new_bus


def decided(answer: object) -> tuple[Decision, bool]:
    """Return the decision that an answer stands for."""
    return obligations.decision(json.dumps(answer), revision="r", digest="d")


def obliged(*told: dict[str, Any]) -> Decision:
    """Return an allow with these obligations."""
    answer = {"allow": True, "reasons": [], "obligations": list(told)}
    made, policys_own = decided(answer)
    assert policys_own is made.allow
    return made


def test_true_allows() -> None:
    """An allow names its revision and digest."""
    made, policys_own = decided({"allow": True})
    assert policys_own
    assert made == Decision(allow=True, reasons=(), revision="r", digest="d")


@pytest.mark.parametrize(
    "allow", [1, 1.0, "true", "<undefined>", [True], {"a": True}, None]
)
def test_nothing_but_true_allows(allow: object) -> None:
    """Guard: only `allow is True` allows; what is merely truthy denies."""
    made, policys_own = decided({"allow": allow, "reasons": [], "obligations": []})
    assert (made.allow, policys_own) == (False, False)
    assert "no decision" in made.reasons[0]


@pytest.mark.parametrize(
    "answer", [True, "<undefined>", [], {}, 1, None, {"reasons": []}, {"allow": []}]
)
def test_an_answer_that_is_no_decision_denies(answer: object) -> None:
    """Guard: a bare `true` is no decision either."""
    made, policys_own = decided(answer)
    assert (made.allow, policys_own) == (False, False)


def test_text_that_is_not_json_denies() -> None:
    """Whatever the engine says."""
    made, policys_own = obligations.decision("{", revision="r", digest="d")
    assert (made.allow, policys_own) == (False, False)


def test_a_deny_keeps_its_reasons() -> None:
    """They are written for a person."""
    made, policys_own = decided({"allow": False, "reasons": ["a", "b"]})
    assert (made.allow, made.reasons, policys_own) == (False, ("a", "b"), True)


def test_a_deny_without_a_reason_gets_one() -> None:
    """Nobody is refused in silence."""
    assert decided({"allow": False})[0].reasons == ("policy denied without a reason",)


def test_obligations_are_made_ready() -> None:
    """Each known one fills its field, and all are kept as they were written."""
    told = (
        {"type": "limit", "body_bytes": 100, "depth": 3},
        {"type": "ttl", "seconds": 1.5},
        {"type": "redact", "headers": ["a", "b"]},
    )
    made = obliged(*told)
    assert made.obligations == told
    assert (made.body_bytes_max, made.depth_max) == (100, 3)
    assert made.ttl_ns == 1_500_000_000
    assert made.redact_headers == {"a", "b"}


def test_header_names_are_made_ready_in_lower_case() -> None:
    """They are compared so, and header names have no case."""
    made = obliged({"type": "redact", "headers": ["X-Api-Key"]})
    assert made.redact_headers == {"x-api-key"}


@pytest.mark.parametrize("sent", ["X-Api-Key", "x-api-key", "X-API-KEY"])
async def test_a_header_that_a_role_redacts_is_gone_however_it_is_spelt(
    sent: str,
) -> None:
    """Through a whole bus: the data says it in capitals, the sender in any way."""
    role = {
        "publish": [{"subject": "t.x"}],
        "subscribe": ["t.x"],
        "redact_headers": ["X-Api-Key"],
    }
    got: list[dict[str, str]] = []
    async with new_bus(data(all=role)) as bus:

        @bus.agent("worker").subscriber("t.x")
        async def take(delivery: Delivery) -> None:
            got.append(delivery.message.headers)

        headers = {sent: "s3cret", "trace": "1"}
        await bus.agent("planner").publish("t.x", 1, headers=headers)
        await bus.settle()
    assert got == [{"trace": "1"}]


def test_the_strictest_obligation_wins() -> None:
    """Whatever the order."""
    told: list[dict[str, Any]] = [
        {"type": "limit", "body_bytes": 100},
        {"type": "limit", "body_bytes": 200, "depth": 3},
        {"type": "limit", "depth": 4},
        {"type": "ttl", "seconds": 60},
        {"type": "ttl", "seconds": 30},
        {"type": "redact", "headers": ["a"]},
        {"type": "redact", "headers": ["b"]},
    ]
    for order in (told, told[::-1]):
        made = obliged(*order)
        assert (made.body_bytes_max, made.depth_max) == (100, 3)
        assert made.ttl_ns == 30_000_000_000
        assert made.redact_headers == {"a", "b"}


def test_an_obligation_cannot_widen_a_bound_of_the_bus() -> None:
    """Policy may only tighten."""
    made = obliged({"type": "limit", "body_bytes": 1 << 40, "depth": 1 << 40})
    assert made.body_bytes_max == PAYLOAD_BYTES_MAX
    assert made.depth_max == LINEAGE_DEPTH_MAX


@pytest.mark.parametrize(
    "told",
    [
        {"type": "quarantine"},
        {"type": ["limit"]},
        {},
        {"type": "limit", "body_bytes": "100"},
        {"type": "limit", "body_bytes": -1},
        {"type": "limit", "bytes": 100},
        {"type": "ttl"},
        {"type": "ttl", "seconds": 0},
        {"type": "ttl", "seconds": True},
        {"type": "redact", "headers": "authorization"},
        {"type": "redact", "headers": [1]},
    ],
)
def test_an_obligation_that_cannot_be_carried_out_denies(told: dict[str, Any]) -> None:
    """What the bus does not know it cannot have done."""
    made = obliged(told)
    assert not made.allow
    assert "obligation" in made.reasons[0]
    assert repr(told.get("type")) in made.reasons[0]


def test_reasons_and_obligations_are_bounded() -> None:
    """An answer past a bound is no decision; a long reason is cut."""
    many = ["r"] * (POLICY_REASONS_MAX + 1)
    assert not decided({"allow": True, "reasons": many})[1]
    limits = [{"type": "limit"}] * (POLICY_OBLIGATIONS_MAX + 1)
    assert not decided({"allow": True, "obligations": limits})[1]
    long = decided({"allow": False, "reasons": ["r" * (ERROR_CHARS_MAX + 1)]})[0]
    assert len(long.reasons[0]) == ERROR_CHARS_MAX
