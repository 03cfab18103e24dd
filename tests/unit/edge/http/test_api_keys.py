"""Idempotency keys on the routes of operations."""

import pytest

from bus.core.errors import (
    OverloadedError,
)
from tests.fakes.operations import serving


async def test_under_one_key_a_request_is_carried_out_once() -> None:
    """For each agent by itself."""
    async with serving() as site:
        body, headers = {"text": "x"}, {"Idempotency-Key": "k1"}
        first = await site.ask("POST", "/v1/things", json=body, headers=headers)
        assert "Idempotent-Replayed" not in site.headers
        again = await site.ask("POST", "/v1/things", json=body, headers=headers)
        assert (first, site.desk.done) == (again, 1)
        assert site.headers["Idempotent-Replayed"] == "true"
        other = {"text": "y"}
        refused = await site.refused("POST", "/v1/things", json=other, headers=headers)
        assert refused == (409, "key_reused")
        for theirs in ({"X-Agent": "critic"}, {"X-Tenant": "globex"}):
            await site.ask("POST", "/v1/things", json=body, headers=headers | theirs)
        assert site.desk.done == 3


async def test_what_was_refused_may_be_tried_again_under_its_key() -> None:
    """Nothing was done, so nothing is repeated."""
    async with serving() as site:
        body, headers = {"text": "x"}, {"Idempotency-Key": "k1"}
        site.desk.wrong = OverloadedError("it", retry_after_s=1)
        refused = await site.refused("POST", "/v1/things", json=body, headers=headers)
        assert refused == (429, "overloaded")
        site.desk.wrong = None
        status, _ = await site.ask("POST", "/v1/things", json=body, headers=headers)
        assert (status, site.desk.done) == (202, 2)


@pytest.mark.parametrize("key", ["", "k" * 129, "a b", "ü"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    """Before anything is done."""
    async with serving() as site:
        headers = {"Idempotency-Key": key}
        refused = await site.refused(
            "POST", "/v1/things", json={"text": "x"}, headers=headers
        )
        assert (refused, site.desk.done) == ((400, "malformed"), 0)


async def test_two_keys_are_refused() -> None:
    """Which one would count?"""
    async with serving() as site:
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        refused = await site.refused(
            "POST", "/v1/things", json={"text": "x"}, headers=headers
        )
        assert refused == (400, "malformed")


async def test_after_a_while_a_key_is_forgotten() -> None:
    """By the clock of the bus."""
    times = [0]
    async with serving(now_ns=lambda: times[0]) as site:
        body, headers = {"text": "x"}, {"Idempotency-Key": "k1"}
        await site.ask("POST", "/v1/things", json=body, headers=headers)
        times[0] = 3_600 * 10**9
        await site.ask("POST", "/v1/things", json=body, headers=headers)
        assert site.desk.done == 2
