"""Tools over MCP against a real node, called by the SDK's own client."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus.core.edgelimits import (
    MCP_ARGUMENTS_BYTES_MAX,
    MCP_MESSAGES_BYTES,
    MCP_MESSAGES_MAX,
)
from bus.remote.web import Api
from tests.fakes.mcps import MODES, Calls, calls, in_a_task, kept_node, tools
from tests.fakes.nodes import Running, running_node

NAMES = {
    "publish",
    "request",
    "subscribe",
    "receive",
    "settle",
    "unsubscribe",
    "explain",
    "status",
    "validate_constitutional_compliance",
    "get_active_principles",
    "query_governance_precedents",
    "submit_governance_request",
    "get_governance_metrics",
}


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """Give a node with a store in memory."""
    async with kept_node() as running:
        yield running


@pytest.fixture
async def intern(running: Running) -> AsyncIterator[Calls]:
    """Give the tools of an agent that may do little."""
    async with in_a_task(tools(running, "intern")) as call:
        yield call


@pytest.fixture
async def planner(running: Running) -> AsyncIterator[Calls]:
    """Give the tools of an agent that may do all of its tenant."""
    async with in_a_task(tools(running, "planner")) as call:
        yield call


async def taken(call: Calls, inbox: str, **more: Any) -> list[dict[str, Any]]:
    """Return what is in an inbox, waited for."""
    found = await call("receive", inbox=inbox, wait_seconds=5, **more)
    return list(found["messages"])


@pytest.mark.parametrize("mode", MODES)
async def test_each_tool_has_schemas_and_says_what_it_is_for(
    running: Running, mode: str
) -> None:
    """In both forms of the protocol."""
    async with tools(running, "intern", mode) as call:
        listed = (await call.client.list_tools()).tools
        assert {tool.name for tool in listed} == NAMES
        for tool in listed:
            assert tool.description
            assert "\n  " not in tool.description
            assert tool.input_schema["type"] == "object"
            assert tool.output_schema is not None
            assert tool.annotations is not None
        made = await call("publish", subject="notes.a", body={"x": 1})
        assert made["status"] == "accepted"


async def test_what_policy_denies_is_an_error_with_its_reasons(intern: Calls) -> None:
    """Under the stable code, with what to do."""
    told = await intern.fault("publish", subject="tasks.a", body=1)
    assert told["code"] == "denied"
    assert told["reasons"] == [
        "agent intern has no role that may publish event on tasks.a"
    ]
    assert "explain" in told["what_to_do"]
    asked = await intern.fault("request", subject="notes.a")
    assert asked["code"] == "denied"
    pulled = await intern.fault("subscribe", pattern="tasks.*")
    assert pulled["code"] == "denied"


async def test_why_is_explained_to_an_agent_and_to_an_operator(
    running: Running, intern: Calls
) -> None:
    """The rules are the operator's to see; the reasons are both's."""
    told = await intern.fault("publish", subject="tasks.a")
    why = await intern("explain", message_id=told["decision_id"])
    assert (why["outcome"], why["reasons"]) == ("denied", told["reasons"])
    assert not why["rules"]
    assert "operators" in why["note"]
    async with tools(running, "operator") as operator:
        why = await operator("explain", message_id=told["decision_id"])
    assert (why["outcome"], why["reasons"]) == ("denied", told["reasons"])
    assert why["rules"]
    sent = await intern("publish", subject="notes.a")
    why = await intern("explain", message_id=sent["message_id"])
    assert (why["outcome"], why["reasons"]) == ("accepted", [])
    would = await intern("explain", subject="tasks.b")
    assert would["outcome"] == "denied"


async def test_explain_takes_one_question(intern: Calls) -> None:
    """An id or a subject, and not none."""
    for arguments in ({}, {"message_id": "0" * 32, "subject": "a"}):
        assert (await intern.fault("explain", **arguments))["code"] == "malformed"
    unknown = await intern.fault("explain", message_id="0" * 32)
    assert unknown["code"] == "not_found"


async def test_a_request_is_answered(running: Running, planner: Calls) -> None:
    """By whoever handles its subject; without anybody it says so."""

    async def answer(question: dict[str, int]) -> dict[str, int]:
        return {"twice": question["n"] * 2}

    worker = running.node.bus.agent("worker")
    ready = worker.subscribe("math.double", answer)
    made = await planner("request", subject="math.double", body={"n": 4})
    assert made["body"] == {"twice": 8}
    await worker.unsubscribe(ready)
    told = await planner.fault("request", subject="math.double", body={"n": 4})
    assert told["code"] == "no_responders"


async def test_a_request_that_nobody_answers_in_time_says_so(
    running: Running, planner: Calls
) -> None:
    """The code is timeout."""

    async def never(question: Any) -> None:
        await asyncio.sleep(60 * bool(question))

    running.node.bus.agent("worker").subscribe("slow", never)
    told = await planner.fault("request", subject="slow", body=1, timeout_seconds=0.05)
    assert told["code"] == "timeout"


BODIES: list[tuple[dict[str, Any], Any]] = [
    ({"body": {"a": [1, None, True, "ü"]}}, {"a": [1, None, True, "ü"]}),
    ({"body": [2**70, -(2**70), 0.5]}, [2**70, -(2**70), 0.5]),
    ({"text": '{"a": 1}'}, '{"a": 1}'),
    ({"body": "plain"}, "plain"),
    ({"body": ""}, ""),
    ({"body": 0}, 0),
    ({}, None),
]
"""What is given to publish, and the body that arrives."""


async def test_a_body_arrives_as_it_was_given(planner: Calls) -> None:
    """Text stays text, also where it looks like JSON."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    for sent, read in BODIES:
        await planner("publish", subject="tasks.a", **sent)
        [message] = await taken(planner, "box")
        assert message["body"] == read, sent


async def test_octets_arrive_as_base64(running: Running, planner: Calls) -> None:
    """What is no JSON is not forced into it."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    await running.node.bus.agent("worker").publish("tasks.a", b"\xff\x00")
    [message] = await taken(planner, "box")
    assert base64.b64decode(message["body_base64"]) == b"\xff\x00"
    assert message["body"] is None


async def test_what_is_not_settled_is_handed_out_again(planner: Calls) -> None:
    """Nothing is settled by itself: not by the next receive, and not by a loss of it."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    for number in range(3):
        await planner("publish", subject=f"tasks.{number}", body=number)
    first, second, third = (
        *await taken(planner, "box", limit=2),
        *await taken(planner, "box", limit=2),
    )
    again = await planner("settle", inbox="box", receipts=[first["receipt"]])
    assert again["items"] == [
        {"receipt": first["receipt"], "ok": True, "code": "", "detail": ""}
    ]
    await planner("settle", inbox="box", receipts=[second["receipt"]], verdict="nak")
    found = await planner(
        "receive", inbox="box", wait_seconds=5, done=[third["receipt"]]
    )
    assert [one["ok"] for one in found["settled"]] == [True]
    [back] = found["messages"]
    assert (back["subject"], back["attempt"]) == ("tasks.1", 2)
    settled = await planner("settle", inbox="box", receipts=[first["receipt"]])
    assert settled["items"][0]["code"] == "already_settled"


async def test_a_message_can_be_given_up_and_kept_longer(planner: Calls) -> None:
    """With term and in_progress; its status tells."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    sent = await planner("publish", subject="tasks.a", body=1)
    [message] = await taken(planner, "box")
    receipt = [message["receipt"]]
    kept = await planner("settle", inbox="box", receipts=receipt, verdict="in_progress")
    assert kept["items"][0]["ok"]
    story = await planner("status", message_id=sent["message_id"])
    assert (story["status"], story["pending"][0]["consumer"]) == ("pending", "box")
    await planner(
        "settle", inbox="box", receipts=receipt, verdict="term", reason="no use"
    )
    async with asyncio.timeout(5):
        while True:
            story = await planner("status", message_id=sent["message_id"])
            if story["status"] == "dead":
                break
            await asyncio.sleep(0.02)
    assert "no use" in story["items"][-1]["detail"]


async def test_an_inbox_with_a_name_goes_on_where_it_left_off(
    running: Running, planner: Calls
) -> None:
    """For another server too; one without a name goes with its server."""
    async with tools(running, "planner") as before:
        await before("subscribe", pattern="tasks.*", inbox="box")
        unnamed = await before("subscribe", pattern="tasks.*")
        assert unnamed["inbox"].startswith("mcp-")
        await before("publish", subject="tasks.a", body=1)
    ledger = running.node.bus._host.ledger  # noqa: SLF001 - what it keeps is looked at
    assert ledger is not None
    assert ledger.consumers.named("acme", "box") is not None
    assert ledger.consumers.named("acme", unnamed["inbox"]) is None
    told = await planner.fault("receive", inbox="box")
    assert told["code"] == "not_found"
    assert "subscribe" in told["detail"]
    here = await planner("subscribe", pattern="tasks.*", inbox="box")
    found = here["messages"] or await taken(planner, "box")
    assert [one["subject"] for one in found] == ["tasks.a"]


async def test_an_inbox_is_closed_with_or_without_what_waits(planner: Calls) -> None:
    """Kept, it is there for a later subscribe."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    await planner("publish", subject="tasks.a", body=1)
    kept = await planner("unsubscribe", inbox="box", keep=True)
    assert kept == {"inbox": "box", "kept": True, "left": 0}
    await planner("subscribe", pattern="tasks.*", inbox="box")
    gone = await planner("unsubscribe", inbox="box")
    assert gone == {"inbox": "box", "kept": False, "left": 1}
    assert (await planner.fault("unsubscribe", inbox="box"))["code"] == "not_found"


async def test_an_inbox_of_another_pattern_is_not_taken_over(planner: Calls) -> None:
    """And what was open stays open."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    told = await planner.fault("subscribe", pattern="other.*", inbox="box")
    assert told["code"] == "conflict"
    await planner("publish", subject="tasks.a", body=1)
    assert len(await taken(planner, "box")) == 1


async def test_what_one_receive_returns_is_bounded_in_bytes(planner: Calls) -> None:
    """The rest waits, and nothing of it is out."""
    await planner("subscribe", pattern="tasks.*", inbox="box")
    large = "x" * (MCP_MESSAGES_BYTES // 2)
    for _ in range(5):
        await planner("publish", subject="tasks.a", text=large)
    counts = [len(await taken(planner, "box")) for _ in range(3)]
    assert counts == [2, 2, 1]


async def test_nothing_of_another_tenant_is_there(
    running: Running, planner: Calls
) -> None:
    """Neither its messages, nor its inboxes, nor its record."""
    sent = await planner("publish", subject="tasks.a", body=1)
    await planner("subscribe", pattern="tasks.*", inbox="box")
    async with tools(running, "spy") as spy:
        for name in ("status", "explain"):
            told = await spy.fault(name, message_id=sent["message_id"])
            assert told["code"] == "not_found"
        assert (await spy.fault("unsubscribe", inbox="box"))["code"] == "not_found"
        assert (await spy("query_governance_precedents", subject=">"))["items"] == []
        assert (await spy("get_governance_metrics"))["counts"]["accepted"] == 0
        await spy("subscribe", pattern="tasks.*", inbox="box", start="all")
        assert not (await spy("receive", inbox="box", wait_seconds=0))["messages"]


async def test_the_governance_tools_tell_what_the_node_says(
    running: Running, intern: Calls
) -> None:
    """Principles, a verdict, precedents, a request to those who govern, counts."""
    made = await intern("get_active_principles")
    assert made["hash"] == running.node.bus.constitution
    assert made["principles"][0]["text"]
    verdict = await intern("validate_constitutional_compliance", subject="tasks.a")
    assert (verdict["compliant"], verdict["outcome"]) == (False, "denied")
    verdict = await intern(
        "validate_constitutional_compliance",
        subject="notes.a",
        constitution=made["hash"],
        body={"x": 1},
        headers={"k": "v"},
    )
    assert verdict["compliant"]
    async with tools(running, "planner") as planner:
        await planner("subscribe", pattern="governance.>", inbox="council")
        sent = await intern(
            "submit_governance_request",
            request="let me publish on tasks.a",
            context={"why": "a review"},
        )
        assert sent["status"] == "accepted"
        [asked] = await taken(planner, "council")
    assert (asked["type"], asked["sender"]) == ("governance_request", "intern")
    assert asked["body"]["context"] == {"why": "a review"}
    await intern.fault("publish", subject="tasks.a")
    found = await intern("query_governance_precedents", subject="tasks.b", limit=1)
    assert [one["outcome"] for one in found["items"]] == ["denied"]
    counts = await intern("get_governance_metrics")
    assert (counts["own"]["accepted"], counts["own"]["denied"]) == (1, 1)


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("publish", {}),
    ("publish", {"subject": ""}),
    ("publish", {"subject": "x" * 1000}),
    ("publish", {"subject": ["a"]}),
    ("publish", {"subject": "a", "type": "nonsense"}),
    ("publish", {"subject": "a", "priority": 4}),
    ("publish", {"subject": "a", "headers": {"a": 1}}),
    ("publish", {"subject": "a", "ttl_seconds": -1}),
    ("request", {"subject": "a", "timeout_seconds": 1e9}),
    ("status", {"message_id": "../../tokens"}),
    ("explain", {"message_id": "x"}),
    ("subscribe", {"pattern": "a", "inbox": "a/../b"}),
    ("subscribe", {"pattern": "a", "lease_seconds": 0}),
    ("receive", {"inbox": "a", "limit": MCP_MESSAGES_MAX + 1}),
    ("receive", {"inbox": "a", "wait_seconds": 1e9}),
    ("receive", {"inbox": "a\n"}),
    ("settle", {"inbox": "a", "receipts": []}),
    ("settle", {"inbox": "a", "receipts": ["x" * 1000]}),
    ("submit_governance_request", {"request": "x" * 100_000}),
    ("query_governance_precedents", {"limit": 0}),
]
"""Calls that do not fit the schema of their tool."""


async def test_arguments_past_their_schema_are_refused(intern: Calls) -> None:
    """By the schema that the client was shown; the node is not asked."""
    for name, arguments in REFUSED:
        told = await intern.refused(name, **arguments)
        assert f"Error executing tool {name}" in told, arguments


ODD: list[tuple[dict[str, Any], str, str]] = [
    ({"subject": "a", "bdy": 1}, "malformed", "'body'"),
    ({"subject": "a", "body": 1, "text": "x"}, "malformed", "not both"),
    ({"subject": "a", "text": "x" * MCP_ARGUMENTS_BYTES_MAX}, "limit_exceeded", ""),
    ({"subject": "a", "text": "x" * (3 << 19)}, "limit_exceeded", ""),
    ({"subject": "a..b"}, "bad_subject", ""),
    ({"subject": "$SYS.a"}, "bad_subject", ""),
    ({"subject": "a", "headers": {"Not A Name": "x"}}, "malformed", ""),
    ({"subject": "a", "headers": {"k": "a\r\nb: c"}}, "malformed", ""),
]
"""Arguments to publish, the code they end with, and a word of the detail."""


async def test_odd_arguments_are_errors_with_a_code(planner: Calls) -> None:
    """What the schema cannot say is refused before it does anything."""
    for arguments, code, word in ODD:
        told = await planner.fault("publish", **arguments)
        assert told["code"] == code, arguments
        assert word in told["detail"]


async def test_without_a_store_an_inbox_says_why_not() -> None:
    """And publishing goes on."""
    async with running_node() as running, tools(running, "planner") as planner:
        told = await planner.fault("subscribe", pattern="tasks.*")
        assert (told["code"], "no store" in told["detail"]) == ("not_found", True)


async def test_a_token_that_is_revoked_is_said(running: Running, intern: Calls) -> None:
    """It is for a person to give another one."""
    await running.node.identity.revoke_all("intern")
    told = await intern.fault("publish", subject="notes.a")
    assert told["code"] == "unauthenticated"
    assert "token" in told["what_to_do"]


async def test_a_node_that_goes_away_mid_call_is_said() -> None:
    """Its tools fail with a code; once there is no node, every one."""
    async with kept_node() as running, tools(running, "planner") as planner:
        await planner("subscribe", pattern="tasks.*", inbox="box")
        async with asyncio.TaskGroup() as group:
            waits = group.create_task(
                planner.result("receive", {"inbox": "box", "wait_seconds": 30})
            )
            await asyncio.sleep(0.1)  # under way, or about to be: both end
            await running.node.__aexit__(None, None, None)
        result = waits.result()
        if result.is_error:
            assert result.structured_content is not None
            assert result.structured_content["code"] in {"unreachable", "not_started"}
        else:
            assert result.structured_content == {
                "inbox": "box",
                "pattern": "tasks.*",
                "messages": [],
                "waiting": 0,
                "settled": [],
            }
        told = await planner.fault("publish", subject="tasks.a", dedup="once")
        assert told["code"] == "unreachable"
        assert "dedup" in told["what_to_do"]


async def test_a_node_that_hangs_up_within_an_answer_is_said() -> None:
    """What is half there is not taken for an answer."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n")
        writer.write(b'Content-Length: 100\r\n\r\n{"status": "accepted"')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as served:
        port = served.sockets[0].getsockname()[1]
        async with (
            Api(f"http://127.0.0.1:{port}", "token") as api,
            calls(api) as call,
        ):
            told = await call.fault("publish", subject="tasks.a")
    assert told["code"] == "unreachable"
