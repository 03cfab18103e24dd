"""Events: OPA's fields, the whole input, and never a body."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bus.core.decision import Decision
from bus.core.message import Message
from bus.ports import Access
from policy.decisionlog.event import Entry, EventMaker, fault_of
from policy.fields import MESSAGE_FIELDS, RECORDED
from tests.fakes import policies
from tests.fakes.messages import NOW_NS, full
from tests.fakes.policies import message

LABELS = {"id": "bus-1", "version": "0.1.0", "region": "eu"}
ALLOWED = Decision(
    allow=True,
    reasons=(),
    revision="r1",
    digest="d1",
    obligations=({"type": "ttl", "seconds": 5},),
    cached=True,
)


def entry(
    asked: Message | Access, decision: Decision | None = ALLOWED, *, why: str = ""
) -> Entry:
    """Return what the log is given for a decision."""
    size = len(asked.body) if isinstance(asked, Message) else 0
    action = asked.action if isinstance(asked, Access) else "publish"
    return ("id-1", NOW_NS, action, asked, ("a", "b"), decision, 1234, size, why)


def event(made: Entry) -> dict[str, Any]:
    """Return the event that is made of an entry."""
    told: dict[str, Any] = json.loads(EventMaker(LABELS).line(made))
    return told


def test_an_event_has_opas_fields() -> None:
    """Names and types are those of OPA's EventV1."""
    told = event(entry(full()))
    assert told["labels"] == LABELS
    assert told["decision_id"] == "id-1"
    assert told["bundles"] == {"assent": {"revision": "r1"}}
    assert told["path"] == "assent/authz/decision"
    assert told["requested_by"] == "planner"
    assert told["result"] == {
        "allow": True,
        "reasons": [],
        "obligations": [{"type": "ttl", "seconds": 5}],
    }
    assert told["metrics"] == {
        "timer_server_handler_ns": 1234,
        "counter_server_query_cache_hit": 1,
    }
    assert told["custom"] == {
        "action": "publish",
        "message": full().id.hex(),
        "cached": True,
        "input_digest": "d1",
    }
    assert {"erased", "masked", "error"}.isdisjoint(told)


def test_the_whole_input_is_recorded_and_no_body() -> None:
    """Every field that a rule can see, as it would see it."""
    made = full(body=b"the secret")
    told = event(entry(made))
    assert told["input"]["action"] == "publish"
    assert told["input"]["principal"] == {
        "id": "planner",
        "tenant": "acme",
        "roles": ["a", "b"],
    }
    assert told["input"]["message"].keys() == MESSAGE_FIELDS.keys()
    assert told["input"] == json.loads(RECORDED.document("publish", made, ("a", "b")))
    assert "the secret" not in json.dumps(told)


def test_a_message_that_lost_its_body_keeps_its_size() -> None:
    """The log does not hold large bodies, and says how large they were."""
    made = list(entry(full(body=b"")))
    made[7] = 70_000
    told = event(tuple(made))  # type: ignore[arg-type]  # made from an Entry
    assert told["input"]["message"]["size"] == 70_000


def test_access_is_recorded_with_what_was_asked_for() -> None:
    """A subscription has no message."""
    told = event(entry(Access("subscribe", "planner", "acme", "results.>", "q")))
    assert told["input"]["subscription"] == {"pattern": "results.>", "queue": "q"}
    assert told["input"]["action"] == told["custom"]["action"] == "subscribe"
    assert "message" not in told["custom"]


@pytest.mark.parametrize("now_ns", [0, 1, NOW_NS, NOW_NS + 999_999_999, 10**18 + 7])
def test_a_timestamp_is_rfc_3339_with_nanoseconds(now_ns: int) -> None:
    """Nothing is rounded."""
    made = list(entry(full()))
    made[1] = now_ns
    told = event(tuple(made))["timestamp"]  # type: ignore[arg-type]  # from an Entry
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", told)
    assert int(told[20:29]) == now_ns % 10**9


def test_seconds_are_told_anew_when_they_change() -> None:
    """The part that is kept is kept for its second only."""
    maker = EventMaker(LABELS)
    told = []
    for now_ns in (NOW_NS, NOW_NS + 10**9, NOW_NS):
        made = list(entry(full()))
        made[1] = now_ns
        told.append(json.loads(maker.line(tuple(made)))["timestamp"])  # type: ignore[arg-type]  # from an Entry
    assert told[0] == told[2] == "2027-01-15T08:00:00.000000000Z"
    assert told[1] == "2027-01-15T08:00:01.000000000Z"


def test_no_decision_is_an_event_with_an_error_and_no_result() -> None:
    """What asked, and why it got no answer, is there."""
    told = event(entry(full(), None, why="the engine is away"))
    assert told["error"] == {
        "code": "policy_unavailable",
        "message": "the engine is away",
    }
    assert {"result", "bundles"}.isdisjoint(told)
    assert told["input"]["message"]["subject"] == full().subject


def test_what_json_cannot_carry_is_left_out_and_said() -> None:
    """The event is there all the same."""
    told = event(entry(message(subject="a\ud800")))
    assert told["erased"] == ["/input"]
    assert "input" not in told
    assert told["error"]["code"] == "policy_input"
    strange = event(entry(message(sender="\ud800", id="no bytes")))
    assert strange["requested_by"] == "\\ud800"
    reasons = Decision(allow=False, reasons=("\ud800",), revision="r", digest="")
    assert "ud800" in event(entry(message(), reasons))["result"]["reasons"]


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (('decision := {"allow": true}',), None),
        (('decision := {"allow": false, "reasons": ["no"]}',), None),
        (('decision := {"allow": true} if input.message.priority > 9',), "malformed"),
        (
            (
                'decision := {"allow": true} if input.message.subject == "tasks.a"',
                'decision := {"allow": false} if input.message.subject == "tasks.a"',
            ),
            "evaluation",
        ),
    ],
)
def test_a_denial_that_stands_for_a_fault_carries_an_error(
    tmp_path: Path, rules: tuple[str, ...], code: str | None
) -> None:
    """A real engine's faults are told from what policy itself denies."""
    asked = policies.ruled(tmp_path, *rules)
    decision = asked.decide_now("publish", message())
    told = event(entry(message(), decision))
    if code is None:
        assert "error" not in told
    else:
        assert told["error"]["code"] == f"policy_{code}"
        assert told["result"]["allow"] is False


def test_a_question_that_cannot_be_put_carries_an_error(tmp_path: Path) -> None:
    """Nobody takes it for policy's answer."""
    asked = policies.ruled(
        tmp_path, 'decision := {"allow": input.message.subject == "a"}'
    )
    decision = asked.decide_now("publish", message(subject="\ud800"))
    assert (fault_of(decision) or {})["code"] == "policy_input"


@pytest.mark.parametrize("kind", ["deadline", "unavailable", "oversize", "malformed"])
def test_the_kind_of_a_fault_is_its_code(kind: str) -> None:
    """As the authorizer words it."""
    reason = f"{kind}: policy could not be evaluated: why"
    denied = Decision(
        allow=False, reasons=(reason,), revision="r", digest="", fault=kind
    )
    assert fault_of(denied) == {"code": f"policy_{kind}", "message": reason}


def test_a_policy_that_only_sounds_like_a_fault_is_its_own() -> None:
    """Whatever its reason says: the fault is told apart from the words."""
    reason = "deadline: policy could not be evaluated: why"
    denied = Decision(allow=False, reasons=(reason,), revision="r", digest="")
    assert fault_of(denied) is None
