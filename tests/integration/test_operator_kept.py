"""What waits for operators and what is kept: approvals, dead letters, streams, audit."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from bus.config.keeping import StoreSettings
from bus.config.settings import AuditSettings
from bus.core.outcome import Held
from bus.recovery import reconnect
from tests.fakes.buses import Inbox
from tests.fakes.operators import Desk, governed, operated

KEPT = StoreSettings(kind="memory")


async def hold(desk: Desk, agent: str, count: int) -> list[str]:
    """Publish what is held; return the ids."""
    ids = []
    for number in range(count):
        outcome = await desk.bus.agent(agent).publish(f"risky.{number}", {"n": number})
        assert isinstance(outcome, Held)
        ids.append(outcome.id.hex())
    return ids


async def give_up(desk: Desk, agent: str, count: int) -> None:
    """Let a handler of an agent give up so many messages of the planner's tenant."""

    async def handler(body: object, delivery: Any) -> None:
        delivery.term(f"no use: {body}")

    handler.__annotations__["delivery"] = _delivery_type()
    desk.bus.agent(agent).subscribe("jobs.>", handler)
    for number in range(count):
        await desk.bus.agent(agent).publish(f"jobs.{number}", {"n": number})
    await desk.until(lambda: dead(desk) >= count)


def dead(desk: Desk) -> int:
    """Return how many dead letters there are."""
    stats = desk.bus.stats()
    return stats.dead_letters if stats.store is None else stats.store.letters


def _delivery_type() -> Any:
    from bus.subscription import Delivery  # noqa: PLC0415 - for the annotation only

    return Delivery


async def test_what_is_held_is_listed_and_released_or_refused_by_the_caller(
    tmp_path: Path,
) -> None:
    """As its own agent, with a reason, and in the record."""
    async with governed(tmp_path) as desk:
        inbox = Inbox()
        desk.bus.agent("worker").subscribe("risky.>", inbox)
        first, second, third = await hold(desk, "planner", 3)
        await hold(desk, "spy", 1)
        _, page = await desk.get("operator", "/v1/approvals", limit=2)
        assert [row["id"] for row in page["items"]] == [first, second]
        assert page["total"] == 3
        _, rest = await desk.get("operator", "/v1/approvals", after=page["next"])
        assert [row["id"] for row in rest["items"]] == [third]
        row = page["items"][0]
        assert row["content"]["body"] == {"n": 0}
        assert row["reason"] == "a person looks first"
        assert row["until"] > row["since"]
        path = f"/v1/approvals/{first}"
        status, outcome = await desk.post("operator", path + "/release", reason="fine")
        assert (status, outcome["status"], outcome["deliveries"]) == (
            200,
            "accepted",
            1,
        )
        await desk.until(lambda: bool(inbox.done))
        path = f"/v1/approvals/{second}"
        status, outcome = await desk.post("operator", path + "/refuse", reason="no")
        assert (status, outcome["status"]) == (200, "denied")
        assert outcome["reasons"] == ["refused by operator: no"]
        assert (await desk.post("operator", path + "/refuse", reason="no"))[0] == 404
        said = [(event, detail) for event, _, _, detail in await desk.events()]
        assert ("released", "by operator: fine") in said


async def test_what_is_held_of_another_tenant_is_settled_there(tmp_path: Path) -> None:
    """An admin sees it, and says so; an operator does not even see it."""
    async with governed(tmp_path) as desk:
        (theirs,) = await hold(desk, "spy", 1)
        path = f"/v1/approvals/{theirs}"
        assert (await desk.get("operator", path))[0] == 404
        assert (await desk.post("operator", path + "/release", reason="x"))[0] == 404
        assert (await desk.get("admin", path))[0] == 200
        assert (await desk.post("admin", path + "/release", reason="x"))[0] == 403


async def test_nobody_releases_what_is_its_own_or_without_a_reason(
    tmp_path: Path,
) -> None:
    """Policy and the bus decide, not the credential."""
    async with governed(tmp_path) as desk:
        (mine,) = await hold(desk, "operator", 1)
        path = f"/v1/approvals/{mine}/release"
        status, answer = await desk.post("operator", path, reason="mine")
        assert (status, answer["code"]) == (403, "denied")
        assert "self-validation" in answer["reasons"][0]
        assert (await desk.post("admin", path, reason=" "))[0] == 400
        assert (await desk.post("planner", path, reason="x"))[0] == 403
        assert (await desk.get("operator", "/v1/approvals/zz"))[0] == 404


@pytest.mark.parametrize("kept", [True, False])
async def test_dead_letters_are_peeked_at_in_pages(kept: bool) -> None:  # noqa: FBT001 - a case
    """With a store and without one."""
    sections = {"store": KEPT} if kept else {}
    async with operated(None, **sections) as desk:
        await give_up(desk, "planner", 3)
        _, page = await desk.get("operator", "/v1/dead-letters", limit=2)
        assert [row["content"]["body"] for row in page["items"]] == [{"n": 0}, {"n": 1}]
        assert {row["resendable"] for row in page["items"]} == {kept}
        assert page["items"][0]["reason"].startswith("no use")
        assert page["total"] is None
        _, rest = await desk.get("admin", "/v1/dead-letters", after=page["next"])
        assert [row["subject"] for row in rest["items"]] == ["jobs.2"]
        assert rest["total"] == 3
        one = page["items"][1]
        path = f"/v1/dead-letters/{one['id']}"
        assert (await desk.get("operator", path))[1] == one
        for query in ({"consumer": "nobody"}, {"tenant": "globex"}):
            _, none = await desk.get("operator", "/v1/dead-letters", **query)
            assert none["items"] == []
        _, theirs = await desk.get("globex-operator", "/v1/dead-letters")
        assert theirs["items"] == []
        assert (await desk.get("globex-operator", path))[0] == 404
        for letter in ("0", "99", "x", "-1"):
            answered = await desk.get("operator", f"/v1/dead-letters/{letter}")
            assert answered[0] in {400, 404}
        status, _ = await desk.post("operator", path + "/resend")
        assert status == (200 if kept else 400)


async def test_a_dead_letter_is_changed_and_sent_once_more() -> None:
    """By the caller's agent, to the consumer that gave it up; then it is gone."""
    async with operated(None, store=KEPT) as desk:
        got: list[object] = []

        async def handler(body: dict[str, int]) -> None:
            if body["n"] < 0:
                raise ValueError(body)
            got.append(body)

        desk.bus.agent("planner").subscribe("jobs.>", handler, max_deliver=1)
        for number in (-1, -2):
            await desk.bus.agent("critic").publish("jobs.a", {"n": number})
        await desk.until(lambda: dead(desk) == 2)
        _, page = await desk.get("operator", "/v1/dead-letters")
        first, second = (f"/v1/dead-letters/{row['id']}" for row in page["items"])
        body = {"body": {"n": 7}}
        both = {**body, "body_base64": "AAA="}
        assert (await desk.post("operator", first + "/resend", **both))[0] == 400
        wrong = {"body_base64": "not base64"}
        assert (await desk.post("operator", first + "/resend", **wrong))[0] == 400
        status, outcome = await desk.post("operator", first + "/resend", **body)
        assert (status, outcome["status"]) == (200, "accepted")
        await desk.until(lambda: got == [{"n": 7}])
        await desk.until(lambda: dead(desk) == 1)
        assert (await desk.get("operator", first))[0] == 404
        packed = base64.b64encode(b"\x81\xa1n\x08").decode()
        assert (await desk.post("globex-operator", second + "/resend"))[0] == 404
        status, _ = await desk.post("operator", second + "/resend", body_base64=packed)
        assert status == 200


async def consume(desk: Desk) -> None:
    """Let three durable consumers of two tenants have a message in hand each."""

    async def slow(body: object) -> None:
        del body
        await asyncio.Event().wait()

    for agent, name in (("worker", "first"), ("critic", "second"), ("spy", "third")):
        desk.bus.agent(agent).subscribe("jobs.>", slow, durable=name)
    await desk.bus.agent("planner").publish("jobs.a", 1)
    await desk.bus.agent("spy").publish("jobs.a", 1)
    await desk.until(lambda: desk.bus.stats().in_flight == 3)


async def test_streams_are_told_with_what_is_in_them() -> None:
    """By tenant."""
    async with operated(None, store=KEPT) as desk:
        await consume(desk)
        _, streams = await desk.get("operator", "/v1/streams")
        assert streams["durable"] is True
        (row,) = streams["items"]
        assert (row["tenant"], row["messages"], row["last"]) == ("acme", 1, 1)
        assert row["limits"]["discard"] == "settled"
        _, both = await desk.get("admin", "/v1/streams")
        assert [row["tenant"] for row in both["items"]] == ["acme", "globex"]
        _, front = await desk.get("admin", "/v1/overview")
        assert (front["durable"], front["in_flight"]) == (True, 3)


async def test_consumers_are_told_with_how_far_they_are() -> None:
    """In pages, by tenant and name."""
    async with operated(None, store=KEPT) as desk:
        await consume(desk)
        _, page = await desk.get("admin", "/v1/consumers", limit=2)
        assert [row["name"] for row in page["items"]] == ["first", "second"]
        assert page["items"][0]["pending"] == page["items"][0]["in_flight"] == 1
        assert page["items"][0]["oldest_seconds"] >= 0
        _, rest = await desk.get("admin", "/v1/consumers", after=page["next"])
        assert [row["name"] for row in rest["items"]] == ["third"]
        _, own = await desk.get("globex-operator", "/v1/consumers")
        assert [row["name"] for row in own["items"]] == ["third"]
        assert (await desk.get("admin", "/v1/consumers", after="x"))[0] == 400


async def test_a_consumer_is_taken_back_to_its_last_ack() -> None:
    """By an operator of its tenant, or an admin; and recorded."""
    async with operated(None, store=KEPT) as desk:
        await consume(desk)
        status, done = await desk.post("operator", "/v1/consumers/first/rewind")
        assert (status, done["deliveries"], done["in_hand"]) == (200, 1, 1)
        path, theirs = "/v1/consumers/third/rewind", {"tenant": "globex"}
        assert (await desk.post("operator", path))[0] == 404
        assert (await desk.post("operator", path, **theirs))[0] == 404
        assert (await desk.post("admin", path, **theirs))[0] == 200
        events = [(event, agent) for event, _, agent, _ in await desk.events()]
        assert ("recovery", "operator") in events


async def test_subscriptions_stand_for_consumers_where_nothing_is_kept() -> None:
    """And there are no streams."""
    async with operated() as desk:
        desk.bus.agent("worker").subscribe("jobs.>", Inbox())
        _, streams = await desk.get("operator", "/v1/streams")
        assert (streams["items"], streams["durable"]) == ([], False)
        _, consumers = await desk.get("operator", "/v1/consumers")
        (row,) = consumers["items"]
        assert (row["agent"], row["durable"], row["pattern"]) == (
            "worker",
            False,
            "jobs.>",
        )
        assert (await desk.post("operator", "/v1/consumers/x/rewind"))[0] == 400


@pytest.mark.parametrize("file", [True, False])
async def test_the_record_is_read_in_pages_from_both_ends(
    tmp_path: Path,
    file: bool,  # noqa: FBT001 - a case
) -> None:
    """From a file and from memory; an operator sees its tenant's."""
    path = tmp_path / "audit.log"
    audit = AuditSettings(file=path) if file else AuditSettings()
    async with operated(None, audit=audit) as desk:
        desk.bus.agent("worker").subscribe("notes.>", Inbox())
        for number in range(5):
            await desk.bus.agent("planner").publish(f"notes.{number}", 1)
        await desk.until(lambda: desk.office.tap.all["delivered"] == 5)
        await desk.bus.audit.flush()

        async def read(by: str, /, **query: Any) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = []
            more: dict[str, Any] = {}
            for _ in range(30):
                _, page = await desk.get(by, "/v1/audit", limit=3, **query, **more)
                rows += page["items"]
                assert page["durable"] is file
                if page["next"] is None:
                    return rows
                more = {"after": page["next"]}
            raise AssertionError("it goes in a circle")

        newest, oldest = await read("admin"), await read("admin", oldest="true")
        assert [row["seq"] for row in newest] == [row["seq"] for row in oldest][::-1]
        assert [row["event"] for row in oldest].count("accepted") == 5
        assert oldest[0]["event"] == "started"
        assert {row["tenant"] for row in await read("operator")} == {"acme"}
        assert await read("globex-operator") == []
        (one,) = await read("operator", subject="notes.3")
        assert {row["event"] for row in await read("operator", id=one["id"])} == {
            "accepted",
            "delivered",
        }
        assert {row["agent"] for row in await read("operator", agent="worker")} == {
            "worker"
        }
        assert (await desk.get("operator", "/v1/audit", after="x"))[0] == 400


async def test_the_whole_record_is_checked_and_a_change_is_found(
    tmp_path: Path,
) -> None:
    """The last result stays to be seen; of a record in memory there is none."""
    path = tmp_path / "audit.log"
    async with operated(None, audit=AuditSettings(file=path)) as desk:
        assert (await desk.get("operator", "/v1/audit/verify"))[1]["state"] == "never"
        await desk.bus.agent("planner").publish("notes.a", 1)
        await desk.bus.audit.flush()
        status, found = await desk.post("operator", "/v1/audit/verify")
        assert (status, found["state"], found["ok"]) == (200, "done", True)
        assert found["records"] > 0
        assert len(found["head"]) == 64
        await asyncio.to_thread(_spoil, path)
        _, found = await desk.post("admin", "/v1/audit/verify")
        assert (found["ok"], found["by"]) == (False, "admin")
        assert found["broken_line"] > 1
        assert found["reason"]
        assert (await desk.get("operator", "/v1/audit/verify"))[1] == found
        await asyncio.to_thread(path.rename, tmp_path / "away.log")
        _, found = await desk.post("operator", "/v1/audit/verify")
        assert (found["ok"], found["broken_line"]) == (False, None)
        assert (await desk.get("operator", "/v1/audit"))[0] == 503
        await asyncio.to_thread((tmp_path / "away.log").rename, path)
    async with operated() as desk:
        assert (await desk.post("operator", "/v1/audit/verify"))[0] == 400


def _spoil(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(text.replace(b"notes.a", b"notes.b"))


async def test_a_manual_step_is_approved_or_cancelled_by_an_admin() -> None:
    """And everybody sees how the parts stand."""
    async with operated() as desk:
        orchestrator = desk.bus.supervision.orchestrator
        part = reconnect("sink", _unwell, _unwell)
        orchestrator.register(part)
        orchestrator.report("sink", ValueError("it broke"))
        _, stands = await desk.get("admin", "/v1/recovery")
        rows = {row["component"]: row for row in stands["components"]}
        assert rows["sink"]["state"] == "scheduled"
        assert rows["sink"]["actions"] == ["cancel"]
        assert "broke" in rows["sink"]["error"]
        _, mine = await desk.get("operator", "/v1/recovery")
        assert {row["error"] for row in mine["components"]} == {""}
        status, row = await desk.post("admin", "/v1/recovery/sink/cancel")
        assert (status, row["state"]) == (200, "cancelled")
        assert (await desk.post("admin", "/v1/recovery/sink/cancel"))[0] == 409
        status, row = await desk.post("admin", "/v1/recovery/sink/approve")
        assert status == 200
        assert (await desk.post("admin", "/v1/recovery/none/approve"))[0] == 404
        assert (await desk.post("operator", "/v1/recovery/sink/approve"))[0] == 403
        path, query = "/v1/recovery/history", {"component": "sink"}
        _, whole = await desk.get("admin", path, **query)
        (cancelled,) = [row for row in whole["items"] if row["event"] == "cancel"]
        assert (cancelled["by"], cancelled["after"]) == ("admin", "cancelled")
        _, page = await desk.get("operator", path, limit=1, **query)
        _, rest = await desk.get("operator", path, after=page["next"], **query)
        assert rest["items"]
        assert {row["by"] for row in rest["items"]} == {""}


async def _unwell() -> None:
    raise ValueError("it is full")
