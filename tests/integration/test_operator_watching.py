"""What operators watch as it happens: the live tail and the news, over real connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from bus.core.edgelimits import LIVE_TAILS_MAX
from bus.edge.operator.answers import LiveAsked
from tests.fakes.buses import Inbox
from tests.fakes.operators import Desk, governed, operated

PIPE_S = 10.0
"""That an event may take to come before a test gives up."""


class Stream:
    """The events of one answer."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        self._lines = answer.content

    async def next(self, name: str = "") -> tuple[str, Any]:
        """Return the next event, or the next of that name, with its data."""
        async with asyncio.timeout(PIPE_S):
            found = ""
            async for line in self._lines:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    found = text.removeprefix("event: ")
                elif text.startswith("data: ") and name in {"", found}:
                    return found, msgspec.json.decode(text.removeprefix("data: "))
        raise AssertionError("the stream ended")


@asynccontextmanager
async def watching(
    desk: Desk, agent: str, path: str, **query: Any
) -> AsyncIterator[Stream]:
    """Watch until the block is left."""
    async with desk.client(agent).get(path, params=query) as answer:
        yield Stream(answer)


async def test_the_tail_tells_what_happens_to_messages() -> None:
    """With what the record does not say of them."""
    async with operated() as desk, watching(desk, "operator", "/v1/live") as tail:
        assert tail.status == 200
        desk.bus.agent("worker").subscribe("tasks.>", Inbox())
        await desk.bus.agent("planner").publish("tasks.a", {"x": 1}, priority=3)
        name, row = await tail.next()
        assert (name, row["outcome"], row["subject"]) == (
            "message",
            "accepted",
            "tasks.a",
        )
        assert (row["sender"], row["type"], row["priority"]) == ("planner", "event", 3)
        assert row["size"] == 4
        _, row = await tail.next()
        assert (row["outcome"], row["agent"], row["sender"]) == (
            "delivered",
            "worker",
            "planner",
        )
        assert row["subject"] == "tasks.a"
        await desk.bus.agent("intern").publish("tasks.b", 1)
        _, row = await tail.next()
        assert (row["outcome"], row["agent"]) == ("denied", "intern")
        assert "intern" in row["reason"]


async def test_a_tail_has_only_what_is_asked_for_and_of_its_tenant() -> None:
    """By subject, sender and outcome; an admin sees all tenants or one."""
    async with operated() as desk:
        for agent in ("worker", "spy"):
            desk.bus.agent(agent).subscribe(">", Inbox())
        asked: list[tuple[str, dict[str, str], str]] = [
            ("operator", {"pattern": "*.last"}, "planner one.last"),
            ("operator", {"sender": "critic"}, "critic two.a"),
            ("operator", {"outcome": "denied"}, "intern one.last"),
            ("admin", {"tenant": "globex"}, "spy one.a"),
            ("globex-operator", {}, "spy one.a"),
        ]
        for agent, query, first in asked:
            async with watching(desk, agent, "/v1/live", **query) as tail:
                for sender in ("planner", "critic", "intern", "spy"):
                    subject = "two.a" if sender == "critic" else "one.a"
                    await desk.bus.agent(sender).publish(subject, 1)
                for sender in ("intern", "planner"):
                    await desk.bus.agent(sender).publish("one.last", 1)
                if "outcome" in query:
                    _, row = await tail.next()
                    assert row["subject"] == "one.a"
                _, row = await tail.next()
                if "pattern" in query and row["sender"] == "intern":
                    _, row = await tail.next()
                assert f"{row['sender']} {row['subject']}" == first


async def test_nothing_is_noted_while_nobody_looks() -> None:
    """The bus pays one look at an attribute."""
    async with operated() as desk:
        pipeline = desk.bus._host.pipeline  # noqa: SLF001 - what it costs is in there

        def noted() -> bool:
            return pipeline.seen is not None

        assert not noted()
        async with watching(desk, "operator", "/v1/live"):
            assert noted()
        await desk.until(lambda: not noted())
        assert not desk.office.tap.seen


@pytest.mark.parametrize(
    "query", [{"pattern": "a..b"}, {"outcome": "flown"}, {"fields": "all"}]
)
async def test_a_tail_of_nothing_is_refused(query: dict[str, str]) -> None:
    """Before it begins."""
    async with operated() as desk:
        status, answer = await desk.get("operator", "/v1/live", **query)
        assert (status, answer["status"]) == (400, 400)
        assert (await desk.get("operator", "/v1/events", more=1))[0] == 400
        twice = desk.client("operator").get("/v1/live?sender=a&sender=b")
        async with twice as answered:
            assert answered.status == 400


async def test_watching_takes_an_operator_and_a_place() -> None:
    """The tails of a node are bounded, and a place is given back."""
    async with operated() as desk:
        for path in ("/v1/live", "/v1/events"):
            assert (await desk.get("planner", path))[0] == 403
        caller = await desk.running.caller("operator")
        live = desk.office.live
        tails = [live.open(caller, LiveAsked()) for _ in range(LIVE_TAILS_MAX)]
        assert (await desk.get("operator", "/v1/live"))[0] == 429
        for tail in tails:
            tail.close()
            tail.close()
        async with watching(desk, "operator", "/v1/live") as tail_:
            assert tail_.status == 200


async def test_news_tell_each_second_and_what_has_changed(tmp_path: Path) -> None:
    """Once for each change, to whom it may concern."""
    async with (
        governed(tmp_path) as desk,
        watching(desk, "operator", "/v1/events") as mine,
        watching(desk, "globex-operator", "/v1/events") as theirs,
    ):
        name, point = await mine.next("point")
        assert (name, point["accepted"]) == ("point", 0)
        await desk.bus.agent("planner").publish("risky.a", 1)
        assert (await mine.next("changed"))[1] == {"what": "approvals"}
        order = {"reason": "odd", "confirm": "planner"}
        await desk.post("operator", "/v1/agents/planner/quarantine", **order)
        assert (await mine.next("changed"))[1] == {"what": "agents"}
        assert (await theirs.next("changed"))[1] == {"what": "agents"}


async def test_who_is_quarantined_watches_no_more() -> None:
    """It is told why, and the connection ends."""
    async with operated() as desk:
        async with (
            watching(desk, "globex-operator", "/v1/live") as tail,
            watching(desk, "globex-operator", "/v1/events") as news,
        ):
            path = "/v1/agents/globex-operator/quarantine"
            order = {"reason": "odd", "confirm": "globex-operator"}
            status, answer = await desk.post("admin", path, **order)
            assert (status, answer["connections_closed"]) == (200, 2)
            for stream in (tail, news):
                _, ended = await stream.next("ended")
                assert ended["code"] == "quarantined"
        _, row = await desk.get("admin", "/v1/agents/globex-operator")
        assert row["connections"] == 0
