"""Tenants are walls: every operation of operators, by its name, from the other side.

Rule: what is globex's does not exist for an operator of acme. A new operation has its
case here, or the first test fails.
"""

from pathlib import Path
from typing import Any

import msgspec

from bus.config.keeping import StoreSettings
from bus.config.settings import AuditSettings
from bus.edge.caller import Scope
from tests.fakes.operators import Desk, governed

THEIRS = ("globex", "spy", "secret")
"""Words of the other tenant: its name, an agent of it, a subject."""

KEPT = StoreSettings(kind="memory")

READ = (
    "get_overview",
    "list_agents",
    "get_series",
    "list_approvals",
    "list_dead_letters",
    "list_streams",
    "list_consumers",
    "list_decisions",
    "list_audit",
    "get_policy",
    "list_revisions",
    "get_recovery",
    "list_recovery_history",
    "get_audit_check",
)
"""Answers that may not have a word of theirs."""

NAMED: dict[str, dict[str, Any]] = {
    "get_agent": {"name": "spy"},
    "quarantine_agent": {"name": "spy", "reason": "x", "confirm": "spy"},
    "release_agent": {"name": "spy", "reason": "x"},
    "kill_agent": {"name": "spy", "reason": "x", "confirm": "spy"},
    "get_approval": {"id": "HELD"},
    "release_message": {"id": "HELD", "reason": "x"},
    "refuse_message": {"id": "HELD", "reason": "x"},
    "get_dead_letter": {"id": "LETTER"},
    "resend_dead_letter": {"id": "LETTER"},
    "rewind_consumer": {"name": "theirs", "tenant": "globex"},
    "evaluate_policy": {"agent": "spy", "subject": "secret.a"},
    "explain_message": {"id": "HELD"},
}
"""What is asked for by its name, which is not there."""

ADMINS: dict[str, dict[str, Any]] = {
    "get_policy_data": {},
    "put_policy": {"data": {}},
    "approve_recovery": {"component": "store"},
    "cancel_recovery": {"component": "store"},
}
"""What is nobody's of one tenant alone."""

NODES = {"diff_revisions", "verify_audit"}
"""What is the node's, and says nothing of anybody; see their tests below."""


async def fill(desk: Desk) -> dict[str, str]:
    """Let the other tenant do something of each kind; return the ids of it."""

    async def handler(body: object) -> None:
        raise ValueError(body)

    spy = desk.bus.agent("spy")
    spy.subscribe("secret.>", handler, durable="theirs", max_deliver=1)
    await spy.publish("secret.a", {"secret": 1})
    held = await spy.publish("risky.secret", {"secret": 1})
    store = desk.bus.stats().store
    assert store is not None
    await desk.until(lambda: _letters(desk) == 1)
    await desk.bus.audit.flush()
    _, letters = await desk.get("globex-operator", "/v1/dead-letters")
    return {"HELD": held.id.hex(), "LETTER": letters["items"][0]["id"]}


def _letters(desk: Desk) -> int:
    store = desk.bus.stats().store
    return 0 if store is None else store.letters


async def asked(desk: Desk, agent: str, name: str, given: dict[str, Any]) -> Any:
    """Ask for an operation over HTTP; return status and answer."""
    operation = desk.operation(name)
    path, rest = operation.path, dict(given)
    for field in operation.asks.__struct_fields__:
        if f"{{{field}}}" in path:
            path = path.replace(f"{{{field}}}", rest.pop(field))
    if operation.method == "GET":
        return await desk.get(agent, path, **rest)
    if operation.method == "PUT":
        return await desk.put(agent, path, "x", **rest)
    return await desk.post(agent, path, **rest)


async def test_every_operation_is_looked_at_from_the_other_side(
    tmp_path: Path,
) -> None:
    """A new one has its case in one of the lists above."""
    async with governed(tmp_path) as desk:
        scopes = {one.name: one.scope for one in desk.office.operations()}
        assert set(scopes) == {*READ, *NAMED, *ADMINS, *NODES}
        admins = {name for name, scope in scopes.items() if scope is Scope.ADMIN}
        assert admins == set(ADMINS)
        assert Scope.AGENT not in scopes.values()


async def test_no_answer_has_a_word_of_another_tenant(tmp_path: Path) -> None:
    """Each list is full of it for the other side."""
    audit = AuditSettings(file=tmp_path / "audit.log")
    async with governed(tmp_path, store=KEPT, audit=audit) as desk:
        await fill(desk)
        for name in READ:
            status, answer = await asked(desk, "operator", name, {})
            assert (name, status) == (name, 200)
            text = msgspec.json.encode(answer).decode()
            assert (name, [word for word in THEIRS if word in text]) == (name, [])
        for name in ("list_approvals", "list_dead_letters", "list_audit"):
            _, answer = await asked(desk, "globex-operator", name, {})
            assert "secret" in msgspec.json.encode(answer).decode()


async def test_no_list_of_another_tenant_can_be_asked_for(tmp_path: Path) -> None:
    """It is as empty as that of a tenant that is not there."""
    async with governed(tmp_path, store=KEPT) as desk:
        await fill(desk)
        for name in READ:
            if "tenant" in desk.operation(name).asks.__struct_fields__:
                theirs = {"tenant": "globex"}
                _, answer = await asked(desk, "operator", name, theirs)
                assert (name, answer["items"]) == (name, [])
                _, answer = await asked(desk, "admin", name, theirs)
                assert (name, bool(answer["items"])) == (name, True)


async def test_what_is_another_tenant_s_is_not_there(tmp_path: Path) -> None:
    """The same answer as for what never was, and nothing has changed."""
    async with governed(tmp_path, store=KEPT) as desk:
        ids = await fill(desk)
        for name, given in NAMED.items():
            told = {field: ids.get(value, value) for field, value in given.items()}
            status, answer = await asked(desk, "operator", name, told)
            assert (name, status, answer["code"]) == (name, 404, "not_found")
            assert "globex" not in answer["detail"]
        assert not desk.node.identity.quarantined
        assert len(desk.bus.held) == 1
        assert _letters(desk) == 1


async def test_what_is_everybody_s_is_an_admin_s(tmp_path: Path) -> None:
    """An operator is told that its credential is not good for it."""
    async with governed(tmp_path) as desk:
        for name, given in ADMINS.items():
            status, answer = await asked(desk, "operator", name, given)
            assert (name, status, answer["code"]) == (name, 403, "forbidden")
        for name in (*READ, *NAMED, *ADMINS, *NODES):
            told = NAMED.get(name) or ADMINS.get(name) or {}
            assert (await asked(desk, "planner", name, told))[0] == 403


async def test_a_diff_and_a_check_say_nothing_of_anybody(tmp_path: Path) -> None:
    """Data are compared for an admin only; of a check there are counts."""
    audit = AuditSettings(file=tmp_path / "audit.log")
    async with governed(tmp_path, audit=audit) as desk:
        before = desk.bus.revision
        _, policy = await desk.get("admin", "/v1/policy/data")
        del policy["data"]["agents"]["spy"]
        bundle = desk.bus.authorizer.bundle
        await desk.put("admin", "/v1/policy", bundle.digest, data=policy["data"])
        compared = {"from": before, "to": desk.bus.revision}
        _, mine = await desk.post("operator", "/v1/policy/diff", **compared)
        assert (mine["files"], mine["data_compared"]) == ([], False)
        _, whole = await desk.post("admin", "/v1/policy/diff", **compared)
        (lines,) = [one["lines"] for one in whole["files"] if one["name"] == "data"]
        assert [line for line in lines if "agents.spy" in line] == lines
        _, found = await desk.post("operator", "/v1/audit/verify")
        assert (found["ok"], found["by"]) == (True, "")
