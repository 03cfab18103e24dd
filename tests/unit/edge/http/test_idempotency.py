"""Answers that are remembered: bounded in number, bytes and share."""

import pytest

from bus.core.errors import OverloadedError
from bus.edge.caller import Caller
from bus.edge.http import idempotency
from bus.edge.http.idempotency import Keys
from bus.edge.http.problems import HttpError

ACME = Caller(agent="planner", tenant="acme")
GLOBEX = Caller(agent="spy", tenant="globex")


def key(number: int) -> tuple[str, str, str]:
    """Return a key of one agent's."""
    return ("planner", "do", str(number))


def keep(keys: Keys, caller: Caller, number: int, body: bytes = b"answer") -> None:
    """Carry a request out, and keep its answer."""
    assert keys.begin(caller, key(number), b"asked") is None
    keys.keep(caller, key(number), body)


def test_a_request_under_way_is_not_begun_again() -> None:
    """Until it has ended without an answer."""
    keys = Keys(lambda: 0)
    assert keys.begin(ACME, key(1), b"asked") is None
    with pytest.raises(HttpError, match="under way"):
        keys.begin(ACME, key(1), b"asked")
    with pytest.raises(HttpError, match="another"):
        keys.begin(ACME, key(1), b"other")
    keys.forget(ACME, key(1))
    keys.forget(ACME, key(1))
    assert (keys.begin(ACME, key(1), b"asked"), len(keys)) == (None, 1)


def test_a_tenant_takes_its_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own oldest go, nobody else's."""
    monkeypatch.setattr(idempotency, "IDEMPOTENCY_KEYS_MAX", 8)
    keys = Keys(lambda: 0)
    keep(keys, GLOBEX, 0)
    for number in range(10):
        keep(keys, ACME, number)
    assert len(keys) == 3
    assert keys.begin(GLOBEX, key(0), b"asked") == b"answer"
    assert keys.begin(ACME, key(9), b"asked") == b"answer"


def test_all_tenants_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the oldest go, tenant by tenant."""
    monkeypatch.setattr(idempotency, "IDEMPOTENCY_KEYS_MAX", 8)
    keys = Keys(lambda: 0)
    for number in range(20):
        keep(keys, Caller(agent="a", tenant=f"tenant{number}"), number)
    assert len(keys) == 8


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too large to keep is not kept."""
    monkeypatch.setattr(idempotency, "IDEMPOTENCY_BYTES_MAX", 40_000)
    keys = Keys(lambda: 0)
    for number in range(10):
        keep(keys, ACME, number, b"x" * 2_000)
    assert len(keys) == 3
    keep(keys, ACME, 99, b"x" * 20_000)
    assert len(keys) == 0


def test_without_any_room_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be carried out once only."""
    monkeypatch.setattr(idempotency, "IDEMPOTENCY_BYTES_MAX", 1_000)
    keys = Keys(lambda: 0)
    with pytest.raises(OverloadedError, match="table of keys"):
        keys.begin(ACME, key(1), b"asked")
    keys.keep(ACME, key(1), b"late")
    assert len(keys) == 0
