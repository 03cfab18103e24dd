"""Codes of a node become the errors that the embedded bus would have raised."""

import pytest

from bus.core import edgeerrors, errors
from bus.core.errors import (
    AuditBrokenError,
    BusError,
    DeniedError,
    HashMismatchError,
    LimitExceededError,
    OverloadedError,
    ProtocolError,
    UnavailableError,
)
from bus.remote.faults import (
    KINDS,
    NodeFaultError,
    RemoteError,
    Told,
    failed,
    fault,
    rejected,
)

ALL = sorted(
    {
        kind
        for module in (errors, edgeerrors)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BusError)
    },
    key=lambda kind: kind.code,
)


EXAMPLES: dict[type[BusError], BusError] = {
    DeniedError: DeniedError(("no", "never"), decision_id="d1", revision="r1"),
    LimitExceededError: LimitExceededError(
        "ttl seconds", actual=1e12, allowed=86_400.0
    ),
    OverloadedError: OverloadedError("worker/a", retry_after_s=0.25),
    HashMismatchError: HashMismatchError(actual="a'b", expected="cdd01ef066bc6cf2"),
    AuditBrokenError: AuditBrokenError("chain broken", line=7),
}
"""Of classes that make their text themselves, errors as the bus raises them."""


def as_told(error: BusError) -> Told:
    """Return what a node says of an error."""
    if isinstance(error, DeniedError):
        return Told(
            code=error.code,
            text=str(error),
            reasons=error.reasons,
            revision=error.revision,
            decision_id=error.decision_id,
        )
    retry_after_s = error.retry_after_s if isinstance(error, OverloadedError) else None
    return Told(code=error.code, text=str(error), retry_after_s=retry_after_s)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_every_code_has_its_class_and_its_words(kind: type[BusError]) -> None:
    """And what an error carries is carried over."""
    assert KINDS[kind.code] is kind
    error = EXAMPLES.get(kind) or kind("it is so")
    again = fault(as_told(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_words_of_another_make_are_kept(kind: type[BusError]) -> None:
    """A node that words it otherwise is heard as well."""
    again = fault(Told(code=kind.code, text="something else entirely"))
    assert type(again) is kind
    assert "something else entirely" in str(again)


def test_numbers_that_are_none_are_not_guessed() -> None:
    """The text stays."""
    odd = fault(Told(code="limit_exceeded", text="frames: e > 1.2.3"))
    assert isinstance(odd, LimitExceededError)
    assert (odd.actual, odd.allowed) == (0.0, 0.0)


def test_a_code_that_nobody_knows_is_said() -> None:
    """By a newer node."""
    assert isinstance(fault(Told(code="brand_new", text="x")), RemoteError)
    assert str(fault(Told(code="brand_new", text="x"))) == "brand_new: x"


def test_what_only_a_door_says_has_a_class() -> None:
    """By who must act."""
    assert isinstance(fault(Told(code="internal", text="x")), NodeFaultError)
    assert isinstance(fault(Told(code="too_large", text="x")), ProtocolError)
    conflict = fault(Told(code="precondition_failed", text="x"))
    assert isinstance(conflict, edgeerrors.ConflictError)


def test_an_outcomes_error_is_of_the_outcomes_kind() -> None:
    """Whatever the code says."""
    told = Told(code="denied", text="x")
    assert type(rejected(told)) is ProtocolError
    assert type(failed(told)) is UnavailableError
    assert type(rejected(Told(code="malformed", text="x"))).code == "malformed"
    assert type(failed(Told(code="timeout", text="x"))).code == "timeout"
