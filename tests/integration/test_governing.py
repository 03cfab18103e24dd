"""What a node tells agents of how they are governed, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bus.config.keeping import StoreSettings
from bus.config.settings import AuditSettings, ConstitutionSettings
from bus.core.decision import Decision
from bus.core.edgelimits import PRECEDENTS_MAX, PRECEDENTS_WAITING_MAX
from bus.core.errors import ConfigurationError
from bus.edge import governing
from policy import constitution
from tests.fakes.nodes import new_node, settings
from tests.fakes.operators import Desk, governed, operated

PATHS = ("/v1/constitution", "/v1/precedents", "/v1/governance/metrics")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Give a node with a store in memory."""
    async with operated(store=StoreSettings(kind="memory")) as desk:
        yield desk


async def judged(desk: Desk, agent: str, subject: str, **more: Any) -> dict[str, Any]:
    """Return the verdict on a message."""
    status, answer = await desk.post(agent, "/v1/compliance", subject=subject, **more)
    assert status == 200, answer
    return dict(answer)


async def test_the_constitution_is_the_one_messages_are_stamped_with(
    desk: Desk,
) -> None:
    """Its hash, and every principle with its words."""
    status, answer = await desk.get("intern", "/v1/constitution")
    assert (status, answer["hash"]) == (200, desk.bus.constitution)
    assert answer["name"] == constitution.BUILT_IN.name
    told = [(one["id"], one["text"]) for one in answer["principles"]]
    assert told == [(one.id, one.text) for one in constitution.BUILT_IN.principles]


def test_a_constitution_changed_while_the_node_is_made_is_refused(
    tmp_path: Path,
) -> None:
    """The principles that are told are those in force, or none."""
    file = tmp_path / "constitution.toml"
    text = 'name = "ours"\nversion = "1"\n[[principle]]\nid = "a"\ntext = "be good"\n'
    file.write_text(text + 'severity = "high"\n')
    node = new_node(given=settings(constitution=ConstitutionSettings(file=file)))
    assert governing.constitution_of(node.bus).name == "ours"
    file.write_text(text + 'severity = "low"\n')
    with pytest.raises(ConfigurationError, match="was changed"):
        governing.constitution_of(node.bus)


@pytest.mark.parametrize(
    ("subject", "more", "outcome"),
    [
        ("notes.a", {}, "accepted"),
        ("notes.a", {"body": {"any": [1]}, "headers": {"k": "v"}}, "accepted"),
        ("notes.a", {"body_base64": "AAEC"}, "accepted"),
        ("notes.a", {"type": "command"}, "denied"),
        ("notes.a", {"action": "request"}, "denied"),
        ("tasks.a", {}, "denied"),
        ("notes.a", {"constitution": "0" * 16}, "rejected"),
        ("$SYS.a", {}, "rejected"),
    ],
)
async def test_a_verdict_is_what_publishing_would_come_to(
    desk: Desk, subject: str, more: dict[str, Any], outcome: str
) -> None:
    """By policy, as the caller's own agent, and nothing is published."""
    made = await judged(desk, "intern", subject, **more)
    assert (made["outcome"], made["compliant"]) == (outcome, outcome == "accepted")
    assert made["revision"] == desk.bus.revision
    assert bool(made["reasons"]) is (outcome != "accepted")
    events = [(event, agent) for event, _, agent, _ in await desk.events()]
    assert ("compliance_check", "intern") in events
    assert not [event for event, agent in events if event == outcome]


async def test_a_verdict_tells_of_a_hold(tmp_path: Path) -> None:
    """It waits for a person: not compliant, and the obligation says so."""
    async with governed(tmp_path) as desk:
        made = await judged(desk, "planner", "risky.a")
    assert (made["outcome"], made["compliant"]) == ("held", False)
    assert made["reasons"] == ["a person looks first"]
    assert made["obligations"][0]["type"] == "hold"


@pytest.mark.parametrize(
    "asked",
    [
        {"subject": "a..b"},
        {"subject": "notes.a", "type": "nonsense"},
        {"subject": "notes.a", "priority": 9},
        {"subject": "notes.a", "body": 1, "body_base64": "AA=="},
        {"subject": "notes.a", "constitution": "ours"},
        {"subject": "notes.a", "as": "planner"},
        {},
    ],
)
async def test_what_could_not_be_a_message_is_refused(
    desk: Desk, asked: dict[str, Any]
) -> None:
    """With 400, and it is no verdict."""
    status, _ = await desk.post("intern", "/v1/compliance", **asked)
    assert status == 400
    assert "compliance_check" not in {event for event, *_ in await desk.events()}


async def publish(desk: Desk, agent: str, subject: str) -> None:
    """Publish, whatever comes of it."""
    await desk.post(agent, "/v1/messages", subject=subject, body=1)


async def precedents(desk: Desk, agent: str, **query: Any) -> list[dict[str, Any]]:
    """Return what is told of decisions before."""
    status, answer = await desk.get(agent, "/v1/precedents", **query)
    assert status == 200, answer
    return list(answer["items"])


@pytest.mark.parametrize("kept", ["file", "memory"])
async def test_precedents_are_of_like_subjects_and_ones_own(
    kept: str, tmp_path: Path
) -> None:
    """An agent sees its own, an operator its tenant's, an admin all."""
    audit = AuditSettings(file=tmp_path / "audit" if kept == "file" else None)
    async with operated(store=StoreSettings(kind="memory"), audit=audit) as desk:
        for agent, subject in (
            ("intern", "notes.a"),
            ("intern", "notes.a.b"),
            ("intern", "tasks.a"),
            ("planner", "notes.b"),
            ("spy", "notes.c"),
        ):
            await publish(desk, agent, subject)
        own = await precedents(desk, "intern")
        assert [(one["subject"], one["outcome"]) for one in own] == [
            ("tasks.a", "denied"),
            ("notes.a.b", "denied"),
            ("notes.a", "accepted"),
        ]
        assert own[0]["reason"]
        assert not own[2]["reason"]

        async def seen(agent: str, subject: str) -> set[str]:
            found = await precedents(desk, agent, subject=subject)
            return {one["subject"] for one in found}

        assert await seen("intern", "notes.z") == {"notes.a"}
        assert await seen("intern", "notes.>") == {"notes.a", "notes.a.b"}
        assert await seen("intern", "tasks") == set()
        assert await seen("operator", "notes.z") == {"notes.a", "notes.b"}
        assert await seen("spy", "notes.z") == {"notes.c"}
        assert await seen("admin", "notes.z") == {"notes.a", "notes.b", "notes.c"}


async def test_precedents_come_in_pages(desk: Desk) -> None:
    """With a cursor, so that each is told once."""
    for number in range(5):
        await publish(desk, "intern", f"notes.{number}")
    found: list[str] = []
    after = ""
    while True:
        _, page = await desk.get("intern", "/v1/precedents", limit=2, after=after)
        found += [one["subject"] for one in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == [f"notes.{number}" for number in reversed(range(5))]


@pytest.mark.parametrize(
    "query",
    [
        {"subject": "a..b"},
        {"limit": 0},
        {"limit": PRECEDENTS_MAX + 1},
        {"after": "x"},
        {"agent": "planner"},
    ],
)
async def test_odd_questions_for_precedents_are_refused(
    desk: Desk, query: dict[str, Any]
) -> None:
    """With 400; nobody else's can be asked for."""
    status, _ = await desk.get("intern", "/v1/precedents", **query)
    assert status == 400


async def test_too_many_readers_of_the_record_are_told_to_come_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page at a time; who waits is counted."""
    assert PRECEDENTS_WAITING_MAX > 1
    monkeypatch.setattr("bus.edge.precedents.PRECEDENTS_WAITING_MAX", 0)
    status, answer = await desk.get("intern", "/v1/precedents")
    assert (status, answer["code"]) == (429, "overloaded")


async def test_a_record_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    """Of what stands in the way nothing is told but that it does."""
    file = tmp_path / "audit"
    async with operated(audit=AuditSettings(file=file)) as desk:
        await asyncio.to_thread(file.rename, tmp_path / "moved")
        try:
            status, answer = await desk.get("intern", "/v1/precedents")
        finally:
            await asyncio.to_thread((tmp_path / "moved").rename, file)
    assert (status, answer["code"]) == (503, "unavailable")
    assert str(tmp_path) not in str(answer)


async def test_metrics_are_the_tenants_and_ones_own(desk: Desk) -> None:
    """Another tenant's messages are in neither."""
    await publish(desk, "intern", "notes.a")
    await publish(desk, "intern", "tasks.a")
    await publish(desk, "planner", "notes.a")
    await publish(desk, "spy", "notes.a")
    _, made = await desk.get("intern", "/v1/governance/metrics")
    assert (made["tenant"], made["agent"], made["counted"]) == ("acme", "intern", True)
    assert (made["counts"]["accepted"], made["counts"]["denied"]) == (2, 1)
    assert made["own"] == {"accepted": 1, "denied": 1, "delivered": 0}
    assert made["compliance"] == pytest.approx(2 / 3)
    _, other = await desk.get("spy", "/v1/governance/metrics")
    assert (other["counts"]["accepted"], other["compliance"]) == (1, 1.0)


async def test_nobody_is_told_without_a_credential(desk: Desk) -> None:
    """As for everything else."""
    async with desk.running.client() as nobody:
        for path in PATHS:
            async with nobody.get(path) as answer:
                assert answer.status == 401
        async with nobody.post("/v1/compliance", json={"subject": "a"}) as answer:
            assert answer.status == 401
        async with nobody.delete("/v1/consumers/box") as answer:
            assert answer.status == 401


async def test_a_consumer_goes_with_what_waits_for_it(desk: Desk) -> None:
    """Whether or not it is held for a client at the moment."""
    pull = {"pattern": "notes.*", "start": "all"}
    await desk.post("intern", "/v1/consumers/box/pull", **pull)
    await publish(desk, "planner", "notes.a")
    async with desk.client("intern").delete("/v1/consumers/box") as answer:
        assert (answer.status, (await answer.json())["left"]) == (200, 1)
    async with desk.client("intern").delete("/v1/consumers/box") as answer:
        assert answer.status == 404
    _, found = await desk.post("intern", "/v1/consumers/box/pull", **pull, wait=5)
    assert [one["subject"] for one in found["items"]] == ["notes.a"]  # begun anew


async def test_a_consumer_is_not_for_others_to_remove(desk: Desk) -> None:
    """Another agent of the tenant is refused; of another, it is not there."""
    await desk.post("planner", "/v1/consumers/box/pull", pattern="notes.*")
    for agent, status in (("critic", 403), ("admin", 403), ("spy", 404)):
        async with desk.client(agent).delete("/v1/consumers/box") as answer:
            assert answer.status == status
    async with desk.client("planner").delete("/v1/consumers/box") as answer:
        assert answer.status == 200


async def test_a_consumer_with_other_members_stays(desk: Desk) -> None:
    """It goes with its last."""

    async def take(body: int) -> None:
        del body

    planner = desk.bus.agent("planner")
    for _ in range(2):
        await planner.subscribe("notes.*", take, durable="box", queue="q").ready()
    async with desk.client("planner").delete("/v1/consumers/box") as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "conflict")


async def test_where_policy_cannot_be_asked_there_is_no_verdict(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither yes nor no: try again."""

    async def fails(self: object, action: object, message: object) -> Decision:
        del self, action, message
        return Decision(False, ("took too long",), "r", "", fault="deadline")

    monkeypatch.setattr(type(desk.bus.authorizer), "decide", fails)
    status, answer = await desk.post("intern", "/v1/compliance", subject="notes.a")
    assert (status, answer["code"]) == (503, "policy_unavailable")


async def test_without_a_store_there_is_no_consumer_to_remove() -> None:
    """And it says why."""
    async with (
        operated() as desk,
        desk.client("planner").delete("/v1/consumers/box") as answer,
    ):
        assert answer.status == 404
        assert "no store" in (await answer.json())["detail"]
