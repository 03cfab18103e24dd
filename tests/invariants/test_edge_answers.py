"""What comes back from a node: no header, page or inside of a node by what a client sets.

Rule: every answer is data of a stated type that no browser takes for anything else.
"""

import base64
from typing import Any

import msgspec
import pytest

from bus.edge.caller import Scope
from tests.fakes.attackers import JSON, MARKUP, attacked

INJECTED = "a\r\nX-Evil: 1\r\n\r\n<script>"


async def test_no_value_of_a_client_becomes_a_header_of_an_answer() -> None:
    """CR and LF in all that a client may set are refused, or come back encoded."""
    async with attacked() as target, target.running.client("planner") as client:
        one: dict[str, Any] = {"subject": "calm.a", "body": 1}
        octets = {"subject": "calm.a", "body_base64": "AA=="}
        for body in (
            {**octets, "content_type": f"text/{INJECTED}"},
            {**one, "headers": {"x-a": INJECTED}},
            {**one, "headers": {INJECTED: "a"}},
            {**one, "subject": INJECTED},
            {**one, "ordering_key": INJECTED},
            {**one, "correlation": INJECTED},
            {**one, "dedup": INJECTED},
            {**one, "type": INJECTED},
        ):
            async with client.post("/v1/messages", json=body) as answer:
                assert (body, answer.status) == (body, 400)
                assert "X-Evil" not in answer.headers
        event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "calm.a"}
        kind = {"Content-Type": "application/cloudevents+json"}
        for name in (
            "id",
            "source",
            "subject",
            "datacontenttype",
            "note",
            "partitionkey",
        ):
            body = {**event, name: INJECTED}
            async with client.post("/v1/events", json=body, headers=kind) as answer:
                assert (name, answer.status) == (name, 400)
        binary = {f"ce-{name}": value for name, value in event.items()}
        binary |= {"ce-note": "a%0D%0AX-Evil:%201", "Content-Type": "text/plain"}
        async with client.post("/v1/events", data=b"x", headers=binary) as answer:
            assert answer.status == 400
        for query in (
            "pattern=a%0d%0aX-Evil:1",
            "after=%0d%0a",
            "limit=1%0d%0aX-Evil:1",
        ):
            path = f"/v1/streams/default/messages?{query}"
            async with client.get(f"{target.running.url}{path}") as answer:
                assert (answer.status, "X-Evil" in answer.headers) == (400, False)


async def test_markup_in_every_field_comes_back_as_data() -> None:
    """JSON that no browser takes for a page; a body is a download in a sandbox."""
    async with attacked() as target, target.running.client("planner") as client:
        body = {
            "subject": "calm.<script",
            "body": MARKUP,
            "headers": {"x-a": MARKUP},
            "correlation": MARKUP,
        }
        async with client.post("/v1/messages", json=body) as answer:
            assert answer.status == 202
            known = (await answer.json())["message_id"]
        given = {"subject": "calm.b", "content_type": "text/html"}
        given["body_base64"] = base64.b64encode(MARKUP.encode()).decode()
        async with client.post("/v1/messages", json=given) as answer:
            page = (await answer.json())["message_id"]
        operator = target.running.bearer("operator")
        for path, headers in (
            (f"/v1/messages/{known}", {}),
            (f"/v1/messages/{known}/timeline", {}),
            (f"/v1/messages/{known}/tree", {}),
            ("/v1/streams/default/messages", {}),
            ("/v1/audit", operator),
            (f"/v1/agents/{MARKUP}", operator),
            (f"/v1/{MARKUP}", {}),
            (f"/v1/streams/{MARKUP}/messages", {}),
            ("/v1/messages/x?a=" + MARKUP, {}),
        ):
            accept = {"Accept": "text/html, */*", **headers}
            async with client.get(path, headers=accept) as answer:
                kind = answer.headers["Content-Type"]
                assert (path, kind) in {
                    (path, JSON),
                    (path, "application/problem+json"),
                }
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with client.get(f"/v1/messages/{page}/body") as answer:
            assert await answer.text() == MARKUP
            assert answer.headers["Content-Disposition"] == "attachment"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_fault_tells_nothing_of_the_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither paths nor names nor the words of an exception, by HTTP and by hooks."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("/srv/secret.db is broken")

    async with attacked() as target:
        monkeypatch.setattr(target.node.tokens, "add", broken)
        monkeypatch.setattr(target.node.desk, "answer", broken)
        async with target.running.client("admin") as client:
            for path, body in (
                ("/v1/tokens", {"agent": "planner"}),
                ("/v1/hooks/claude-code", {"hook_event_name": "PreToolUse"}),
            ):
                async with client.post(path, json=body) as answer:
                    text = await answer.text()
                    assert answer.status == 500
                    assert msgspec.json.decode(text)["code"] == "internal"
                    assert "secret" not in text
                    assert "Traceback" not in text


async def test_a_wider_scope_is_not_asked_for_by_its_holder() -> None:
    """An agent makes no token, and an operator none for itself."""
    async with attacked() as target:
        for agent in ("planner", "operator"):
            async with target.running.client(agent) as client:
                body = {"agent": agent, "scope": Scope.ADMIN.value}
                async with client.post("/v1/tokens", json=body) as answer:
                    assert answer.status == 403
