"""Streams and consumers over HTTP: pages, waiting, pushed events, pull and settle."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from bus.edge.caller import Caller
from bus.edge.connections import Ending
from bus.edge.messaging import holding, pulls, streams
from tests.fakes.messaging import HurriedClock, Site, serving, until

STREAM = "/v1/streams/default/messages"
SSE = {"Accept": "text/event-stream"}


async def ask(
    client: aiohttp.ClientSession, method: str, path: str, **more: Any
) -> tuple[int, Any]:
    """Return status and answer of a request."""
    async with client.request(method, path, **more) as answer:
        return answer.status, await answer.json(content_type=None)


async def publish(site: Site, *subjects: str) -> None:
    """Publish, and see it accepted."""
    for number, subject in enumerate(subjects):
        (await site.bus.agent("planner").publish(subject, number)).unwrap()


async def test_a_stream_is_read_page_by_page() -> None:
    """Nothing is skipped, nothing is told twice."""
    async with serving() as site, site.client("worker") as client:
        await publish(site, *["a.x", "b.x"] * 5)
        seen, after = [], "0"
        while True:
            query = {"after": after, "limit": "2", "pattern": "a.*"}
            async with client.get(STREAM, params=query) as answer:
                page = await answer.json()
                assert f"after={page['next']}" in answer.headers["Link"]
            if not page["items"]:
                break
            seen += [item["sequence"] for item in page["items"]]
            after = page["next"]
        assert seen == [1, 3, 5, 7, 9]
        assert page["last"] == 10


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/streams/other/messages", 404, "not_found"),
        (STREAM + "?pattern=a..b", 400, "bad_subject"),
        (STREAM + "?pattern=>.a", 400, "bad_subject"),
        (STREAM + "?after=x", 400, "malformed"),
        (STREAM + "?after=" + "9" * 30, 400, "malformed"),
        (STREAM + "?limit=0", 400, "malformed"),
        (STREAM + "?wait=61", 400, "malformed"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    path: str, status: int, code: str
) -> None:
    """With the code that says why."""
    async with serving() as site, site.client("worker") as client:
        refused, told = await ask(client, "GET", path)
        assert (refused, told["code"]) == (status, code)


async def test_a_reader_needs_the_leave_of_policy() -> None:
    """Of its own tenant's stream alone."""
    async with serving() as site, site.client("intern") as client:
        await publish(site, "notes.a", "orders.a")
        assert (await ask(client, "GET", STREAM))[1]["code"] == "denied"
        _, page = await ask(client, "GET", STREAM + "?pattern=notes.*")
        assert [item["subject"] for item in page["items"]] == ["notes.a"]
    async with serving() as site, site.client("spy") as client:
        await publish(site, "notes.a")
        assert (await ask(client, "GET", STREAM))[1]["items"] == []


async def test_who_waits_is_answered_when_something_comes() -> None:
    """From now on, if it asks so."""
    async with serving() as site, site.client("worker") as client:
        await publish(site, "a")
        async with asyncio.TaskGroup() as group:
            path = STREAM + "?after=new&wait=30"
            reading = group.create_task(ask(client, "GET", path))
            await until(lambda: bool(site.door.desk.streams._watch._waiting))  # noqa: SLF001 - looks inside
            await publish(site, "b")
        _, page = reading.result()
        assert [item["subject"] for item in page["items"]] == ["b"]


async def test_who_waits_in_vain_gets_an_empty_page() -> None:
    """And where to go on."""
    async with serving(clock=HurriedClock()) as site, site.client("worker") as client:
        _, page = await ask(client, "GET", STREAM + "?wait=2")
        assert (page["items"], page["next"]) == ([], "0")


async def test_there_is_room_for_so_many_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Past that they come again later."""
    monkeypatch.setattr(streams, "STREAM_WATCHERS_OF_TENANT_MAX", 0)
    async with serving() as site, site.client("worker") as client:
        status, told = await ask(client, "GET", STREAM + "?wait=2")
        assert (status, told["code"]) == (429, "overloaded")


async def test_a_reader_who_waits_is_let_go_when_the_node_stops() -> None:
    """And nobody begins to wait then."""
    async with serving() as site, site.client("worker") as client:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(ask(client, "GET", STREAM + "?wait=50"))
            await until(lambda: bool(site.door.desk.streams._watch._waiting))  # noqa: SLF001 - looks inside
            await site.door.desk.close()
        assert reading.result()[1]["items"] == []
        pull = {"pattern": "a"}
        status, told = await ask(client, "POST", "/v1/consumers/c/pull", json=pull)
        assert (status, told["code"]) == (503, "not_started")


async def events(answer: aiohttp.ClientResponse, count: int) -> list[dict[str, str]]:
    """Return the next events of a stream."""
    found: list[dict[str, str]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            lines: dict[str, str] = {}
            while line := (await answer.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                lines[name] = value
            if "event" in lines:
                found.append(lines)
    return found


async def test_events_are_pushed_and_go_on_where_they_were() -> None:
    """As a browser does it."""
    async with serving() as site, site.client("worker") as client:
        await publish(site, "a", "b")
        async with client.get(STREAM, headers=SSE) as answer:
            assert answer.content_type == "text/event-stream"
            first = await events(answer, 2)
            assert [event["id"] for event in first] == ["1", "2"]
            await publish(site, "c")
            third = (await events(answer, 1))[0]
            assert msgspec.json.decode(third["data"])["subject"] == "c"
        headers = {**SSE, "Last-Event-ID": "2"}
        async with client.get(STREAM, headers=headers) as answer:
            assert (await events(answer, 1))[0]["id"] == "3"


async def test_a_quiet_stream_of_events_shows_signs_of_life() -> None:
    """So that nobody in between closes it."""
    async with (
        serving(clock=HurriedClock(1_000)) as site,
        site.client("worker") as client,
        client.get(STREAM + "?after=new", headers=SSE) as answer,
    ):
        assert await answer.content.readline() == b":\n"


async def test_events_end_with_a_reason() -> None:
    """And a node that drains takes no new ones."""
    async with serving() as site, site.client("worker") as client:
        async with client.get(STREAM, headers=SSE) as answer:
            await until(lambda: len(site.connections) > 0)
            gone = Ending("quarantined", "an operator said so")
            assert site.connections.end(_is_worker, gone) == 1
            last = (await events(answer, 1))[0]
            assert last["event"] == "ended"
            assert msgspec.json.decode(last["data"])["code"] == "quarantined"
            assert await answer.content.read() == b""
        assert len(site.connections) == 0
        async with client.get(STREAM, headers=SSE) as answer:
            await until(lambda: len(site.connections) > 0)
            site.connections.drain(3.0)
            assert "going_away" in (await events(answer, 1))[0]["data"]
        async with client.get(STREAM, headers=SSE) as answer:
            assert answer.status == 429


async def test_events_end_when_policy_says_no() -> None:
    """At the next change, not at the next connection."""
    async with (
        serving() as site,
        site.client("worker") as client,
        client.get(STREAM, headers=SSE) as answer,
    ):
        site.policy["roles"]["all"]["subscribe"] = []
        await site.bus.reload_policy()
        await publish(site, "a")
        last = (await events(answer, 1))[-1]
        assert (last["event"], "denied" in last["data"]) == ("ended", True)


async def test_head_is_not_a_stream_of_events() -> None:
    """It would never end."""
    async with (
        serving() as site,
        site.client("worker") as client,
        client.head(STREAM, headers=SSE) as answer,
    ):
        assert answer.status == 400


async def pull(
    client: aiohttp.ClientSession, name: str = "c", **more: Any
) -> list[dict[str, Any]]:
    """Return what is pulled for a consumer."""
    asked = {"pattern": "orders.*", "wait": 5, **more}
    status, told = await ask(client, "POST", f"/v1/consumers/{name}/pull", json=asked)
    assert status == 200, told
    found: list[dict[str, Any]] = told["items"]
    return found


async def settle(
    client: aiohttp.ClientSession, *items: dict[str, Any], name: str = "c"
) -> list[dict[str, Any]]:
    """Return how verdicts were carried out."""
    path = f"/v1/consumers/{name}/settle"
    status, told = await ask(client, "POST", path, json={"items": items})
    assert status == 200, told
    found: list[dict[str, Any]] = told["items"]
    return found


async def test_what_is_pulled_is_leased_until_it_is_settled() -> None:
    """Each verdict does what it says, once."""
    async with serving() as site, site.client("worker") as client:
        assert await pull(client, wait=0) == []
        await publish(site, "orders.a", "orders.b", "orders.c", "orders.d")
        got = [*await pull(client, limit=2), *await pull(client, limit=5)]
        assert [item["subject"] for item in got] == [
            "orders.a",
            "orders.b",
            "orders.c",
            "orders.d",
        ]
        assert [item["attempt"] for item in got] == [1, 1, 1, 1]
        verdicts = await settle(
            client,
            {"receipt": got[0]["receipt"]},
            {"receipt": got[1]["receipt"], "verdict": "nak", "delay": 0},
            {"receipt": got[2]["receipt"], "verdict": "term", "reason": "bad"},
            {"receipt": got[3]["receipt"], "verdict": "in_progress"},
            {"receipt": got[0]["receipt"]},
            {"receipt": "never"},
        )
        assert [one["ok"] for one in verdicts] == [True, True, True, True, False, False]
        assert verdicts[-1]["code"] == "already_settled"
        again = await pull(client)
        assert [(one["subject"], one["attempt"]) for one in again] == [("orders.b", 2)]
        letters = await site.bus.agent("worker").dead_letters()
        assert [letter.reason for letter in letters] == ["bad"]


async def test_a_pull_hands_out_a_page_and_the_rest_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that one answer never holds hundreds of the largest bodies."""
    monkeypatch.setattr(holding, "STREAM_PAGE_BYTES_MAX", 1)
    async with serving() as site, site.client("worker") as client:
        await pull(client, wait=0)
        await publish(site, "orders.a", "orders.b")
        got = [await pull(client, limit=5) for _ in range(2)]
        assert [[item["subject"] for item in page] for page in got] == [
            ["orders.a"],
            ["orders.b"],
        ]


async def test_a_lease_that_is_over_is_another_attempt() -> None:
    """A receipt is good for its own hand-over."""
    async with serving(clock=HurriedClock()) as site, site.client("worker") as client:
        await pull(client, wait=0, ack_wait=30)
        await publish(site, "orders.a")
        first = (await pull(client, wait=50))[0]
        second = (await pull(client, wait=60))[0]
        assert (first["id"], second["attempt"]) == (second["id"], 2)
        late = await settle(client, {"receipt": first["receipt"]})
        assert late[0]["code"] == "already_settled"
        assert (await settle(client, {"receipt": second["receipt"]}))[0]["ok"]


async def test_what_waits_for_a_pull_keeps_its_lease() -> None:
    """It is no attempt that nobody saw."""
    async with serving(clock=HurriedClock()) as site, site.client("worker") as client:
        await pull(client, wait=0, ack_wait=5)
        await publish(site, "orders.a")
        held = next(iter(site.door.desk.pulls._held.values()))  # noqa: SLF001 - looks inside
        await until(lambda: bool(held.waiting))
        held.touched_ns = site.bus.now_ns() + 10**13  # it is not idle yet
        await asyncio.sleep(0.3)  # thirty seconds of the bus's clock
        assert [one["attempt"] for one in await pull(client)] == [1]


async def test_a_consumer_nobody_calls_is_let_go_and_loses_nothing() -> None:
    """Not even an attempt."""
    async with (
        serving(clock=HurriedClock(1_000)) as site,
        site.client("worker") as client,
    ):
        await pull(client, wait=0)
        await publish(site, "orders.a")
        await until(lambda: not len(site.door.desk.pulls))
        assert len(site.connections) == 0
        await publish(site, "orders.b")
        got = await pull(client, wait=60)
        got += await pull(client, wait=60) if len(got) < 2 else []
        assert [one["subject"] for one in got] == ["orders.a", "orders.b"]
        assert [one["attempt"] for one in got] == [1, 1]


async def test_a_consumer_of_a_caller_that_is_ended_is_let_go() -> None:
    """And when the node drains."""
    async with serving() as site, site.client("worker") as client:
        await publish(site, "orders.a")
        got = await pull(client, start="all")
        ended = site.connections.end(_is_worker, Ending("unauthenticated", "revoked"))
        assert ended == 1
        await until(lambda: not len(site.door.desk.pulls))
        late = await settle(client, {"receipt": got[0]["receipt"]})
        assert late[0]["code"] == "already_settled"
        again = await pull(client)
        assert again[0]["id"] == got[0]["id"]
        site.connections.drain(1.0)
        await until(lambda: not len(site.door.desk.pulls))


def _is_worker(caller: Caller) -> bool:
    """Tell whether a caller is the worker."""
    return caller.agent == "worker"


async def test_a_consumer_is_its_agents_and_its_patterns() -> None:
    """A name of another tenant's is another one."""
    async with serving() as site, site.client("worker") as client:
        await pull(client, wait=0)
        path = "/v1/consumers/c/pull"
        other = {"pattern": "other.*"}
        status, told = await ask(client, "POST", path, json=other)
        assert (status, told["code"]) == (409, "conflict")
        async with site.client("critic") as critic:
            status, told = await ask(critic, "POST", path, json={"pattern": "orders.*"})
            assert (status, told["code"]) == (409, "conflict")
            assert (await settle(critic, {"receipt": "x"}))[0]["ok"] is False
        async with site.client("spy") as spy:
            assert await pull(spy, wait=0) == []
        async with site.client("intern") as intern:
            status, told = await ask(intern, "POST", path, json={"pattern": ">"})
            assert (status, told["code"]) == (403, "denied")
        assert len(site.door.desk.pulls) == 2


async def test_a_node_holds_so_many_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past that they come again later."""
    monkeypatch.setattr(pulls, "PULLS_OF_AGENT_MAX", 1)
    async with serving() as site, site.client("worker") as client:
        await pull(client, "one", wait=0)
        path, asked = "/v1/consumers/two/pull", {"pattern": "x"}
        status, told = await ask(client, "POST", path, json=asked)
        assert (status, told["code"]) == (429, "overloaded")


async def test_a_subscription_that_policy_ended_is_made_anew() -> None:
    """Once policy lets it."""
    async with serving() as site, site.client("worker") as client:
        await pull(client, wait=0)
        allowed = site.policy["roles"]["all"]["subscribe"]
        site.policy["roles"]["all"]["subscribe"] = []
        await site.bus.reload_policy()
        path, asked = "/v1/consumers/c/pull", {"pattern": "orders.*"}
        status, told = await ask(client, "POST", path, json=asked)
        assert (status, told["code"]) == (403, "denied")
        site.policy["roles"]["all"]["subscribe"] = allowed
        await site.bus.reload_policy()
        await publish(site, "orders.a")
        assert len(await pull(client)) == 1
