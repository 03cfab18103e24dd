"""The policy library through a whole bus: what it obliges is done, powers are kept apart."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bus import Accepted, Delivery, Denied, Failed, Held, Outcome
from bus.config.governing import PolicySettings
from bus.core.errors import DeniedError
from tests.fakes.buses import Inbox, new_bus, totals

EVERYTHING = {
    "publish": [{"subject": ">"}],
    "request": [{"subject": ">"}],
    "subscribe": [">"],
    "cooldown": [">"],
    "release": [">"],
}
ROLES = (
    "executive",
    "legislative",
    "judicial",
    "monitor",
    "auditor",
    "controller",
    "implementer",
)


def data(**parts: Any) -> dict[str, Any]:
    """Return data with an agent of each role, one without, and a second judge."""
    agents = {role: {"tenant": "acme", "roles": [role, "all"]} for role in ROLES}
    agents["judge"] = agents["judicial"]
    agents["plain"] = {"tenant": "acme", "roles": ["all"]}
    agents["sender"] = {"tenant": "acme", "roles": ["all", "sender"]}
    roles: dict[str, Any] = {role: {} for role in ROLES}
    roles |= {"all": EVERYTHING, "sender": {}}
    return {"agents": agents, "tenants": {"acme": {}}, "roles": roles, **parts}


def governed(areas: Sequence[str], **parts: Any) -> Any:
    """Return a bus with areas of the library in force."""
    policy = PolicySettings(areas=tuple(areas))
    return new_bus(data(**parts), policy=policy)


class Relay:
    """Passes on what it gets as another agent, under another subject and type."""

    def __init__(self, bus: Any, agent: str, to: str, kind: str) -> None:
        self._bus, self._agent, self._to, self._kind = bus, agent, to, kind
        self.outcomes: list[Outcome] = []

    async def __call__(self, body: Any) -> None:
        """Publish it."""
        agent = self._bus.agent(self._agent)
        self.outcomes.append(await agent.publish(self._to, body, self._kind))


async def validated_after(bus: Any, steps: Sequence[tuple[str, str]]) -> Outcome:
    """Return what becomes of the last of (agent, type) in a row of messages."""
    async with bus:
        relays = []
        for number, (agent, kind) in enumerate(steps[1:], 1):
            relay = Relay(bus, agent, f"step.{number}", kind)
            bus.agent(agent).subscribe(f"step.{number - 1}", relay)
            relays.append(relay)
        bus.agent("plain").subscribe(f"step.{len(steps) - 1}", Inbox())
        first, kind = steps[0]
        outcome = await bus.agent(first).publish("step.0", 1, kind)
        assert isinstance(outcome, Accepted), outcome
        for _ in steps:
            await bus.settle()
        assert all(len(relay.outcomes) == 1 for relay in relays)
        found: Outcome = relays[-1].outcomes[0]
        return found


JUDGED = "constitutional_validation"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([("executive", "governance_request"), ("judicial", JUDGED)], ""),
        ([("legislative", "governance_response"), ("judicial", JUDGED)], ""),
        ([("implementer", "task_response"), ("judicial", JUDGED)], ""),
        ([("implementer", "task_response"), ("auditor", "audit_log")], ""),
        ([("controller", "command"), ("auditor", "audit_log")], ""),
        (
            [("controller", "command"), ("judicial", JUDGED)],
            "cross-role validation",
        ),
        ([("executive", "event"), ("auditor", "audit_log")], "cross-role validation"),
        ([("executive", "event"), ("executive", JUDGED)], "role violation"),
        ([("executive", "event"), ("plain", JUDGED)], "role not assigned"),
        ([("judicial", "event"), ("judicial", JUDGED)], "self-validation"),
        (
            [("judicial", "event"), ("executive", "event"), ("judicial", JUDGED)],
            "self-validation",
        ),
        (
            [
                ("judicial", "event"),
                ("executive", "event"),
                ("plain", "event"),
                ("implementer", "task_response"),
                ("judicial", JUDGED),
            ],
            "self-validation",
        ),
        (
            [
                ("judicial", "event"),
                ("executive", "event"),
                ("implementer", "task_response"),
                ("judge", JUDGED),
            ],
            "",
        ),
        (
            [
                ("controller", "event"),
                ("executive", "event"),
                ("controller", "event"),
                ("judicial", JUDGED),
            ],
            "cross-role validation",
        ),
    ],
)
async def test_who_may_judge_what(steps: list[tuple[str, str]], reason: str) -> None:
    """By role, and never what one had a part in, over any hops and other agents."""
    outcome = await validated_after(governed(["constitutional"]), steps)
    if reason:
        assert isinstance(outcome, Denied), outcome
        assert any(told.startswith(reason) for told in outcome.reasons), outcome
    else:
        assert isinstance(outcome, Accepted), outcome


async def test_only_the_judicial_quiets_a_subject() -> None:
    """For a bounded time; then it goes on."""
    async with governed(["constitutional"]) as bus:
        bus.agent("plain").subscribe("orders.*", Inbox())
        for name in ("executive", "monitor", "plain"):
            with pytest.raises(DeniedError, match="role"):
                await bus.agent(name).cooldown("orders.*", 5, "mine")
        await bus.agent("judicial").cooldown("orders.*", 5, "too many refunds")
        assert isinstance(await bus.agent("plain").publish("orders.a", 1), Denied)
        await bus.advance(6)
        assert isinstance(await bus.agent("plain").publish("orders.a", 1), Accepted)


async def test_what_is_to_be_reviewed_waits_for_a_judge() -> None:
    """Held, released by the judicial, and by nobody else."""
    review = {"review": [{"subject": "exports.*", "reason": "it leaves the house"}]}
    async with governed(["constitutional", "compliance"], compliance=review) as bus:
        inbox = Inbox()
        bus.agent("plain").subscribe("exports.*", inbox)
        outcome = await bus.agent("executive").publish("exports.a", 1)
        assert isinstance(outcome, Held), outcome
        assert "it leaves the house" in outcome.reason
        for name in ("executive", "monitor", "plain"):
            with pytest.raises(DeniedError):
                await bus.agent(name).release(outcome.id.hex(), "fine")
        released = await bus.agent("judicial").release(outcome.id.hex(), "fine")
        assert isinstance(released, Accepted), released
        await bus.settle()
        assert inbox.done == [1]


async def test_a_release_judges_so_a_judge_releases_only_what_it_may_judge() -> None:
    """A controller's message is the auditor's business, not the judicial's."""
    review = {"review": [{"subject": "exports.*", "reason": "it leaves the house"}]}
    async with governed(["constitutional", "compliance"], compliance=review) as bus:
        bus.agent("plain").subscribe("exports.*", Inbox())
        outcome = await bus.agent("controller").publish("exports.a", 1, "command")
        assert isinstance(outcome, Held), outcome
        with pytest.raises(DeniedError, match="cross-role validation"):
            await bus.agent("judicial").release(outcome.id.hex(), "fine")
        other = await bus.agent("plain").publish("exports.a", 1)
        released = await bus.agent("judicial").release(other.id.hex(), "fine")
        assert isinstance(released, Accepted), released


async def test_a_rate_is_kept() -> None:
    """As the data say, for each agent."""
    rate = {"agent": {"per_second": 1, "burst": 2}}
    async with governed(["ratelimit"], ratelimit=rate) as bus:
        bus.agent("plain").subscribe("a", Inbox())
        sender = bus.agent("sender")
        outcomes = [await sender.publish("a", n) for n in range(3)]
        assert [isinstance(o, Accepted) for o in outcomes] == [True, True, False]
        assert isinstance(outcomes[2], Failed)
        assert outcomes[2].code == "overloaded"
        await bus.advance(1.1)
        assert isinstance(await sender.publish("a", 4), Accepted)


async def test_a_full_record_is_written() -> None:
    """Where the data ask for it, and only there."""
    full = {"full": [{"subject": "payments.*"}]}
    async with governed(["audit"], audit=full) as bus:
        bus.agent("plain").subscribe(">", Inbox())
        await bus.agent("sender").publish("payments.a", 1)
        await bus.agent("sender").publish("other.a", 1)
        await bus.audit.flush()
        details = {
            entry.subject: entry.detail
            for entry in bus.audit.tail(100)
            if entry.event == "accepted"
        }
    assert len(msgspec.json.decode(details["payments.a"])["body"]) == 64
    assert len(details["other.a"]) == 32


async def test_redaction_and_expiry_are_carried_out() -> None:
    """Headers of a class do not arrive, and the message's time is bounded."""
    seen: list[Any] = []

    async def look(body: Any, delivery: Delivery) -> None:
        del body
        seen.append(delivery.message)

    compliance = {
        "levels": ["public", "internal"],
        "subjects": [{"subject": "reports.>", "up_to": "internal"}],
        "classes": {"internal": {"redact_headers": ["cost"], "ttl_seconds": 5}},
    }
    async with governed(["compliance"], compliance=compliance) as bus:
        bus.agent("plain").subscribe("reports.a", look)
        outcome = await bus.agent("sender").publish(
            "reports.a", 1, headers={"cost": "9", "classification": "internal"}
        )
        assert isinstance(outcome, Accepted), outcome
        await bus.settle()
    (message,) = seen
    assert "cost" not in message.headers
    assert message.expires_ns == message.created_ns + 5_000_000_000


async def test_a_bound_is_kept() -> None:
    """A body past it is not let in."""
    resources = {"subjects": [{"subject": "plans.>", "body_bytes": 10}]}
    async with governed(["resources"], resources=resources) as bus:
        bus.agent("plain").subscribe(">", Inbox())
        outcome = await bus.agent("sender").publish("plans.a", b"x" * 11)
        assert outcome.code == "limit_exceeded"
        assert isinstance(await bus.agent("sender").publish("plans.a", b"x"), Accepted)
        assert totals(bus).rejected == 1


def test_an_unknown_area_stops_the_start() -> None:
    """With the one that was probably meant."""
    with pytest.raises(Exception, match="constitutional"):
        governed(["constitutionl"])
