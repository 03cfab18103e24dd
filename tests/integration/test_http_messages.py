"""Messages over HTTP on a real bus: published, asked after, under policy and in walls."""

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from bus.core.errors import RemoteFaultError
from bus.subscription import Delivery
from tests.fakes.messaging import Site, serving, until

NOBODYS = "0" * 32


async def ask(
    client: aiohttp.ClientSession, method: str, path: str, **more: Any
) -> tuple[int, Any]:
    """Return status and answer of a request."""
    async with client.request(method, path, **more) as answer:
        return answer.status, await answer.json(content_type=None)


async def publish(client: aiohttp.ClientSession, **message: Any) -> str:
    """Publish, and see it accepted."""
    status, told = await ask(client, "POST", "/v1/messages", json=message)
    assert status == 202, told
    return str(told["message_id"])


async def test_a_message_that_is_published_is_delivered_as_json() -> None:
    """As the caller's own, with all that it set."""
    async with serving("direct") as site, site.client("planner") as client:
        got: list[Any] = []

        async def take(body: dict[str, int], delivery: Delivery) -> None:
            got.append((body, delivery.message))

        site.bus.agent("worker").subscribe("orders.*", take)
        status, told = await ask(
            client,
            "POST",
            "/v1/messages",
            json={
                "subject": "orders.new",
                "body": {"order": 7},
                "headers": {"a": "b"},
                "priority": 3,
                "correlation": "c1",
                "ordering_key": "k",
            },
        )
        assert (status, told["status"], told["deliveries"]) == (202, "accepted", 1)
        await until(lambda: bool(got))
        body, message = got[0]
        assert body == {"order": 7}
        assert message.id.hex() == told["message_id"]
        assert (message.sender, message.tenant) == ("planner", "acme")
        assert (message.content_type, message.priority) == ("application/json", 3)
        assert message.headers == {"a": "b", "assent-ordering-key": "k"}


async def test_bytes_and_messagepack_keep_their_content_type() -> None:
    """And are told in the form they came in."""
    async with serving() as site, site.client("planner") as client:
        sent: list[tuple[dict[str, Any], str]] = [
            ({"body_base64": "AAECAw==", "content_type": "image/png"}, "body_base64"),
            ({"body": {"a": 1}, "content_type": "application/msgpack"}, "body"),
            ({}, "body"),
        ]
        for given, name in sent:
            known = await publish(client, subject="x", **given)
            _, told = await ask(client, "GET", f"/v1/messages/{known}")
            assert told[name] == given.get(name)
            assert told["content_type"] == given.get("content_type", "application/json")


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ({"subject": "a b"}, 400, "bad_subject"),
        ({"subject": "$SYS.x"}, 400, "bad_subject"),
        ({"subject": "x", "body": 1, "body_base64": "AA=="}, 400, "malformed"),
        ({"subject": "x", "body_base64": "?"}, 400, "malformed"),
        ({"subject": "x", "sender": "worker"}, 400, "malformed"),
        ({"subject": "x", "headers": {"a\r\nb": "c"}}, 400, "malformed"),
        ({"subject": "x", "headers": {"a": "c\r\nx: y"}}, 400, "malformed"),
        ({"subject": "x", "body_base64": "AAAA" * 349_526}, 413, "limit_exceeded"),
        (
            {"subject": "x", "body": 1 << 70, "content_type": "application/msgpack"},
            400,
            "bad_body",
        ),
    ],
)
async def test_what_cannot_be_published_is_refused(
    message: dict[str, Any], status: int, code: str
) -> None:
    """With the code that the bus has for it."""
    async with serving() as site, site.client("planner") as client:
        sent = io.BytesIO(msgspec.json.encode(message))
        headers = {"Content-Type": "application/json"}
        refused, told = await ask(
            client, "POST", "/v1/messages", data=sent, headers=headers
        )
        assert (refused, told["code"]) == (status, code)


async def test_a_denial_says_why() -> None:
    """With the decision and the revision."""
    async with serving() as site, site.client("intern") as client:
        body = {"subject": "orders.new"}
        status, told = await ask(client, "POST", "/v1/messages", json=body)
        assert (status, told["code"]) == (403, "denied")
        assert told["reasons"]
        assert told["revision"] == site.bus.revision
        assert len(told["decision_id"]) == 32


async def test_nobody_who_takes_it_is_told_where_nothing_is_kept() -> None:
    """A request would wait for nothing."""
    async with serving("direct") as site, site.client("planner") as client:
        body = {"subject": "nobody.there", "timeout": 1}
        status, told = await ask(client, "POST", "/v1/requests", json=body)
        assert (status, told["code"]) == (404, "no_responders")


async def test_a_batch_has_an_outcome_for_each() -> None:
    """One that is wrong keeps no other back."""
    async with serving() as site, site.client("planner") as client:
        items = [
            {"subject": "a", "body": 1},
            {"subject": "b c"},
            {"subject": "b", "headers": {"x": "\n"}},
            {"subject": "c", "body": 1, "body_base64": "AA=="},
            {"subject": "d"},
        ]
        status, told = await ask(
            client, "POST", "/v1/messages/batch", json={"items": items}
        )
        assert (status, told["accepted"]) == (200, 2)
        statuses = [item["status"] for item in told["items"]]
        assert statuses == ["accepted", "rejected", "rejected", "rejected", "accepted"]
        assert [item.get("code") for item in told["items"][1:4]] == [
            "bad_subject",
            "malformed",
            "malformed",
        ]
        _, page = await ask(client, "GET", "/v1/streams/default/messages")
        assert [one["subject"] for one in page["items"]] == ["a", "d"]
    async with serving() as site, site.client("intern") as client:
        _, told = await ask(client, "POST", "/v1/messages/batch", json={"items": items})
        denied = told["items"][0]
        assert (denied["status"], denied["code"]) == ("denied", "denied")
        assert denied["reasons"]


async def test_a_request_is_answered_with_the_reply() -> None:
    """Or with what kept it from one."""

    async def reply(body: dict[str, int]) -> dict[str, int]:
        return {"sum": body["a"] + body["b"]}

    async def fail(body: Any, delivery: Delivery) -> None:
        del body
        delivery.term("cannot be done")

    async def sleep(body: Any) -> None:
        del body
        await asyncio.sleep(5)

    async with serving() as site, site.client("planner") as client:
        worker = site.bus.agent("worker")
        worker.subscribe("sums.add", reply)
        worker.subscribe("sums.fail", fail)
        worker.subscribe("sums.sleep", sleep)
        body = {"subject": "sums.add", "body": {"a": 1, "b": 2}}
        status, told = await ask(client, "POST", "/v1/requests", json=body)
        assert (status, told["body"]) == (200, {"sum": 3})
        assert told["content_type"] == "application/msgpack"
        for subject, status, code in (
            ("sums.fail", 502, RemoteFaultError.code),
            ("sums.sleep", 504, "timeout"),
            ("sums add", 400, "bad_subject"),
        ):
            asked = {"subject": subject, "timeout": 0.05 if "sleep" in subject else 5}
            refused, told = await ask(client, "POST", "/v1/requests", json=asked)
            assert (refused, told["code"]) == (status, code)


async def test_a_key_is_the_dedup_name_where_there_is_a_store() -> None:
    """So that it holds over a restart."""
    async with serving() as site, site.client("planner") as client:
        key, body = {"Idempotency-Key": "order-7"}, {"subject": "orders.new"}
        _, first = await ask(client, "POST", "/v1/messages", json=body, headers=key)
        _, again = await ask(client, "POST", "/v1/messages", json=body, headers=key)
        assert first == again
        # As after a restart, when only the store remembers.
        outcome = await site.bus.agent("planner").publish(
            "orders.new", 1, dedup="order-7"
        )
        assert outcome.unwrap().message_id == first["message_id"]


async def test_a_key_works_where_there_is_no_store() -> None:
    """From the table of the node."""
    async with serving("direct") as site, site.client("planner") as client:
        got: list[Any] = []

        async def take(body: Any) -> None:
            got.append(body)

        site.bus.agent("worker").subscribe("orders.*", take)
        key, body = {"Idempotency-Key": "order-7"}, {"subject": "orders.new", "body": 1}
        for _ in range(3):
            assert (await ask(client, "POST", "/v1/messages", json=body, headers=key))[
                0
            ] == 202
        await asyncio.sleep(0.01)
        assert got == [1]


async def family(site: Site, client: aiohttp.ClientSession) -> str:
    """Publish a message whose handler publishes another, which has another."""

    async def first(body: Any) -> None:
        del body
        await site.bus.agent("worker").publish("steps.two", 2)

    async def second(body: Any) -> None:
        del body
        await site.bus.agent("critic").publish("steps.three", 3)

    site.bus.agent("worker").subscribe("steps.one", first)
    site.bus.agent("critic").subscribe("steps.two", second)
    return await publish(client, subject="steps.one", body=1)


async def settled(client: aiohttp.ClientSession, known: str) -> Any:
    """Return the timeline of a message once it is over."""
    async with asyncio.timeout(5):
        while True:
            _, told = await ask(client, "GET", f"/v1/messages/{known}/timeline")
            if told["status"] not in {"pending", "accepted"}:
                return told
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("record", ["memory", "file"])
async def test_a_timeline_tells_what_happened(record: str, tmp_path: Path) -> None:
    """From a record in memory, and from one in a file."""
    audit = tmp_path / "audit.jsonl" if record == "file" else None
    async with serving(audit=audit) as site, site.client("planner") as client:
        known = await family(site, client)
        told = await settled(client, known)
        events = [one["event"] for one in told["items"]]
        assert events == ["published", "accepted", "stored", "acked"]
        assert told["items"][0]["agent"] == "planner"
        assert told["items"][-1]["agent"] == "worker"
        assert (told["status"], told["pending"]) == ("delivered", [])
        assert told["truncated"] is False


async def test_a_timeline_tells_of_what_was_never_let_in() -> None:
    """Though nothing of it is kept."""
    async with serving() as site, site.client("intern") as client:
        outcome = await site.bus.agent("intern").publish("orders.new", 1)
        _, told = await ask(client, "GET", f"/v1/messages/{outcome.id.hex()}/timeline")
        assert [one["event"] for one in told["items"]] == ["denied"]
        assert told["status"] == "denied"
        assert (await ask(client, "GET", f"/v1/messages/{outcome.id.hex()}"))[0] == 404


async def test_a_timeline_tells_of_attempts_under_way_and_of_death() -> None:
    """What waits for its next attempt is pending."""

    async def fail(body: Any) -> None:
        del body
        raise RuntimeError("cannot")

    async with serving() as site, site.client("planner") as client:
        site.bus.agent("worker").subscribe(
            "orders.*", fail, max_deliver=2, backoff=[0.3]
        )
        known = await publish(client, subject="orders.new")
        async with asyncio.timeout(5):
            while True:
                _, told = await ask(client, "GET", f"/v1/messages/{known}/timeline")
                if told["pending"] and told["pending"][0]["state"] == "waiting":
                    break
        assert told["status"] == "pending"
        assert told["pending"][0]["attempt"] == 2
        told = await settled(client, known)
        assert (told["status"], told["items"][-1]["event"]) == ("dead", "dead")


async def test_a_tree_tells_what_came_of_a_message() -> None:
    """From any message of it, the same."""
    async with serving() as site, site.client("planner") as client:
        known = await family(site, client)
        async with asyncio.timeout(5):
            while True:
                _, tree = await ask(client, "GET", f"/v1/messages/{known}/tree")
                if tree["messages"] == 3:
                    break
                await asyncio.sleep(0.01)
        root = tree["root"]
        assert (root["id"], root["sender"], root["outcome"]) == (
            known,
            "planner",
            "accepted",
        )
        child = root["children"][0]
        assert (child["subject"], child["sender"]) == ("steps.two", "worker")
        leaf = child["children"][0]
        assert (leaf["subject"], leaf["children"]) == ("steps.three", [])
        _, same = await ask(client, "GET", f"/v1/messages/{leaf['id']}/tree")
        assert same == tree


async def test_a_held_message_can_be_read_by_its_sender() -> None:
    """And by nobody of another tenant."""
    async with serving(holding=True) as site, site.client("planner") as client:
        body = {"subject": "payments.send", "body": {"amount": 9}}
        status, told = await ask(client, "POST", "/v1/messages", json=body)
        assert (status, told["status"]) == (202, "held")
        assert told["reasons"]
        path = f"/v1/messages/{told['message_id']}"
        _, detail = await ask(client, "GET", path)
        assert (detail["status"], detail["body"]) == ("held", {"amount": 9})
        _, timeline = await ask(client, "GET", path + "/timeline")
        assert timeline["status"] == "held"
        async with site.client("spy") as other:
            assert (await ask(other, "GET", path))[0] == 404


@pytest.mark.parametrize("what", ["", "/timeline", "/tree", "/body"])
async def test_another_tenants_message_was_never_there(what: str) -> None:
    """The answer is the one for an id that never was."""
    async with serving() as site, site.client("planner") as client:
        known = await publish(client, subject="orders.new", body={"secret": 1})
        async with site.client("spy") as spy, site.client("boss") as boss:
            for other in (spy, boss):
                found = await ask(other, "GET", f"/v1/messages/{known}{what}")
                never = await ask(other, "GET", f"/v1/messages/{NOBODYS}{what}")
                assert found[0] == never[0] == 404
                assert str(found).replace(known, NOBODYS) == str(never)
        async with site.client("admin") as admin:
            assert (await ask(admin, "GET", f"/v1/messages/{known}/tree"))[0] == 200


async def test_an_admin_sees_every_tenant() -> None:
    """An operator sees its own."""
    async with serving() as site, site.client("spy") as spy:
        known = await publish(spy, subject="orders.new", body=1)
        async with site.client("admin") as admin, site.client("operator") as operator:
            assert (await ask(admin, "GET", f"/v1/messages/{known}"))[0] == 200
            assert (await ask(operator, "GET", f"/v1/messages/{known}"))[0] == 404


async def test_an_agent_sees_its_own_and_what_it_may_subscribe_to() -> None:
    """What it may not see was never there."""
    async with serving() as site, site.client("planner") as client:
        hidden = await publish(client, subject="orders.new", body=1)
        shown = await publish(client, subject="notes.new", body=1)
        async with site.client("intern") as intern:
            own = await publish(intern, subject="notes.own", body=1)
            for known, status in ((hidden, 404), (shown, 200), (own, 200)):
                assert (await ask(intern, "GET", f"/v1/messages/{known}"))[0] == status
                path = f"/v1/messages/{known}/timeline"
                assert (await ask(intern, "GET", path))[0] == status
        async with site.client("operator") as operator:
            assert (await ask(operator, "GET", f"/v1/messages/{hidden}"))[0] == 200


async def test_without_a_store_a_timeline_is_there_and_a_body_is_not() -> None:
    """Nor are streams and consumers."""
    async with serving("direct") as site, site.client("planner") as client:

        async def take(body: Any) -> None:
            del body

        site.bus.agent("worker").subscribe("orders.*", take)
        known = await publish(client, subject="orders.new", body=1)
        told = await settled(client, known)
        assert [one["event"] for one in told["items"]] == [
            "published",
            "accepted",
            "acked",
        ]
        assert (await ask(client, "GET", f"/v1/messages/{known}"))[0] == 404
        assert (await ask(client, "GET", "/v1/streams/default/messages"))[0] == 404
        pull = {"pattern": "orders.*"}
        assert (await ask(client, "POST", "/v1/consumers/c/pull", json=pull))[0] == 404


async def test_who_is_nobody_is_told_so() -> None:
    """The document of the interface is for everybody."""
    async with serving() as site, site.client("nobody") as client:
        async with client.get(f"/v1/messages/{NOBODYS}") as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        async with client.get("/v1/openapi.json") as answer:
            assert answer.status == 200
            tag = answer.headers["ETag"]
        headers = {"If-None-Match": tag}
        async with client.get("/v1/openapi.json", headers=headers) as answer:
            assert answer.status == 304
