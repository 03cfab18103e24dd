"""The recording authorizer: the same answers, each logged under an id of its own."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bus.core.decision import Decision, Principal
from bus.core.errors import PolicyUnavailableError, UnknownAgentError
from bus.core.ids import IdSource
from bus.core.message import Message
from bus.core.stats import DecisionStats
from bus.ports import Access, Action, Authorizer
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.decisionlog import RecordingAuthorizer
from policy.decisionlog.event import Entry, EventMaker
from policy.decisionlog.settings import DecisionLogStalledError
from tests.fakes import policies
from tests.fakes.messages import NOW_NS
from tests.fakes.policies import message

ACCESS = Access("subscribe", "planner", "acme", "results.>")


class KeptLog:
    """Keeps entries. `stuck` makes it full, for good or until room is asked for."""

    def __init__(self, *, full: bool = False, stuck: bool = False) -> None:
        self.full = full or stuck
        self.entries: list[Entry] = []
        self._stuck = stuck

    def append(self, entry: Entry) -> None:
        """Keep it."""
        self.entries.append(entry)

    async def room(self) -> None:
        """Make room, or say that there is none."""
        if self._stuck:
            raise DecisionLogStalledError("no room")
        self.full = False


class Away:
    """An authorizer that has to be waited for, and may fail or change meanwhile."""

    revision = "r1"

    def __init__(self, error: Exception | None = None) -> None:
        self.roles = ("old",)
        self.asked = 0
        self._error = error

    def principal(self, agent: str) -> Principal:
        """Know everybody but strangers."""
        self.asked += 1
        if agent == "stranger":
            raise UnknownAgentError("who?")
        return Principal(agent, "acme", self.roles)

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Have it waited for."""
        del action, message
        return None

    def admit_now(self, access: Access) -> Decision | None:
        """Have it waited for."""
        del access
        return None

    async def decide(self, action: Action, message: Message) -> Decision:
        """Answer or fail."""
        del action, message
        return self._answer()

    async def admit(self, access: Access) -> Decision:
        """Answer or fail."""
        del access
        return self._answer()

    def stats(self) -> DecisionStats:
        """Return counts that can be told."""
        return DecisionStats(hits=7)

    def _answer(self) -> Decision:
        if self._error is not None:
            raise self._error
        return Decision(allow=True, reasons=(), revision=self.revision, digest="d")


def recording(inner: Authorizer, log: KeptLog) -> RecordingAuthorizer:
    """Return the authorizer under test, with a clock that has moved on."""
    timer = iter(range(0, 10**9, 250))
    return RecordingAuthorizer(
        inner,
        log,
        IdSource(bytes(8)),
        now_ns=lambda: NOW_NS + 5,
        timer_ns=lambda: next(timer),
    )


@pytest.fixture
def built_in() -> EmbeddedAuthorizer:
    """Return the real authorizer with the built-in policy."""
    return load_authorizer(data=policies.data(), now_ns=lambda: NOW_NS)


def told(entry: Entry) -> dict[str, Any]:
    """Return the event of an entry."""
    event: dict[str, Any] = json.loads(EventMaker({}).line(entry))
    return event


def test_every_decision_is_logged_hits_included(built_in: EmbeddedAuthorizer) -> None:
    """Each under an id of its own, which the decision carries."""
    log = KeptLog()
    asked = recording(built_in, log)
    decisions = [asked.decide_now("publish", message()) for _ in range(3)]
    assert [decision and decision.cached for decision in decisions] == [
        *(False, True, True),
    ]
    ids = [decision.id for decision in decisions if decision]
    assert ids == [entry[0] for entry in log.entries]
    assert len(set(ids)) == 3
    assert ids == sorted(ids)
    events = [told(entry) for entry in log.entries]
    assert [event["custom"]["cached"] for event in events] == [False, True, True]
    assert events[0]["input"]["principal"]["roles"] == ["planner"]
    assert events[0]["metrics"]["timer_server_handler_ns"] == 250
    assert {event["timestamp"][-10:] for event in events} == {"000000000Z"}


def test_the_answer_is_the_inner_ones_but_for_the_id(
    built_in: EmbeddedAuthorizer,
) -> None:
    """Also what is derived; what the cache holds stays nameless."""
    log = KeptLog()
    bare = built_in
    asked = recording(bare, log)
    for made in (message(), message(sender="intruder"), message(subject="plans.x")):
        expected = bare.decide_now("publish", made)
        for _ in range(2):
            found = asked.decide_now("publish", made)
            assert found is not None
            assert found.id != ""
            for name in Decision.__struct_fields__:
                if name not in {"id", "cached"}:
                    assert getattr(found, name) == getattr(expected, name), name
        assert bare.decide_now("publish", made).id == ""


async def test_everything_that_decides_is_logged(built_in: EmbeddedAuthorizer) -> None:
    """Messages and access, at once or waited for, with the time of the decision."""
    log = KeptLog()
    asked = recording(built_in, log)
    await asked.decide("request", message())
    asked.admit_now(ACCESS)
    await asked.admit(ACCESS)
    events = [told(entry) for entry in log.entries]
    assert [event["custom"]["action"] for event in events] == [
        *("request", "subscribe", "subscribe"),
    ]
    assert [event["timestamp"][-10:] for event in events] == ["000000005Z"] * 3
    assert events[1]["input"]["subscription"]["pattern"] == "results.>"


async def test_what_is_waited_for_is_logged_once_it_is_decided() -> None:
    """`decide_now` says that it must be waited for, and logs nothing."""
    log = KeptLog()
    asked = recording(Away(), log)
    assert asked.decide_now("publish", message()) is None
    assert asked.admit_now(ACCESS) is None
    assert log.entries == []
    assert (await asked.decide("publish", message())).id == log.entries[0][0]
    assert (await asked.admit(ACCESS)).id == log.entries[1][0]


async def test_a_decision_that_could_not_be_had_is_logged_too() -> None:
    """With the reason, and the error goes on."""
    log = KeptLog()
    asked = recording(Away(PolicyUnavailableError("away")), log)
    with pytest.raises(PolicyUnavailableError, match="away"):
        await asked.decide("publish", message(sender="stranger", body=b"123"))
    with pytest.raises(PolicyUnavailableError, match="away"):
        await asked.admit(ACCESS)
    first, second = (told(entry) for entry in log.entries)
    assert first["error"]["message"] == second["error"]["message"] == "away"
    assert first["input"]["message"]["size"] == 3
    assert first["input"]["principal"]["roles"] == []


async def test_a_full_log_is_waited_for(built_in: EmbeddedAuthorizer) -> None:
    """Not on the path that may not wait."""
    log = KeptLog(full=True)
    asked = recording(built_in, log)
    assert asked.decide_now("publish", message()) is None
    assert asked.admit_now(ACCESS) is None
    assert log.entries == []
    assert (await asked.decide("publish", message())).allow
    log.full = True
    assert (await asked.admit(ACCESS)).allow
    assert len(log.entries) == 2


@pytest.mark.parametrize("ask", ["decide", "admit"])
async def test_a_log_that_stays_full_lets_nothing_through(ask: str) -> None:
    """What cannot be recorded is not decided; the error is one of no decision."""
    log = KeptLog(stuck=True)
    away = Away()
    asked = recording(away, log)
    wanted: dict[str, Callable[[], Any]] = {
        "decide": lambda: asked.decide("publish", message()),
        "admit": lambda: asked.admit(ACCESS),
    }
    with pytest.raises(PolicyUnavailableError, match="no room"):
        await wanted[ask]()
    assert log.entries == []
    assert away.asked == 0


def test_a_large_body_is_not_kept_for_the_log(built_in: EmbeddedAuthorizer) -> None:
    """Its size is."""
    log = KeptLog()
    asked = recording(built_in, log)
    large, small = message(body=b"x" * 4_097), message(body=b"x" * 4_096)
    for made in (large, small):
        asked.decide_now("publish", made)
    events = [told(entry)["input"]["message"] for entry in log.entries]
    assert [event["size"] for event in events] == [4_097, 4_096]
    kept = [entry[3] for entry in log.entries]
    assert [isinstance(one, Message) and len(one.body) for one in kept] == [0, 4_096]
    assert large.body


async def test_roles_are_those_of_the_revision_decided_under() -> None:
    """They are asked for once a revision, and a stranger has none."""
    log = KeptLog()
    away = Away()
    asked = recording(away, log)
    for _ in range(3):
        await asked.decide("publish", message())
        await asked.decide("publish", message(sender="stranger"))
    assert away.asked == 2
    away.roles, away.revision = ("new",), "r2"
    await asked.decide("publish", message())
    assert [entry[4] for entry in log.entries] == [("old",), ()] * 3 + [("new",)]


def test_the_rest_is_the_inner_ones() -> None:
    """Revision, principals and counts."""
    away = Away()
    asked = recording(away, KeptLog())
    assert asked.revision == "r1"
    assert asked.principal("planner").roles == ("old",)
    assert asked.stats().hits == 7
    with pytest.raises(UnknownAgentError):
        asked.principal("stranger")
