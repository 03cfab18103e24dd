"""Outcomes: each ending is a value, and unwraps to its receipt or its fault."""

import pytest

from bus.core import errors
from bus.core.decision import Decision, Principal
from bus.core.limits import LINEAGE_DEPTH_MAX, PAYLOAD_BYTES_MAX
from bus.core.outcome import Accepted, Denied, Dropped, Failed, Held, Receipt, Rejected

ID = bytes(range(16))
DECISION = Decision(
    allow=True, reasons=("role: planner",), revision="r7", digest="d1", cached=True
)


def test_an_accepted_message_has_a_receipt_of_the_decision() -> None:
    """The receipt names the message, the decision, its revision and its input."""
    outcome = Accepted(id=ID, decision=DECISION, deliveries=3)
    receipt = Receipt(
        message_id=ID.hex(),
        decision_id=ID.hex(),
        revision="r7",
        input_digest="d1",
        cached=True,
        deliveries=3,
    )
    assert outcome.receipt == receipt
    assert outcome.unwrap() == receipt


def test_a_denied_message_unwraps_to_the_reasons() -> None:
    """Who was denied can read why, and under which revision."""
    outcome = Denied(id=ID, reasons=("no role", "other tenant"), revision="r7")
    with pytest.raises(errors.DeniedError, match=r"^no role; other tenant$") as caught:
        outcome.unwrap()
    assert caught.value.reasons == outcome.reasons
    assert caught.value.decision_id == ID.hex()
    assert caught.value.revision == "r7"


def test_a_deny_without_a_reason_is_the_default() -> None:
    """Policy that says nothing denies, and the error says so."""
    with pytest.raises(errors.DeniedError, match="denied by default"):
        Denied(id=ID, reasons=(), revision="r7").unwrap()


def test_a_dropped_message_unwraps_to_the_stage_and_its_reason() -> None:
    """It says which stage ended the message."""
    with pytest.raises(errors.DroppedError, match=r"^sample: one in ten$"):
        Dropped(id=ID, by="sample", reason="one in ten").unwrap()


def test_a_rejected_message_unwraps_to_its_fault() -> None:
    """Code and reason are those of the error, which is raised itself."""
    fault = errors.SubjectError("an empty token")
    outcome = Rejected(id=ID, error=fault)
    assert (outcome.code, outcome.reason) == ("bad_subject", "an empty token")
    with pytest.raises(errors.SubjectError) as caught:
        outcome.unwrap()
    assert caught.value is fault


def test_a_failed_message_says_when_to_try_again_if_that_is_known() -> None:
    """Only a full queue knows when trying again is worth it."""
    full = Failed(id=ID, error=errors.OverloadedError("queue", retry_after_s=0.5))
    late = Failed(id=ID, error=errors.RequestTimeoutError("no reply"))
    assert (full.retry_after_s, late.retry_after_s) == (0.5, None)
    assert (full.code, late.code) == ("overloaded", "timeout")
    assert full.reason == "queue is full; try again in 0.5 s"
    with pytest.raises(errors.RequestTimeoutError, match="no reply"):
        late.unwrap()


def test_an_outcome_cannot_be_changed() -> None:
    """A deny stays a deny."""
    outcome = Denied(id=ID, reasons=(), revision="r7")
    with pytest.raises(AttributeError):
        outcome.revision = "r8"  # type: ignore[misc]  # the test is that it fails


def test_a_decision_without_obligations_bounds_as_the_bus_does() -> None:
    """What policy does not narrow is what the limits say."""
    assert DECISION.body_bytes_max == PAYLOAD_BYTES_MAX
    assert DECISION.depth_max == LINEAGE_DEPTH_MAX
    assert DECISION.ttl_ns is None
    assert DECISION.redact_headers == frozenset()
    assert Principal(id="planner", tenant="acme").roles == ()


def test_every_ending_but_accepted_has_a_code_and_a_reason() -> None:
    """Whoever logs an outcome need not know which it is."""
    denied = Denied(id=ID, reasons=("no role", "not now"), revision="r7")
    dropped = Dropped(id=ID, by="redact", reason="nothing left")
    assert (denied.code, denied.reason) == ("denied", "no role; not now")
    assert (dropped.code, dropped.reason) == ("dropped", "nothing left")


def test_a_held_message_is_an_error_where_an_ending_was_wanted() -> None:
    """With its own code, and what it waits for."""
    held = Held(bytes(16), "a person looks first", "r1", 5)
    assert held.code == errors.HeldError.code == "held"
    with pytest.raises(errors.HeldError, match="a person looks first"):
        held.unwrap()
