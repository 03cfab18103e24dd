"""What is bounded in the server itself, and what it says when a node fails it."""

import asyncio
from typing import Any, cast

import pytest
from mcp.server.context import ServerRequestContext
from mcp.types import CallToolResult

from bus.core import edgeerrors, errors
from bus.core.errors import BusError, DeniedError, OverloadedError, UnavailableError
from bus.edge.mcp import faults
from bus.edge.mcp.inboxes import Inboxes
from bus.edge.mcp.messaging import Messaging
from bus.edge.mcp.server import Before
from bus.edge.mcp.words import body_of
from tests.fakes.mcps import calls

MESSAGE = {
    "receipt": "1",
    "attempt": 1,
    "id": "0" * 32,
    "subject": "a",
    "type": "event",
    "priority": 1,
    "sender": "planner",
    "tenant": "acme",
    "created": "2026-11-21T21:00:00Z",
    "content_type": "application/json",
    "body": 1,
    "size": 1,
}


class FakeNode:
    """Answers in turn with what it was given; an error is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.held: asyncio.Event | None = None

    async def _answer(self, method: str, path: str) -> Any:
        self.asked.append((method, path))
        if self.held is not None:
            await self.held.wait()
        answer = self.answers.pop(0) if self.answers else {"items": [], "waiting": 0}
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def get(self, path: str, wait_s: float = 0.0, **query: Any) -> Any:
        """Answer."""
        del wait_s, query
        return await self._answer("GET", path)

    async def post(self, path: str, body: Any = None, wait_s: float = 0.0) -> Any:
        """Answer."""
        del body, wait_s
        return await self._answer("POST", path)

    async def delete(self, path: str, **query: Any) -> Any:
        """Answer."""
        del query
        return await self._answer("DELETE", path)


async def test_what_was_handed_out_is_not_lost_where_the_next_pull_fails() -> None:
    """The receiver gets what is here; the fault comes with its next call."""
    one = {"items": [MESSAGE], "waiting": 1}
    gone = UnavailableError("gone")
    node = FakeNode({"items": [], "waiting": 0}, one, gone, gone)
    inboxes = Inboxes(node)
    await inboxes.subscribe("a", inbox="box")
    assert len((await inboxes.receive("box", limit=5)).messages) == 1
    with pytest.raises(UnavailableError):
        await inboxes.receive("box")


async def test_a_receive_asks_for_no_more_than_its_limit() -> None:
    """One pull for each message."""
    node = FakeNode(
        {"items": [], "waiting": 0}, *[{"items": [MESSAGE], "waiting": 9}] * 9
    )
    inboxes = Inboxes(node)
    await inboxes.subscribe("a", inbox="box")
    found = await inboxes.receive("box", limit=3)
    assert (len(found.messages), found.waiting) == (3, 9)
    assert len(node.asked) == 4


async def test_an_inbox_that_was_refused_is_not_open() -> None:
    """And takes no place."""
    inboxes = Inboxes(FakeNode(DeniedError(("no",), decision_id="", revision="")))
    with pytest.raises(DeniedError):
        await inboxes.subscribe("a", inbox="box")
    with pytest.raises(edgeerrors.NotFoundError):
        await inboxes.receive("box")


async def test_too_many_inboxes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is open already is not one more."""
    monkeypatch.setattr("bus.edge.mcp.inboxes.MCP_INBOXES_MAX", 1)
    inboxes = Inboxes(FakeNode())
    await inboxes.subscribe("a", inbox="box")
    await inboxes.subscribe("a", inbox="box")
    with pytest.raises(OverloadedError):
        await inboxes.subscribe("a", inbox="other")


async def test_inboxes_that_cannot_be_removed_hold_nothing_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged that they stay on the node."""
    node = FakeNode({"items": [], "waiting": 0}, UnavailableError("gone"))
    inboxes = Inboxes(node)
    await inboxes.subscribe("a")
    await inboxes.close()
    assert "stay on the node" in caplog.text


async def test_too_many_calls_at_once_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those under way go on."""
    monkeypatch.setattr("bus.edge.mcp.server.MCP_CALLS_MAX", 1)
    node = FakeNode({"items": [], "next": None})
    node.held = asyncio.Event()
    async with calls(node) as call, asyncio.TaskGroup() as group:
        first = group.create_task(call("query_governance_precedents"))
        while not node.asked:  # noqa: ASYNC110 - it comes about on its own
            await asyncio.sleep(0.001)
        told = await call.fault("get_active_principles")
        assert (told["code"], told["retry_after"]) == ("overloaded", 1.0)
        node.held.set()
    assert first.result() == {"items": [], "next": None}
    assert len(node.asked) == 1


@pytest.mark.parametrize("odd", [float("nan"), {1, 2}, object()])
async def test_arguments_that_are_no_json_do_not_get_to_a_tool(odd: object) -> None:
    """Whatever way they came in."""

    async def passed(ctx: object) -> None:
        raise AssertionError(ctx)

    before = Before({Messaging(FakeNode()).publish: None})
    ctx: ServerRequestContext[Any, Any] = ServerRequestContext(
        session=cast("Any", None),
        lifespan_context={},
        protocol_version="2026-07-28",
        method="tools/call",
        params={"name": "publish", "arguments": {"subject": "a", "body": odd}},
    )
    result = await before(ctx, passed)
    assert isinstance(result, CallToolResult)
    assert result.structured_content is not None
    assert result.structured_content["code"] == "malformed"


async def test_a_tool_that_is_not_there_is_the_librarys_to_refuse() -> None:
    """And the node is not asked."""
    node = FakeNode()
    async with calls(node) as call:
        assert "nonsense" in await call.refused("nonsense", subject="a")
    assert not node.asked


async def test_an_answer_that_is_none_of_a_nodes_fails_the_call() -> None:
    """Nothing of the inside is told."""
    async with calls(FakeNode({"secret": "inside"})) as call:
        said = await call.refused("get_active_principles")
    assert said == "Error executing tool get_active_principles"


async def test_a_status_tells_the_latest_of_many_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And that there were more."""
    monkeypatch.setattr("bus.edge.mcp.messaging.MCP_EVENTS_MAX", 2)
    events = [
        {"event": f"e{n}", "time": "", "agent": "", "detail": "", "revision": ""}
        for n in range(3)
    ]
    story = {"id": "0" * 32, "status": "held", "items": events, "truncated": False}
    told = await Messaging(FakeNode(story)).status("0" * 32)
    assert [one.event for one in told.items] == ["e1", "e2"]
    assert told.truncated


async def test_a_message_whose_decision_is_not_on_record_is_told_so() -> None:
    """For an agent that is shown no rules."""
    story = {"id": "0" * 32, "status": "unknown", "items": [], "truncated": True}
    node = FakeNode(edgeerrors.ForbiddenError("operators"), story)
    why = await Messaging(node).explain("0" * 32)
    assert (why.outcome, why.reasons) == ("unknown", [])
    assert "not on record" in why.note


@pytest.mark.parametrize(
    ("note", "same", "said"),
    [("", True, ""), ("a note", None, "a note"), ("", False, "policy has changed")],
)
async def test_that_policy_has_changed_since_is_said(
    note: str, *, same: bool | None, said: str
) -> None:
    """Beside what else is not known."""
    why = {
        "outcome": "denied",
        "reasons": ["no"],
        "revision": "r",
        "rules": [
            {"rule": "deny", "file": "a.rego", "line": 1, "decided": True},
            {"rule": "allow", "file": "a.rego", "line": 2, "decided": False},
        ],
        "note": note,
        "same": same,
    }
    told = await Messaging(FakeNode(why)).explain("0" * 32)
    assert [one.rule for one in told.rules] == ["deny"]
    assert told.note.startswith(said)


@pytest.mark.parametrize("body", [object(), {"a": "\ud800"}])
def test_what_is_no_json_is_no_body(body: object) -> None:
    """Also where it comes by another way than the wire."""
    with pytest.raises(errors.MalformedMessageError):
        body_of(body, "")


def test_each_code_has_advice_or_is_for_a_person() -> None:
    """What is advised on is a code that there is; later codes are a person's."""
    known = {
        kind.code
        for module in (errors, edgeerrors)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BusError)
    }
    assert set(faults.ADVICE) - known == {"unreachable", "node_fault"}
    assert faults.told(errors.UnknownKeyError("x"))["what_to_do"] == "tell a person"
