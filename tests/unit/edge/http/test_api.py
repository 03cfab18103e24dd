"""Operations as routes: what comes in, what is refused, and what goes out."""

import gzip
import io
from collections.abc import AsyncIterator

import pytest

from bus.core.edgeerrors import ConflictError
from bus.core.edgelimits import (
    HTTP_REQUEST_BYTES_MAX,
    JSON_CONTAINERS_MAX,
    JSON_DEPTH_MAX,
    QUERY_BYTES_MAX,
)
from bus.core.errors import (
    DeniedError,
    LimitExceededError,
    OverloadedError,
    PolicyUnavailableError,
)
from bus.edge.caller import Scope
from tests.fakes.operations import serving


async def test_fields_come_from_path_and_query() -> None:
    """Decoded as the type says, and a list from each time it is there."""
    async with serving() as site:
        status, told = await site.ask("GET", "/v1/things/a%20b?n=7&many=x&many=y")
        assert (status, told["id"], told["n"]) == (200, "a b", 7)
        assert told["many"] == ["x", "y"]
        assert site.headers["Link"].endswith('after=cursor>; rel="next"')


@pytest.mark.parametrize(
    "query", ["n=0", "n=x", "n=1&n=2", "id=other", "unknown=1", "n="]
)
async def test_a_query_that_is_not_what_the_type_says_is_refused(query: str) -> None:
    """Doubled, unknown and what belongs in the path included."""
    async with serving() as site:
        path = f"/v1/things/a?{query}"
        assert await site.refused("GET", path) == (400, "malformed")


async def test_a_query_longer_than_any_is_refused() -> None:
    """And any at all, where all comes from the body."""
    async with serving() as site:
        path = "/v1/things/a?many=" + "x" * QUERY_BYTES_MAX
        assert await site.refused("GET", path) == (414, "uri_too_long")
        assert await site.refused("POST", "/v1/things?n=1", json={"text": "x"}) == (
            400,
            "malformed",
        )


async def test_a_body_where_none_belongs_is_refused() -> None:
    """A proxy may or may not pass it on."""
    async with serving() as site:
        sent = await site.refused("GET", "/v1/things/a", data=b"{}")
        assert sent == (400, "malformed")


async def test_what_the_caller_has_is_not_sent_again() -> None:
    """By weak comparison, as RFC 9110 wants it."""
    async with serving() as site:
        await site.ask("GET", "/v1/things/a")
        tag = site.headers["ETag"]
        for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            headers = {"If-None-Match": given}
            assert await site.ask("GET", "/v1/things/a", headers=headers) == (304, None)
        headers = {"If-None-Match": '"other"'}
        assert (await site.ask("GET", "/v1/things/a", headers=headers))[0] == 200
        status, told = await site.ask("HEAD", "/v1/things/a")
        assert (status, told, site.headers["ETag"]) == (200, None, tag)


async def test_a_change_is_made_only_to_what_the_caller_has_seen() -> None:
    """A conflict is a failed precondition where there was one."""
    async with serving() as site:
        path, body = "/v1/things/a", {"text": "new"}
        status, told = await site.ask(
            "PUT", path, json=body, headers={"If-Match": '"v1"'}
        )
        assert (status, told["text"], site.headers["ETag"]) == (200, "new", '"v2"')
        old = {"If-Match": '"v0"'}
        refused = await site.refused("PUT", path, json=body, headers=old)
        assert refused == (412, "conflict")


async def test_a_condition_that_nothing_checks_is_refused() -> None:
    """To pass it over would be to say that it held."""
    async with serving() as site:
        condition = {"If-Match": '"x"'}
        for method, path in (("GET", "/v1/things/a"), ("POST", "/v1/things")):
            body = {"json": {"text": "x"}} if method == "POST" else {}
            refused = await site.refused(method, path, headers=condition, **body)
            assert refused == (412, "precondition_failed")
        assert site.desk.done == 0


async def test_a_body_without_what_may_be_left_out_may_be_left_out() -> None:
    """No body is an empty object."""
    async with serving() as site:
        assert (await site.ask("PUT", "/v1/things/a"))[1]["text"] == "none"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed"),
        (b"[]", "malformed"),
        (b'{"text":1}', "malformed"),
        (b'{"text":"x","more":1}', "malformed"),
        (b'{"text":"\xff"}', "malformed"),
        (b'{"text":"\\ud800"}', "malformed"),
        (b'{"text":"x","value":1e999}', "malformed"),
        (b'{"text":"x","value":' + b"9" * 5_000 + b"}", "malformed"),
        (b'{"text":"x","value":NaN}', "malformed"),
        (b'{"text":"x","idempotency_key":"k"}', "malformed"),
        (b'{"text":"x","value":' + b"[" * (JSON_DEPTH_MAX + 1), "limit_exceeded"),
        (b'{"text":"x","value":' + b'{"a":' * 100_000, "limit_exceeded"),
        (
            b'{"text":"x","value":[' + b"[]," * JSON_CONTAINERS_MAX + b"[]]}",
            "limit_exceeded",
        ),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(body: bytes, code: str) -> None:
    """Deep, wide, cut, in a wrong encoding: nothing is done."""
    async with serving() as site:
        headers = {"Content-Type": "application/json"}
        refused = await site.refused("POST", "/v1/things", data=body, headers=headers)
        assert refused == (400, code)
        assert site.desk.done == 0


async def test_brackets_in_text_are_text() -> None:
    """They are not counted as levels."""
    async with serving() as site:
        text = '[{"\\' * (JSON_DEPTH_MAX * 3)
        status, told = await site.ask("POST", "/v1/things", json={"text": text})
        assert (status, told["text"]) == (202, text)


async def test_a_number_without_a_fraction_is_whole_however_it_is_written() -> None:
    """2.0 is an integer to JSON Schema."""
    async with serving() as site:
        body = b'{"text":"x","value":[2.0,{"a":2.5}]}'
        headers = {"Content-Type": "application/json"}
        status, told = await site.ask("POST", "/v1/things", data=body, headers=headers)
        assert (status, told["value"]) == (202, [2.0, {"a": 2.5}])


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
async def test_a_form_that_is_not_taken_is_refused(headers: dict[str, str]) -> None:
    """A compressed body is not unpacked to find that out."""
    async with serving() as site:
        body = b'{"text":"x"}'
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.compress(body * 1_000)
        async with site.client.post(
            "/v1/things", data=body, headers=headers, skip_auto_headers=["Content-Type"]
        ) as answer:
            assert answer.status == 415
        assert site.desk.done == 0


async def test_a_charset_that_is_utf_8_is_taken() -> None:
    """However it is written."""
    async with serving() as site:
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        body = '{"text":"ü"}'.encode()
        assert (await site.ask("POST", "/v1/things", data=body, headers=headers))[
            1
        ] == {"text": "ü", "value": None, "idempotency_key": None}


async def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    """By the length that it says."""
    async with serving() as site:
        headers = {"Content-Type": "application/json"}
        body = io.BytesIO(b" " * (HTTP_REQUEST_BYTES_MAX + 1))
        refused = await site.refused("POST", "/v1/things", data=body, headers=headers)
        assert refused == (413, "too_large")


async def test_a_body_that_grows_too_large_is_refused() -> None:
    """One that does not say its length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(HTTP_REQUEST_BYTES_MAX // 65_536 + 2):
            yield b" " * 65_536

    async with serving() as site:
        headers = {"Content-Type": "application/json"}
        sent = await site.refused("POST", "/v1/things", data=chunks(), headers=headers)
        assert sent == (413, "too_large")


async def test_what_the_router_refuses_is_told_in_the_same_form() -> None:
    """And OPTIONS says what there is."""
    async with serving() as site:
        assert await site.refused("GET", "/v1/nothing") == (404, "not_found")
        refused = await site.refused("PATCH", "/v1/things/a")
        assert refused == (405, "method_not_allowed")
        assert set(site.headers["Allow"].split(",")) == {"GET", "HEAD", "PUT", "DELETE"}
        assert await site.ask("OPTIONS", "/v1/things/a") == (204, None)
        assert "OPTIONS" in site.headers["Allow"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/*;q=0.1", 200),
        ("text/html, */*;q=0.5", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/json;q=wrong", 406),
        ("application/json;q=7", 406),
        ("application/json;q=0, */*", 406),
        ("x" * 2_000, 400),
    ],
)
async def test_the_answer_has_a_form_that_is_accepted(accept: str, status: int) -> None:
    """The most exact range counts."""
    async with serving() as site:
        asked = await site.ask("GET", "/v1/things/a", headers={"Accept": accept})
        assert asked[0] == status
        body, headers = {"text": "x"}, {"Accept": accept}
        asked = await site.ask("POST", "/v1/things", json=body, headers=headers)
        assert asked[0] == (202 if status == 200 else status)


async def test_a_scope_that_is_not_enough_is_refused() -> None:
    """Before anything else is looked at."""
    async with serving() as site:
        assert await site.refused("DELETE", "/v1/things/a") == (403, "forbidden")
        assert site.desk.done == 0
    async with serving(Scope.ADMIN) as site:
        assert await site.ask("DELETE", "/v1/things/a") == (204, None)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DeniedError(("no",), decision_id="d1", revision="r1"), 403, "denied"),
        (OverloadedError("it", retry_after_s=2.5), 429, "overloaded"),
        (PolicyUnavailableError("away"), 503, "policy_unavailable"),
        (
            LimitExceededError("body bytes", actual=2, allowed=1),
            413,
            "limit_exceeded",
        ),
        (LimitExceededError("headers", actual=2, allowed=1), 400, "limit_exceeded"),
        (ConflictError("changed"), 409, "conflict"),
    ],
)
async def test_an_error_is_told_by_its_code(
    error: Exception, status: int, code: str
) -> None:
    """With what a program needs to go on."""
    async with serving() as site:
        site.desk.wrong = error
        told = (await site.ask("GET", "/v1/things/a"))[1]
        assert (told["status"], told["code"]) == (status, code)
        assert told.get("retry_after", None) == getattr(
            error, "retry_after_s", 1.0 if status == 503 else None
        )
        assert ("Retry-After" in site.headers) is (status in {429, 503})
        if isinstance(error, DeniedError):
            assert (told["decision_id"], told["reasons"]) == ("d1", ["no"])


async def test_a_fault_of_our_own_tells_nothing_of_the_inside() -> None:
    """It is in the log."""
    async with serving() as site:
        site.desk.wrong = RuntimeError("secret of the inside")
        status, told = await site.ask("GET", "/v1/things/a")
        assert (status, told["code"]) == (500, "internal")
        assert "secret" not in str(told)
