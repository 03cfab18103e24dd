"""Policy over HTTP: what is in force, what it would answer and why, and another one."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.config.keeping import StoreSettings
from bus.config.settings import AuditSettings
from bus.core.outcome import Accepted, Denied, Held
from tests.fakes.buses import Inbox
from tests.fakes.nodes import data
from tests.fakes.operators import Desk, governed, operated, write_json


async def policy_of(desk: Desk, agent: str = "admin") -> dict[str, Any]:
    """Return the policy in force."""
    status, answer = await desk.get(agent, "/v1/policy")
    assert status == 200
    return dict(answer)


def in_force(desk: Desk) -> tuple[str, list[dict[str, str]]]:
    """Return the etag and the modules of the policy in force, without asking."""
    bundle = desk.bus.authorizer.bundle
    modules = [{"name": one.name, "text": one.text} for one in bundle.sources]
    return bundle.digest, modules


async def test_the_policy_in_force_is_shown_with_its_rules(tmp_path: Path) -> None:
    """Data are an admin's alone."""
    async with governed(tmp_path) as desk:
        admin, operator = await policy_of(desk), await policy_of(desk, "operator")
        assert admin["revision"] == desk.bus.revision
        names = [module["name"] for module in admin["modules"]]
        assert names == ["authz.rego", "holds.rego", "subjects.rego"]
        rules = {(rule["file"], rule["rule"]) for rule in admin["rules"]}
        assert ("holds.rego", "data.assent.authz.obligations") in rules
        assert (admin["writable"], operator["writable"]) == (True, False)
        assert (admin["data_agents"], operator["data_agents"]) == (8, 6)
        status, answer = await desk.get("admin", "/v1/policy/data")
        assert (status, answer["data"]["agents"].keys()) == (
            200,
            data()["agents"].keys(),
        )
        assert (await desk.get("operator", "/v1/policy/data"))[0] == 403


async def test_policy_is_asked_without_doing_anything(tmp_path: Path) -> None:
    """Allowed, denied with its reasons, and held; each with the rules it rests on."""
    async with governed(tmp_path) as desk:

        async def asked(**question: Any) -> dict[str, Any]:
            status, answer = await desk.post(
                "operator", "/v1/policy/evaluate", **question
            )
            assert status == 200
            return dict(answer)

        allowed = await asked(agent="intern", subject="notes.a")
        assert allowed["allow"] is True
        denied = await asked(agent="intern", subject="notes.a", type="command")
        assert denied["allow"] is False
        assert "intern" in denied["reasons"][0]
        assert any(rule["decided"] for rule in denied["rules"])
        assert {one["name"] for one in denied["input"]} >= {"action", "message.subject"}
        held = await asked(agent="planner", subject="risky.a", size=10)
        assert held["obligations"][0]["type"] == "hold"
        assert held["document"]["message"]["size"] == 10
        access = await asked(agent="intern", action="subscribe", subject="notes.*")
        assert access["allow"] is True
        assert access["document"]["subscription"]["pattern"] == "notes.*"
        assert (await desk.events())[-1][0] != "denied"


async def test_what_rules_come_to_is_for_an_admin(tmp_path: Path) -> None:
    """It may hold data of any tenant."""
    async with governed(tmp_path) as desk:
        question = {"agent": "planner", "subject": "notes.a"}
        for agent, shown in (("admin", True), ("operator", False)):
            _, answer = await desk.post(agent, "/v1/policy/evaluate", **question)
            values = [rule["value"] for rule in answer["rules"]]
            assert any(value is not None for value in values) is shown


async def test_a_question_that_cannot_be_put_is_refused() -> None:
    """With the code that says why."""
    cases: list[tuple[dict[str, Any], int]] = [
        ({"agent": "nobody"}, 404),
        ({"agent": "spy"}, 404),
        ({"agent": "planner", "action": "fly"}, 400),
        ({"agent": "planner", "revision": "0123456789abcdef"}, 404),
        ({"agent": "planner", "headers": {f"h{n}": "" for n in range(65)}}, 400),
    ]
    async with operated() as desk:
        for question, status in cases:
            answered = await desk.post("operator", "/v1/policy/evaluate", **question)
            assert answered[0] == status


async def test_why_tells_of_what_is_held_denied_and_refused(tmp_path: Path) -> None:
    """A whole message where it is kept; else what the record says, and what it lacks."""
    async with governed(tmp_path) as desk:
        held = await desk.bus.agent("planner").publish("risky.a", {"x": 1})
        denied = await desk.bus.agent("intern").publish("tasks.a", 1, type="command")
        assert isinstance(held, Held)
        assert isinstance(denied, Denied)
        _, why = await desk.get("operator", f"/v1/messages/{held.id.hex()}/why")
        assert (why["outcome"], why["same"], why["note"]) == ("held", True, "")
        assert why["document"]["message"]["body"] == {"x": 1}
        _, why = await desk.get("operator", f"/v1/messages/{denied.id.hex()}/why")
        assert (why["outcome"], why["allow"], why["same"]) == ("denied", False, True)
        assert why["reasons"] == list(denied.reasons)
        assert "not recorded" in why["note"]
        status, _ = await desk.get("operator", f"/v1/messages/{'0' * 32}/why")
        assert status == 404
        assert (await desk.get("operator", "/v1/messages/zz/why"))[0] == 404


async def test_why_tells_of_what_is_kept_and_of_what_only_a_file_tells(
    tmp_path: Path,
) -> None:
    """The whole message from its stream; a denial from the record on disk."""
    sections: dict[str, Any] = {
        "store": StoreSettings(kind="memory"),
        "audit": AuditSettings(file=tmp_path / "audit.log"),
    }
    async with governed(tmp_path, **sections) as desk:
        kept = await desk.bus.agent("planner").publish("notes.a", {"x": 1})
        denied = await desk.bus.agent("intern").publish("tasks.a", 1)
        assert isinstance(kept, Accepted)
        assert isinstance(denied, Denied)
        _, why = await desk.get("operator", f"/v1/messages/{kept.id.hex()}/why")
        assert (why["outcome"], why["same"], why["allow"]) == ("accepted", True, True)
        assert why["document"]["message"]["body"] == {"x": 1}
        _, why = await desk.get("operator", f"/v1/messages/{denied.id.hex()}/why")
        assert (why["outcome"], why["same"]) == ("denied", True)
        async with desk.client("operator").get("/v1/live"):
            seen = await desk.bus.agent("intern").publish("tasks.b", 1, type="command")
            _, why = await desk.get("operator", f"/v1/messages/{seen.id.hex()}/why")
        assert why["document"]["message"]["type"] == "command"
        assert "type" not in why["note"]


async def test_why_tells_of_access_that_was_refused() -> None:
    """Found among the decisions of late."""
    async with operated() as desk:
        with pytest.raises(Exception, match="may subscribe"):
            desk.bus.agent("intern").subscribe("tasks.>", Inbox())
        await desk.events()
        _, found = await desk.get("operator", "/v1/policy/decisions", allow="false")
        (row,) = found["items"]
        assert (row["action"], row["subject"]) == ("subscribe", "tasks.>")
        path = f"/v1/messages/{row['message_id']}/why"
        _, why = await desk.get("operator", path)
        assert (why["allow"], why["same"], why["note"]) == (False, True, "")
        assert why["document"]["subscription"]["pattern"] == "tasks.>"


async def test_decisions_of_late_come_newest_first_with_their_reasons() -> None:
    """In pages, and filtered."""
    async with operated() as desk:
        desk.bus.agent("worker").subscribe(">", Inbox())
        for number in range(5):
            await desk.bus.agent("planner").publish(f"notes.{number}", 1)
            await desk.bus.agent("intern").publish(f"tasks.{number}", 1)
        await desk.events()
        path = "/v1/policy/decisions"
        _, answer = await desk.get("operator", path, limit=3)
        subjects = [row["subject"] for row in answer["items"]]
        while answer["next"]:
            _, answer = await desk.get("operator", path, limit=3, after=answer["next"])
            subjects += [row["subject"] for row in answer["items"]]
        expected = [
            f"{kind}.{n}" for n in range(4, -1, -1) for kind in ("tasks", "notes")
        ]
        assert subjects == expected
        assert len(answer["reasons"]) == 5
        _, denied = await desk.get("operator", "/v1/policy/decisions", allow="false")
        assert {row["agent"] for row in denied["items"]} == {"intern"}
        _, one = await desk.get("operator", "/v1/policy/decisions", reason="tasks.3")
        assert [row["subject"] for row in one["items"]] == ["tasks.3"]
        _, none = await desk.get("operator", "/v1/policy/decisions", agent="nobody")
        assert none["items"] == []


@pytest.mark.parametrize("toml", [False, True])
async def test_an_admin_puts_other_data_in_force(tmp_path: Path, toml: bool) -> None:  # noqa: FBT001 - a case
    """It decides at once, is on disk, and is recorded with who did it."""
    made = data()
    made["roles"]["narrow"]["publish"].append({"subject": "tasks.*"})
    async with governed(tmp_path, toml=toml) as desk:
        desk.bus.agent("worker").subscribe(">", Inbox())
        assert isinstance(await desk.bus.agent("intern").publish("tasks.a", 1), Denied)
        etag, _ = in_force(desk)
        before = desk.bus.revision
        status, answer = await desk.put(
            "admin", "/v1/policy", etag, data=made, reason="interns help"
        )
        assert (status, answer["before"]) == (200, before)
        assert answer["revision"] == desk.bus.revision != before
        assert not isinstance(
            await desk.bus.agent("intern").publish("tasks.a", 1), Denied
        )
        assert in_force(desk)[0] == answer["etag"]
        events = await desk.events()
        (put,) = [row for row in events if row[0] == "policy_put"]
        assert put[2] == "admin"
        assert "interns help" in put[3]
        assert await desk.bus.reload_policy() == answer["revision"]
        _, kept = await desk.get("admin", "/v1/policy/revisions")
        assert [row["current"] for row in kept["items"]] == [True, False]
        assert kept["items"][0]["by"] == "admin"


async def test_an_admin_puts_other_rules_in_force(tmp_path: Path) -> None:
    """A file that is not given is gone; the diff says what is different."""
    async with governed(tmp_path) as desk:
        (etag, given), before = in_force(desk), desk.bus.revision
        modules = [one for one in given if one["name"] != "holds.rego"]
        modules[0]["text"] += "\n# A word more.\n"
        status, answer = await desk.put("admin", "/v1/policy", etag, modules=modules)
        assert status == 200
        assert not await asyncio.to_thread((tmp_path / "rules/holds.rego").exists)
        compared = {"from": before, "to": answer["revision"]}
        _, diff = await desk.post("operator", "/v1/policy/diff", **compared)
        files = {one["name"]: one for one in diff["files"]}
        assert files["holds.rego"]["change"] == "removed"
        assert "+# A word more." in files["authz.rego"]["lines"]
        assert (diff["from"], diff["data_compared"]) == (before, False)
        old = {"agent": "planner", "subject": "risky.a", "revision": before}
        _, made = await desk.post("operator", "/v1/policy/evaluate", **old)
        assert made["obligations"]
        _, made = await desk.post(
            "operator", "/v1/policy/evaluate", agent="planner", subject="risky.a"
        )
        assert not made["obligations"]


async def test_a_bad_policy_is_refused_with_its_place_and_changes_nothing(
    tmp_path: Path,
) -> None:
    """Neither in force nor on disk."""
    async with governed(tmp_path) as desk:
        (etag, modules), before = in_force(desk), desk.bus.revision
        modules[1] = {
            "name": "holds.rego",
            "text": "package assent.authz\n\nallow {{\n",
        }
        status, answer = await desk.put("admin", "/v1/policy", etag, modules=modules)
        assert (status, answer["code"]) == (422, "bad_policy")
        assert "holds.rego:3" in answer["detail"]
        status, answer = await desk.put("admin", "/v1/policy", etag, data={"agents": 1})
        assert (status, answer["code"]) == (422, "bad_policy")
        assert in_force(desk)[0] == etag
        assert await desk.bus.reload_policy() == before


async def test_a_policy_is_put_only_on_top_of_the_one_that_was_seen(
    tmp_path: Path,
) -> None:
    """So nobody undoes what somebody else did meanwhile."""
    async with governed(tmp_path) as desk:
        etag, _ = in_force(desk)
        assert (await desk.put("admin", "/v1/policy", None, data=data()))[0] == 409
        assert (await desk.put("admin", "/v1/policy", "x" * 64, data=data()))[0] == 412
        assert (await desk.put("operator", "/v1/policy", etag, data=data()))[0] == 403
        assert (await desk.put("admin", "/v1/policy", etag))[0] == 400
        long = {"data": data(), "reason": "x" * 501}
        assert (await desk.put("admin", "/v1/policy", etag, **long))[0] == 400


async def test_a_module_stays_in_its_folder(tmp_path: Path) -> None:
    """Whatever its name tries; it is named once, and there is one."""
    names = (
        "../out.rego",
        "/out.rego",
        ".hidden.rego",
        "a/../b.rego",
        "a//b.rego",
        "a\\b.rego",
        "a_test.rego",
        "a.txt",
    )
    async with governed(tmp_path) as desk:
        etag, given = in_force(desk)
        cases = [[*given, {"name": name, "text": "package x\n"}] for name in names]
        for modules in (*cases, [], [given[0], given[0]]):
            status, answer = await desk.put(
                "admin", "/v1/policy", etag, modules=modules
            )
            assert (status, answer["code"]) == (422, "bad_policy")
    found = await asyncio.to_thread(lambda: sorted(tmp_path.rglob("*.rego")))
    assert len(found) == 3


async def test_of_the_built_in_policy_only_data_are_put(tmp_path: Path) -> None:
    """Its rules are nobody's to change."""
    file = tmp_path / "data.json"
    await asyncio.to_thread(write_json, file, data())
    async with operated(file) as desk:
        etag, modules = in_force(desk)
        answered = await desk.put("admin", "/v1/policy", etag, modules=modules)
        assert answered[0] == 400
        made = data()
        del made["agents"]["spy"]
        answered = await desk.put("admin", "/v1/policy", etag, data=made)
        assert answered[0] == 200
        made["roles"]["all"]["fly"] = True
        answered = await desk.put("admin", "/v1/policy", answered[1]["etag"], data=made)
        assert (answered[0], answered[1]["code"]) == (422, "bad_policy")


async def test_policy_of_the_program_s_own_is_not_put() -> None:
    """There is no file to write it to."""
    async with operated() as desk:
        etag, _ = in_force(desk)
        status, answer = await desk.put("admin", "/v1/policy", etag, data=data())
        assert "set policy.data" in answer["detail"]
        assert (status, answer["code"]) == (400, "usage")
