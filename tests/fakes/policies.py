"""Policy data, policies and sources of policies for tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bus.core.message import Message
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.bundle import Bundle
from policy.deps import Dependencies
from policy.evaluation import Evaluator
from policy.fields import InputPlan
from policy.keeping import Keeping
from policy.loading import Policy
from policy.pacing import Steps
from tests.fakes.messages import NOW_NS

PATHS = frozenset({("principal", "id"), ("message", "subject")})


def data() -> dict[str, Any]:
    """Return data of the built-in policy: a planner that may, an intruder that may not."""
    return {
        "agents": {
            "planner": {"tenant": "acme", "roles": ["planner"]},
            "worker": {"tenant": "acme", "roles": ["worker"]},
            "intruder": {"tenant": "acme", "roles": []},
            "retired": {"tenant": "acme", "roles": ["planner"], "enabled": False},
            "stranger": {"tenant": "other", "roles": ["planner"]},
        },
        "roles": {
            "planner": {
                "publish": [
                    {"subject": "tasks.*", "types": ["task_request"]},
                    {"subject": "plans.>"},
                ],
                "request": [{"subject": "questions.*"}],
                "subscribe": ["results.>"],
                "limits": {"body_bytes": 1000},
                "ttl_seconds": 60,
                "redact_headers": ["authorization"],
            },
            "worker": {"subscribe": ["tasks.*", "$DEAD.tasks.>"]},
        },
        "tenants": {"acme": {}, "other": {}},
        "limits": {"depth": 8},
    }


def message(**changes: Any) -> Message:
    """Return a message that the planner may publish."""
    fields: dict[str, Any] = {
        "id": bytes(16),
        "subject": "tasks.a",
        "type": "task_request",
        "priority": 1,
        "tenant": "acme",
        "sender": "planner",
        "content_type": "application/msgpack",
        "body": b"\x80",
        "created_ns": NOW_NS,
        "constitution": "0123456789abcdef",
        "revision": "r1",
    }
    return Message(**{**fields, **changes})


def authz(*rules: str) -> str:
    """Return the text of an entry package with these rules."""
    return "\n\n".join(("package assent.authz", *rules)) + "\n"


ALLOW_ALL = authz('decision := {"allow": true, "reasons": [], "obligations": []}')
AGENTS = {"agents": {"planner": {"tenant": "acme", "roles": ["a"]}}}


def folder(place: Path, text: str, **more: str) -> Path:
    """Write a policy folder: one entry file, data for it, and files named by keyword."""
    place.mkdir(exist_ok=True)
    (place / "authz.rego").write_text(text)
    (place / "data.json").write_bytes(msgspec.json.encode(AGENTS))
    for name, content in more.items():
        (place / name.replace("__", ".")).write_text(content)
    return place


def ruled(
    place: Path, *rules: str, keeping: Keeping | None = None
) -> EmbeddedAuthorizer:
    """Return an authorizer for a policy of these rules."""
    return load_authorizer(
        policy_dir=folder(place, authz(*rules)), now_ns=lambda: NOW_NS, keeping=keeping
    )


class ScriptedEngine:
    """Answers every question with the same text, and may do something meanwhile."""

    def __init__(
        self, answer: str | None, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self._meanwhile = meanwhile

    def evaluate(self, rule: str, input_json: str) -> str | None:
        """Note the input and answer."""
        del rule
        self.asked.append(input_json)
        self._meanwhile()
        return self.answer


class ScriptedSource:
    """Gives one policy after the other."""

    def __init__(self, policies: Iterator[Policy]) -> None:
        self._policies = policies

    def read(self) -> Bundle:
        """Return nothing in particular: the script says what follows."""
        return Bundle((), {}, "scripted", built_in=False)

    def building(self, bundle: Bundle, before: Policy | None = None) -> Steps[Policy]:
        """Return the next policy."""
        del bundle, before
        yield
        return next(self._policies)

    def changed(self, revision: str) -> bool:
        """Tell that there is always another."""
        return bool(revision)


def policy(revision: str, engine: Evaluator, *, volatile: bool = False) -> Policy:
    """Return a policy whose rule reads the sender and the subject."""
    builtins = frozenset({"time.now_ns"}) if volatile else frozenset[str]()
    read = Dependencies(PATHS, frozenset(), builtins)
    return Policy(revision, engine, read, InputPlan(PATHS), {})
