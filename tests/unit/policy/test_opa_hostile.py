"""Whatever a server does, there is an answer, or an error of the right kind."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bus.config import Secret
from bus.core.breaker import State
from bus.core.limits import POLICY_NESTING_MAX
from bus.core.policylimits import OPA_ANSWER_BYTES_MAX
from policy.evaluation import Answer, EvaluationError, Kind
from policy.opa import client
from policy.opa.address import ServerAddress
from policy.opa.client import open_http
from policy.opa.server import OpaServer, connect
from tests.fakes.hostile_server import (
    CLOSE,
    HANG,
    HostileServer,
    Script,
    hostile,
    reply,
)

RULE = "data.a.b"
TOKEN = "s3cret-t0ken"  # noqa: S105 - of no server
DEADLINE_S = 30.0
SHORT_S = 0.5  # where it is to pass
OK = [reply()]
CONFLICT = reply(
    b'{"code":"internal_error","message":"error(s) occurred while evaluating query",'
    b'"errors":[{"code":"eval_conflict_error","message":"complete rules must not '
    b'produce multiple outputs","location":{"file":"a.rego","row":7,"col":1}}]}',
    status="500 Internal Server Error",
)
DEEP = b'{"result":' + b"[" * 200 + b"]" * 200 + b"}"
HUGE = b'{"result":"' + b"x" * OPA_ANSWER_BYTES_MAX + b'"}'
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def __call__(self) -> int:
        """Return nanoseconds."""
        return self.ns


@asynccontextmanager
async def asked(
    url: str, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[OpaServer]:
    """Yield a client that has sent nothing yet."""
    address = ServerAddress(url=url, **{"deadline_s": DEADLINE_S} | settings)
    http = await open_http(address)
    server = OpaServer(address, http, now_ns=clock or Clock(), batches=False)
    try:
        yield server
    finally:
        await server.close()


async def failure(server: OpaServer, input_json: str = "{}") -> EvaluationError:
    """Return how a question fails."""
    with pytest.raises(EvaluationError) as failed:
        await server.evaluate(RULE, input_json)
    return failed.value


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (reply(b'{"result":{"a":[1,2]}}'), Answer('{"a":[1,2]}')),
        (reply(b'{"result":null}'), Answer("null")),
        (reply(b'{"result":false}'), Answer("false")),
        (reply(b"{}"), Answer(None)),
        (reply(content_type="Application/JSON; charset=utf-8"), Answer("true")),
        (
            CHUNKED
            + b"8\r\n"
            + b'{"result'
            + b"\r\n7\r\n"
            + b'":true}'
            + b"\r\n0\r\n\r\n",
            Answer("true"),
        ),
        (
            reply(b'{"result":1,"provenance":{"bundles":{"a":{"revision":"r7"}}}}'),
            Answer("1", "r7"),
        ),
        (reply(b'{"result":1,"provenance":{"revision":"old"}}'), Answer("1", "old")),
        (reply(b'{"result":1,"provenance":{"bundles":{"a":{}}}}'), Answer("1", "")),
    ],
)
async def test_an_answer_is_returned_as_it_was_sent(
    said: bytes, expected: Answer
) -> None:
    """The result's own text, None for undefined, and the revision where it is told."""
    async with hostile([said]) as peer, asked(peer.url) as server:
        assert await server.evaluate(RULE, '{"n":1}') == expected
        assert peer.bodies == [b'{"input":{"n":1}}']
        assert b"\r\nContent-Type: application/json\r\n" in peer.asked[0]
        assert peer.asked[0].startswith(
            b"POST /v1/data/a/b?strict-builtin-errors=true&provenance=true HTTP/1.1\r\n"
        )


@pytest.mark.parametrize(
    ("kind", "script", "why"),
    [
        ("malformed", [reply(b"")], "not the JSON"),
        ("malformed", [reply(b"[]")], "not the JSON"),
        ("malformed", [reply(b'{"result":NaN}')], "not the JSON"),
        ("malformed", [reply(b'{"result":{"allow":Infinity}}')], "not the JSON"),
        ("malformed", [reply(b'{"result":tru')], "not the JSON"),
        ("malformed", [reply(b'{"result":1}{"result":2}')], "not the JSON"),
        ("malformed", [reply(b'{"result":"\xff"}')], "not UTF-8"),
        ("malformed", [reply(b'{"result":1,"provenance":7}')], "not the JSON"),
        ("malformed", [reply(content_type="text/html")], "'text/html'"),
        ("malformed", [reply(content_type="application/jsonp")], "jsonp"),
        ("malformed", [reply(status="204 No Content", length=0, body=b"")], "HTTP 204"),
        ("malformed", [reply(status="206 Partial Content")], "HTTP 206"),
        (
            "malformed",
            [reply(status="302 Found", more="Location: /other\r\n")],
            "redirects",
        ),
        (
            "malformed",
            [reply(status="307 Moved", more="Location: /other\r\n")],
            "redirects",
        ),
        ("malformed", [reply(length=99), CLOSE], "ended before its end"),
        (
            "malformed",
            [reply(b'{"result":true}', length=9)],
            "not the JSON|is no answer",
        ),
        ("malformed", [b"HELLO\r\n\r\n"], "is no answer"),
        ("malformed", [reply(more="X: " + "y" * 20_000 + "\r\n")], "is no answer"),
        (
            "malformed",
            [reply(gzip.compress(b'{"result":1}'), more="Content-Encoding: gzip\r\n")],
            "'gzip'",
        ),
        ("deadline", [HANG], "no answer in 0.5 s"),
        ("deadline", [reply()[:40], HANG], "no answer in 0.5 s"),
        ("deadline", [reply(length=99), HANG], "no answer in 0.5 s"),
        ("unavailable", [CLOSE], "without an answer"),
        ("unavailable", [reply(status="401 Unauthorized")], "does not let us in"),
        ("unavailable", [reply(status="403 Forbidden")], "does not let us in"),
        (
            "unavailable",
            [reply(status="404 Not Found", content_type="text/plain")],
            "404",
        ),
        ("unavailable", [reply(status="429 Too Many")], "HTTP 429"),
        (
            "unavailable",
            [reply(status="502 Bad Gateway", content_type="text/html")],
            "502",
        ),
        ("unavailable", [reply(status="503 Unavailable")], "HTTP 503"),
        (
            "unavailable",
            [reply(b"oops", status="500 Oops", content_type="text/plain")],
            "500",
        ),
        ("unavailable", [reply(b"{", status="500 Oops")], "HTTP 500"),
        ("evaluation", [CONFLICT], "a.rego:7: .*multiple outputs"),
        (
            "input",
            [
                reply(
                    b'{"code":"invalid_parameter","message":"no JSON"}',
                    status="400 Bad",
                )
            ],
            "HTTP 400: no JSON",
        ),
        ("input", [reply(status="413 Too Large")], "HTTP 413"),
        ("oversize", [reply(HUGE)], "more than 1048576 bytes"),
        ("oversize", [reply(b"", length=10**12), HANG], "more than 1048576 bytes"),
        (
            "oversize",
            [CHUNKED + b"%x\r\n" % len(HUGE) + HUGE, HANG],
            "more than 1048576",
        ),
        ("oversize", [reply(DEEP)], f"deeper than {POLICY_NESTING_MAX}"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_its_kind(
    kind: Kind, script: Script, why: str
) -> None:
    """And what follows on that connection, if anything, is not taken for the next."""
    deadline_s = SHORT_S if kind == "deadline" else DEADLINE_S
    async with (
        hostile(script, OK) as peer,
        asked(peer.url, token=Secret(TOKEN), deadline_s=deadline_s) as server,
    ):
        error = await failure(server)
        assert error.kind == kind
        with pytest.raises(EvaluationError, match=why):
            raise error
        assert TOKEN not in f"{error!r}{error.reason}"
        assert len(peer.asked) == 1, "asked again"
        assert await server.evaluate(RULE, "{}") == Answer("true")


async def test_nobody_there_is_unavailable() -> None:
    """A refused connection, and a socket that is not there."""
    async with hostile(OK) as peer:
        url = peer.url
    async with asked(url) as server:
        assert (await failure(server)).kind == "unavailable"
    async with asked("unix:/nowhere/opa.sock") as server:
        assert (await failure(server)).kind == "unavailable"


@pytest.mark.parametrize(
    ("input_json", "why"),
    [
        ('{"a":1},"x":{"b":2}', "not JSON"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("NaN", "not JSON"),
        ('"\ud800"', "not Unicode"),
        ("[" * 200 + "]" * 200, "nested deeper"),
        ('"' + "x" * (512 << 10) + '"', "are allowed"),
    ],
)
async def test_an_input_cannot_break_out_of_its_place(
    input_json: str, why: str
) -> None:
    """What is no JSON, or past a bound, is not sent."""
    async with hostile(OK) as peer, asked(peer.url) as server:
        error = await failure(server, input_json)
        assert error.kind == "input"
        assert why in str(error)
        assert peer.asked == []


@pytest.mark.parametrize("rule", ["", "data", "data.", "input.a", "data.a..b"])
async def test_what_is_no_rule_is_not_sent(rule: str) -> None:
    """It would be another part of the API."""
    async with hostile(OK) as peer, asked(peer.url) as server:
        with pytest.raises(EvaluationError, match="is no rule"):
            await server.evaluate(rule, "{}")
        assert peer.asked == []


async def test_a_rule_cannot_lead_out_of_the_data() -> None:
    """Every token is one step of the path, whatever it holds."""
    async with hostile(OK) as peer, asked(peer.url) as server:
        await server.evaluate("data.a/b?c.d", "{}")
        assert peer.asked[0].startswith(b"POST /v1/data/a%2Fb%3Fc/d?strict")


async def test_the_addresses_of_rules_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A caller who makes up rules fills no memory, and is answered."""
    monkeypatch.setattr("policy.opa.server.OPA_RULES_MAX", 2)
    async with hostile(OK) as peer, asked(peer.url) as server:
        for rule in ("data.a", "data.b", "data.c", "data.a"):
            assert await server.evaluate(rule, "{}") == Answer("true")
        assert [head.split(b"?")[0][-2:] for head in peer.asked] == [
            b"/a",
            b"/b",
            b"/c",
            b"/a",
        ]


async def test_a_dropped_connection_that_was_kept_is_retried_once() -> None:
    """A server may close what is idle at any time; that is nobody's fault."""
    async with hostile(OK, [CLOSE], OK) as peer, asked(peer.url) as server:
        for _ in range(2):
            assert await server.evaluate(RULE, "{}") == Answer("true")
        assert (len(peer.asked), peer.connections) == (3, 2)


async def test_a_retry_that_is_dropped_as_well_fails() -> None:
    """Once means once."""
    async with hostile(OK, [CLOSE], [CLOSE], OK) as peer, asked(peer.url) as server:
        await server.evaluate(RULE, "{}")
        assert (await failure(server)).kind == "unavailable"
        assert len(peer.asked) == 3


async def test_a_retry_has_only_what_is_left_of_the_deadline() -> None:
    """The deadline is the question's, not the attempt's."""
    async with (
        hostile(OK, [CLOSE], [HANG]) as peer,
        asked(peer.url, deadline_s=SHORT_S) as server,
    ):
        await server.evaluate(RULE, "{}")
        assert (await failure(server)).kind == "deadline"
        assert len(peer.asked) == 3


async def test_an_answer_that_broke_off_is_not_asked_for_again() -> None:
    """Only what was dropped before the head of a reply is."""
    async with (
        hostile(OK, [reply(length=99), CLOSE], OK) as peer,
        asked(peer.url) as server,
    ):
        await server.evaluate(RULE, "{}")
        assert (await failure(server)).kind == "malformed"
        assert len(peer.asked) == 2


async def test_connections_are_kept_and_bounded() -> None:
    """Questions past the bound wait for a connection; they do not open one."""
    async with (
        hostile(OK) as peer,
        asked(peer.url, connections=2) as server,
    ):
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(server.evaluate(RULE, "{}"))
        assert len(peer.asked) == 20
        assert peer.connections == 2


async def test_a_question_waits_for_a_connection_no_longer_than_its_deadline() -> None:
    """A pool that hangs is a server that hangs."""
    async with (
        hostile([HANG]) as peer,
        asked(peer.url, connections=1, deadline_s=SHORT_S) as server,
    ):
        async with asyncio.TaskGroup() as group:
            failures = [group.create_task(failure(server)) for _ in range(3)]
        assert {task.result().kind for task in failures} == {"deadline"}
        assert len(peer.asked) < 3


async def test_questions_past_the_bound_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And those that wait are not disturbed."""
    monkeypatch.setattr(client, "OPA_QUESTIONS_MAX", 2)
    async with hostile([HANG]) as peer, asked(peer.url, deadline_s=SHORT_S) as server:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(failure(server)) for _ in range(2)]
            await asyncio.sleep(0)
            assert "2 questions wait already" in str(await failure(server))
        assert {task.result().kind for task in waiting} == {"deadline"}


async def test_cancelling_a_question_fails_no_other() -> None:
    """Nor is its late answer taken for another's."""
    slow = [HANG]
    async with hostile(slow, OK) as peer, asked(peer.url) as server:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.evaluate(RULE, "{}"))
            await peer.until_asked()
            task.cancel()
            assert await server.evaluate(RULE, "{}") == Answer("true")
        assert task.cancelled()


async def test_closing_fails_what_is_open_and_what_comes_later() -> None:
    """As unavailable, as the port promises."""
    async with hostile([HANG]) as peer, asked(peer.url) as server:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(failure(server))
            await peer.until_asked()
            await server.close()
        assert waiting.result().kind == "unavailable"
        assert "is closed" in str(await failure(server))


async def test_the_breaker_leaves_a_failing_server_alone_and_comes_back() -> None:
    """Three failures, fifteen seconds, one probe."""
    clock = Clock()
    bad: Script = [reply(status="503 Unavailable")]
    async with (
        hostile(bad, bad, bad, [HANG], OK) as peer,
        asked(peer.url, clock, deadline_s=SHORT_S) as server,
    ):
        for _ in range(3):
            assert "HTTP 503" in str(await failure(server))
        assert server.breaker.name == State.OPEN.name
        refused = await failure(server)
        assert refused.kind == "unavailable"
        assert "asked again in 15.0 s" in str(refused)
        assert len(peer.asked) == 3
        await _probes(server, peer, clock)


async def _probes(server: OpaServer, peer: HostileServer, clock: Clock) -> None:
    clock.ns += 15_000_000_000
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(failure(server)) for _ in range(5)]
    kinds = sorted(task.result().kind for task in tries)
    assert kinds == ["deadline", *["unavailable"] * 4]
    assert "once one question got through" in str(tries[1].result())
    assert len(peer.asked) == 4, "more than one probe"
    assert server.breaker.name == State.OPEN.name
    clock.ns += 15_000_000_000
    assert await server.evaluate(RULE, "{}") == Answer("true")
    assert server.breaker.name == State.CLOSED.name


async def test_a_rule_that_fails_does_not_open_the_breaker() -> None:
    """Nor does an answer past its bound: one question must not silence the others."""
    async with (
        hostile([CONFLICT], [reply(HUGE)], [CONFLICT]) as peer,
        asked(peer.url) as server,
    ):
        for _ in range(5):
            await failure(server)
        assert server.breaker.name == State.CLOSED.name
        assert len(peer.asked) == 5


async def test_a_probe_that_is_cancelled_lets_the_next_one_try() -> None:
    """A caller who goes away leaves nothing half open."""
    clock = Clock()
    async with (
        hostile([CLOSE], [HANG], OK) as peer,
        asked(peer.url, clock, failures_max=1) as server,
    ):
        await failure(server)
        clock.ns += 15_000_000_000
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(server.evaluate(RULE, "{}"))
            await peer.until_asked(2)
            assert server.breaker.name == State.HALF_OPEN.name
            probe.cancel()
        assert await server.evaluate(RULE, "{}") == Answer("true")


@pytest.mark.parametrize(
    ("said", "batches"),
    [
        (reply(b'{"responses":{}}'), True),
        (
            reply(
                b"404 page not found", status="404 Not Found", content_type="text/plain"
            ),
            False,
        ),
        (reply(b"hello", content_type="text/plain"), False),
        (reply(b"{}", status="400 Bad"), False),
    ],
)
async def test_connecting_finds_out_whether_batches_are_taken(
    said: bytes, *, batches: bool
) -> None:
    """A batch of none is asked for; what is no answer to it means no."""
    async with hostile([said]) as peer:
        server = await connect(ServerAddress(url=peer.url), now_ns=Clock())
        assert server.batches is batches
        await server.close()
        assert peer.asked[0].startswith(b"POST /v1/batch/data/assent/authz/decision ")


async def test_connecting_to_a_server_that_does_not_let_us_in_fails() -> None:
    """At the start, not with the first message."""
    async with hostile([reply(status="401 Unauthorized")]) as peer:
        with pytest.raises(EvaluationError, match="does not let us in"):
            await connect(ServerAddress(url=peer.url), now_ns=Clock())


async def test_the_token_is_sent_and_a_redirect_does_not_carry_it_away() -> None:
    """Nobody is asked but the server that was named."""
    async with hostile(OK) as elsewhere:
        away = reply(status="307 Moved", more=f"Location: {elsewhere.url}/x\r\n")
        async with (
            hostile([away]) as peer,
            asked(peer.url, token=Secret(TOKEN)) as server,
        ):
            await failure(server)
            assert f"Authorization: Bearer {TOKEN}".encode() in peer.asked[0]
        assert elsewhere.asked == []
