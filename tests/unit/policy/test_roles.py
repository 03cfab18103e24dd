"""Separation of powers, as the authorizer in force decides it: by role and by lineage."""

from typing import Any

import pytest

from bus.core.decision import Decision
from bus.core.message import Message
from bus.draft import authors_after
from bus.ports import Access
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import Origin
from policy.loading import PolicyFiles
from tests.fakes import policies
from tests.fakes.messages import NOW_NS

ROLES = (
    "executive",
    "legislative",
    "judicial",
    "monitor",
    "auditor",
    "controller",
    "implementer",
)
MAKES = {
    "executive": "governance_request",
    "legislative": "governance_response",
    "implementer": "task_response",
    "monitor": "notification",
    "controller": "command",
}
ALL = {
    "publish": [{"subject": "council.>"}],
    "cooldown": ["council.>"],
    "release": ["council.>"],
}


@pytest.fixture(scope="module")
def council() -> EmbeddedAuthorizer:
    """Return an authorizer for one agent a role, two judges and a clerk, all granted all."""
    agents = {name: {"tenant": "acme", "roles": [name]} for name in ROLES}
    agents["judge2"] = {"tenant": "acme", "roles": ["judicial"]}
    agents["clerk"] = {"tenant": "acme", "roles": ["clerk"]}
    agents["both"] = {"tenant": "acme", "roles": ["judicial", "executive"]}
    data: dict[str, Any] = {
        "tenants": {"acme": {}},
        "agents": agents,
        "roles": dict.fromkeys((*ROLES, "clerk"), ALL),
    }
    source = PolicyFiles(Origin(data, areas=("constitutional",)))
    return EmbeddedAuthorizer(source, now_ns=lambda: NOW_NS)


def publish(asked: EmbeddedAuthorizer, message: Message) -> Decision:
    """Return what is decided on a message."""
    return asked.decide_now("publish", message)


def said(sender: str, kind: str, parent: Message | None = None) -> Message:
    """Return a message, which another may have caused: then with its authors."""
    return policies.message(
        sender=sender,
        subject="council.a",
        type=kind,
        authors=() if parent is None else authors_after(parent),
    )


def made_by(*agents: str) -> Message:
    """Return the last of a chain of messages, each caused by the one before."""
    last = None
    for agent in agents:
        last = said(agent, MAKES.get(agent, "event"), last)
    assert last is not None
    return last


@pytest.mark.parametrize("role", ["executive", "legislative", "implementer"])
def test_the_judicial_validates_what_these_made(
    council: EmbeddedAuthorizer, role: str
) -> None:
    """Whatever it was that caused that."""
    for chain in ((role,), ("monitor", role), ("judge2", "clerk", role)):
        judged = said("judicial", "constitutional_validation", made_by(*chain))
        assert publish(council, judged).allow


@pytest.mark.parametrize("role", ["monitor", "controller", "auditor"])
def test_the_judicial_validates_nobody_else(
    council: EmbeddedAuthorizer, role: str
) -> None:
    """Not even when one that it may validate had a part in it."""
    judged = said("judicial", "constitutional_validation", made_by("executive", role))
    reason = f"cross-role validation: judicial may not judge {role}"
    assert publish(council, judged).reasons == (reason,)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("monitor", True),
        ("controller", True),
        ("implementer", True),
        ("executive", False),
        ("legislative", False),
        ("judicial", False),
    ],
)
def test_whom_the_auditor_validates(
    council: EmbeddedAuthorizer, role: str, *, allowed: bool
) -> None:
    """By the records that it writes of what they made."""
    made = publish(council, said("auditor", "audit_log", made_by(role)))
    assert made.allow is allowed
    if not allowed:
        reason = f"cross-role validation: auditor may not judge {role}"
        assert made.reasons == (reason,)


@pytest.mark.parametrize(
    "chain",
    [
        ("judicial", "executive"),
        ("judicial", "clerk", "executive"),
        ("monitor", "judicial", "legislative", "controller", "implementer"),
        ("judicial", *(("executive", "legislative") * 10)),
    ],
)
def test_nobody_validates_what_it_had_a_part_in(
    council: EmbeddedAuthorizer, chain: tuple[str, ...]
) -> None:
    """Through another agent, and across any number of hops."""
    judged = said("judicial", "constitutional_validation", made_by(*chain))
    reason = "self-validation: agent judicial had a part in what it judges"
    assert publish(council, judged).reasons == (reason,)
    other = said("judge2", "constitutional_validation", made_by(*chain))
    assert publish(council, other).allow


def test_nobody_validates_its_own_message(council: EmbeddedAuthorizer) -> None:
    """Nor a message of its own that it calls something else."""
    for own in ("event", "query", "audit_log"):
        judged = said("judicial", "constitutional_validation", said("judicial", own))
        assert "self-validation: agent judicial had a part in what it judges" in (
            publish(council, judged).reasons
        )


def test_a_kept_decision_is_not_one_of_another_lineage(
    council: EmbeddedAuthorizer,
) -> None:
    """Same sender, subject and type: the authors are in the key."""
    fair = said("judicial", "constitutional_validation", made_by("executive"))
    own = said(
        "judicial", "constitutional_validation", made_by("judicial", "executive")
    )
    assert publish(council, fair).allow
    assert publish(council, fair).cached
    assert not publish(council, own).allow
    assert publish(council, fair).allow


@pytest.mark.parametrize(
    ("judged", "reason"),
    [
        (
            said("judicial", "constitutional_validation"),
            "cross-role validation: the message follows from none, so it judges nothing",
        ),
        (
            said("judicial", "constitutional_validation", made_by("clerk")),
            "role not assigned: agent clerk, who is judged, has no role",
        ),
        (
            said("clerk", "governance_request"),
            "role not assigned: agent clerk has no role that may propose",
        ),
        (
            said("monitor", "governance_request"),
            "role violation: monitor may not propose",
        ),
        (
            said("both", "event"),
            "role violation: agent both is executive and judicial at once",
        ),
    ],
)
def test_each_error_says_what_it_is(
    council: EmbeddedAuthorizer, judged: Message, reason: str
) -> None:
    """In the words that users of such systems know."""
    assert publish(council, judged).reasons == (reason,)


@pytest.mark.parametrize("role", ROLES)
def test_only_the_judicial_quiets_and_releases(
    council: EmbeddedAuthorizer, role: str
) -> None:
    """Though the data grants it to all of them."""
    for action, permission in (
        ("cooldown", "emergency_cooldown"),
        ("release", "validate"),
    ):
        made = council.admit_now(Access(action, role, "acme", "council.a"))  # type: ignore[arg-type]  # both are
        assert made.allow is (role == "judicial")
        if role != "judicial":
            assert made.reasons == (f"role violation: {role} may not {permission}",)


def test_a_power_is_no_grant(council: EmbeddedAuthorizer) -> None:
    """The judicial quiets what its role in the data says, and nothing beside it."""
    made = council.admit_now(Access("cooldown", "judicial", "acme", "plans.a"))
    assert made.reasons == ("agent judicial has no role that may quiet plans.a",)
