"""The fleet over HTTP: who the agents are, and what operators order about them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.adapters.audit import tail
from bus.config.edge import NodeSettings
from bus.config.settings import AuditSettings
from tests.fakes.buses import Inbox
from tests.fakes.nodes import data
from tests.fakes.operators import Desk, operated


async def test_agents_are_told_with_what_they_did() -> None:
    """Accepted, refused, delivered and metered, each under its agent."""
    async with operated() as desk:
        inbox = Inbox()
        desk.bus.agent("worker").subscribe("tasks.>", inbox)
        await desk.bus.agent("planner").publish("tasks.a", {"x": 1})
        await desk.bus.agent("intern").publish("tasks.a", {"x": 1})
        await desk.until(lambda: bool(inbox.done))
        await desk.until(lambda: bool(desk.bus.usage.totals))
        await desk.bus.audit.flush()
        status, answer = await desk.get("operator", "/v1/agents")
        assert status == 200
        rows = {row["name"]: row for row in answer["items"]}
        assert answer["total"] == len(rows) == 6
        assert "spy" not in rows
        assert rows["planner"]["published"] == rows["planner"]["spend"]["events"] == 1
        assert rows["planner"]["spend"]["body_bytes"] > 0
        assert rows["intern"]["denied"] == 1
        assert rows["worker"]["delivered"] == rows["worker"]["subscriptions"] == 1
        assert (rows["worker"]["health"], rows["intern"]["health"]) == ("ok", "idle")


async def test_agents_come_in_pages_by_name() -> None:
    """Each once, whatever a page holds."""
    async with operated() as desk:
        names: list[str] = []
        after = ""
        for _ in range(10):
            _, answer = await desk.get("admin", "/v1/agents", limit=3, after=after)
            names += [row["name"] for row in answer["items"]]
            after = answer["next"] or ""
            if not after:
                break
        assert names == sorted(data()["agents"])


async def test_agents_are_found_by_a_part_of_their_name_by_tenant_and_by_health() -> (
    None
):
    """And one by its whole name."""
    made = data()
    made["agents"]["retired"] = {"tenant": "acme", "roles": [], "enabled": False}
    async with operated(made) as desk:

        async def names(**query: Any) -> list[str]:
            _, answer = await desk.get("admin", "/v1/agents", **query)
            return [row["name"] for row in answer["items"]]

        assert await names(q="oper") == ["globex-operator", "operator"]
        assert await names(tenant="globex") == ["globex-operator", "spy"]
        assert await names(health="disabled") == ["retired"]
        assert await names(q="nobody") == []
        status, row = await desk.get("operator", "/v1/agents/planner")
        assert (status, row["name"]) == (200, "planner")
        assert (await desk.get("operator", "/v1/agents/nobody"))[0] == 404
        assert (await desk.get("operator", "/v1/agents", limit=0))[0] == 400


async def test_an_agent_whose_queue_is_nearly_full_is_slow() -> None:
    """So an operator sees who holds up the others."""
    async with operated() as desk:
        wait = asyncio.Event()

        async def stuck(body: object) -> None:
            del body
            await wait.wait()

        desk.bus.agent("worker").subscribe("tasks.>", stuck, capacity=10)
        for _ in range(11):
            await desk.bus.agent("planner").publish("tasks.a", {})
        _, row = await desk.get("operator", "/v1/agents/worker")
        assert row["health"] == "slow"
        assert row["queued"] + row["in_flight"] == 11
        wait.set()


async def test_a_quarantined_agent_is_let_in_no_more_until_it_is_released() -> None:
    """Its credential is refused at once, and good again afterwards."""
    async with operated() as desk:
        reason = {"reason": "it loops", "confirm": "planner"}
        path = "/v1/agents/planner"
        status, answer = await desk.post("operator", path + "/quarantine", **reason)
        assert status == 200
        assert answer["quarantine"]["by"] == "operator"
        assert answer["quarantine"]["reason"] == "it loops"
        _, row = await desk.get("operator", path)
        assert row["health"] == "quarantined"
        _, front = await desk.get("operator", "/v1/overview")
        assert front["quarantined"] == 1
        assert not await desk.let_in("planner")
        status, answer = await desk.post("operator", path + "/release", reason="fixed")
        assert (status, answer["quarantine"]) == (200, None)
        assert await desk.let_in("planner")
        said = [(event, detail) for event, _, _, detail in await desk.events()]
        assert ("quarantined", True) in [(e, "it loops" in d) for e, d in said]
        assert ("quarantine_lifted", True) in [(e, "fixed" in d) for e, d in said]
        assert (await desk.post("operator", path + "/release", reason="x"))[0] == 404


async def test_a_script_in_a_field_is_told_as_the_text_that_it_is() -> None:
    """As JSON, which no browser takes for a page."""
    script = "<script>alert('\u2028')</script>\n\ndata: x"
    async with operated() as desk:
        order = {"reason": script, "confirm": "intern"}
        client = desk.client("operator")
        path = "/v1/agents/intern"
        async with client.post(path + "/quarantine", json=order) as answer:
            assert (await answer.json())["quarantine"]["reason"] == script
            assert answer.content_type == "application/json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        _, row = await desk.get("operator", path)
        assert row["quarantine"]["reason"] == script
        await desk.bus.audit.flush()
        _, page = await desk.get("operator", "/v1/audit", event="quarantined")
        assert script in page["items"][0]["detail"]


async def test_a_killed_agent_has_no_credential_left() -> None:
    """Released from quarantine, it still needs a new one."""
    async with operated() as desk:
        order = {"reason": "stolen", "confirm": "planner"}
        status, answer = await desk.post("operator", "/v1/agents/planner/kill", **order)
        assert (status, answer["credentials_revoked"]) == (200, 1)
        released = await desk.post(
            "operator", "/v1/agents/planner/release", reason="found again"
        )
        assert released[0] == 200
        assert not await desk.let_in("planner")
        events = [event for event, *_ in await desk.events()]
        assert [e for e in events if e in {"quarantined", "killed"}] == [
            "quarantined",
            "killed",
        ]


@pytest.mark.parametrize("order", ["quarantine", "kill"])
async def test_an_order_is_typed_with_the_name_and_given_with_a_reason(
    order: str,
) -> None:
    """Otherwise nothing happens, and nothing is recorded."""
    async with operated() as desk:
        path = f"/v1/agents/planner/{order}"
        for given, status in (
            ({"reason": "bad", "confirm": "planer"}, 400),
            ({"reason": " ", "confirm": "planner"}, 400),
            ({"reason": "x" * 501, "confirm": "planner"}, 400),
            ({"reason": "bad"}, 400),
        ):
            assert (await desk.post("operator", path, **given))[0] == status
        assert not desk.node.identity.quarantined
        assert await desk.let_in("planner")


@pytest.mark.parametrize("order", ["quarantine", "kill"])
async def test_nobody_orders_about_itself_or_somebody_with_more_rights(
    order: str,
) -> None:
    """An admin may do so about an operator."""
    async with operated() as desk:

        async def ordered(by: str, about: str) -> int:
            path = f"/v1/agents/{about}/{order}"
            return (await desk.post(by, path, reason="because", confirm=about))[0]

        assert await ordered("operator", "operator") == 400
        assert await ordered("operator", "admin") == 403
        assert await ordered("operator", "spy") == 404
        assert await ordered("planner", "critic") == 403
        assert await ordered("admin", "operator") == 200
        assert await ordered("admin", "spy") == 200


async def test_quarantine_and_its_record_survive_a_restart(tmp_path: Path) -> None:
    """They are on disk when the order is answered."""
    sections: dict[str, Any] = {
        "node": NodeSettings(folder=None, tokens_file=tmp_path / "tokens.sqlite"),
        "audit": AuditSettings(file=tmp_path / "audit.log"),
    }
    order = {"reason": "it loops", "confirm": "planner"}
    async with operated(**sections) as desk:
        await desk.post("operator", "/v1/agents/planner/quarantine", **order)
    async with operated(**sections) as desk:
        _, row = await desk.get("operator", "/v1/agents/planner")
        assert row["quarantine"]["reason"] == "it loops"
    records = await asyncio.to_thread(tail, tmp_path / "audit.log", 100)
    (record,) = [one for one in records if one.event == "quarantined"]
    assert (record.tenant, record.agent) == ("acme", "operator")
    assert "token" in record.detail


async def test_the_overview_counts_what_the_caller_may_see() -> None:
    """An operator its tenant's, an admin all."""
    async with operated() as desk:
        for agent in ("planner", "spy", "spy"):
            inbox = Inbox()
            desk.bus.agent(agent).subscribe("notes.>", inbox)
        await desk.bus.agent("planner").publish("notes.a", 1)
        await desk.bus.agent("spy").publish("notes.a", 1)
        await desk.bus.agent("spy").publish("notes.b", 1)
        await desk.events()
        fronts = {
            agent: (await desk.get(agent, "/v1/overview"))[1]
            for agent in ("operator", "globex-operator", "admin")
        }
        accepted = {name: one["counts"]["accepted"] for name, one in fronts.items()}
        assert accepted == {"operator": 1, "globex-operator": 2, "admin": 3}
        agents = {name: one["agents"] for name, one in fronts.items()}
        assert agents == {"operator": 6, "globex-operator": 2, "admin": 8}
        assert fronts["admin"]["checks"][0]["text"]
        assert not any(check["text"] for check in fronts["operator"]["checks"])
        assert fronts["admin"]["standing"] == "healthy"
        assert fronts["admin"]["version"] == "0.0.0"


async def test_points_are_made_each_second() -> None:
    """A tenant's from when somebody asked; an admin's always, with latencies."""
    async with operated() as desk:
        _, first = await desk.get("operator", "/v1/series")
        assert (first["tenant"], first["points"]) == ("acme", [])
        inbox = Inbox()
        desk.bus.agent("worker").subscribe("notes.>", inbox)
        await desk.bus.agent("planner").publish("notes.a", 1)
        await desk.until(lambda: bool(inbox.done))
        await desk.events()

        async def counted(agent: str) -> dict[str, Any]:
            for _ in range(200):
                _, answer = await desk.get(agent, "/v1/series")
                for point in answer["points"]:
                    if point["accepted"]:
                        return dict(point)
                await asyncio.sleep(0.02)
            raise AssertionError("no point was made")

        mine = await counted("operator")
        assert (mine["accepted"], mine["delivered"], mine["p50_us"]) == (1, 1, None)
        everybody = await counted("admin")
        assert everybody["p99_us"] >= everybody["p50_us"] > 0


async def test_agents_are_those_that_were_met_where_policy_data_are_elsewhere() -> None:
    """As with policy at another server."""
    async with operated() as desk:
        desk.bus.agent("worker").subscribe("notes.>", Inbox())
        await desk.bus.agent("planner").publish("notes.a", 1)
        await desk.events()
        roll = desk.office._fleet.roll  # noqa: SLF001 - there is no such server here
        roll._inside.policy = _Elsewhere()  # noqa: SLF001 - as above
        _, answer = await desk.get("operator", "/v1/agents")
        assert "planner" in [row["name"] for row in answer["items"]]
        assert "critic" not in [row["name"] for row in answer["items"]]
        await _policy_elsewhere(desk)


class _Elsewhere:
    """Policy whose files are not here."""

    def bundle(self) -> None:
        """Return nothing."""


async def _policy_elsewhere(desk: Desk) -> None:
    """Its texts are not here either, and what asks for them says so."""
    _, policy = await desk.get("admin", "/v1/policy")
    assert (policy["writable"], policy["modules"]) == (False, [])
    assert (await desk.get("admin", "/v1/policy/data"))[0] == 404
    etag = policy["etag"]
    assert (await desk.put("admin", "/v1/policy", etag, data={}))[0] == 400
