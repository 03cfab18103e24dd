"""CloudEvents over HTTP, sent and read with the SDK of the CloudEvents project."""

import base64
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from bus.core.edgelimits import BATCH_ITEMS_MAX
from tests.fakes.messaging import serving

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
EVENTS = "/v1/events"
LEAST = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "orders.created"}


def event(data: Any = None, **attributes: Any) -> CloudEvent:
    """Return an event with every attribute, and one of its own."""
    return CloudEvent(
        attributes={
            "id": "e-1",
            "source": "https://shop.example/orders",
            "type": "com.example.order.created",
            "time": datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC),
            "datacontenttype": "application/json",
            "subject": "café 7%",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
            "partitionkey": "order-7",
            "flavour": "plain",
            **attributes,
        },
        data={"order": 7} if data is None else data,
    )


async def send(
    client: aiohttp.ClientSession, body: bytes | str, **headers: str
) -> tuple[int, Any]:
    """Return status and answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post(EVENTS, data=body, headers=named) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_an_event_of_the_sdk_goes_round(mode: str) -> None:
    """Attributes, extensions and data, in both modes."""
    sent = event()
    make = http.to_binary if mode == "binary" else http.to_structured
    message = make(sent, JSONFormat())
    async with serving() as site, site.client("planner") as client:
        async with client.post(
            EVENTS, data=message.body, headers=message.headers
        ) as answer:
            assert answer.status == 202
            known = (await answer.json())["message_id"]
        async with client.get(f"/v1/messages/{known}") as answer:
            told = await answer.json()
        assert told["subject"] == "com.example.order.created"
        assert told["body"] == {"order": 7}
        headers = told["headers"]
        assert headers["traceparent"].startswith("00-0af7")
        assert headers["tracestate"] == "vendor=1"
        assert headers["assent-ordering-key"] == "order-7"
        assert headers["ce-subject"] == "caf%C3%A9%207%25"
        accept = {"Accept": STRUCTURED}
        async with client.get(f"/v1/messages/{known}", headers=accept) as answer:
            assert answer.content_type == STRUCTURED
            whole = http.HTTPMessage(dict(answer.headers), await answer.read())
        async with client.get(f"/v1/messages/{known}/body") as answer:
            parts = http.HTTPMessage(dict(answer.headers), await answer.read())
            assert answer.headers["Content-Disposition"] == "attachment"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
        for back in (
            http.from_structured(whole, JSONFormat()),
            http.from_binary(parts, JSONFormat()),
        ):
            for name, value in sent.get_attributes().items():
                assert back.get_attributes()[name] == value, name
            assert back.get_extension("assentsender") == "planner"
            assert back.get_data() == {"order": 7}


async def test_a_message_of_the_bus_is_an_event() -> None:
    """With a source that the bus vouches for."""
    async with serving() as site, site.client("planner") as client:
        outcome = await site.bus.agent("worker").publish("orders.new", b"\x00\x01")
        known = outcome.unwrap().message_id
        accept = {"Accept": STRUCTURED}
        async with client.get(f"/v1/messages/{known}", headers=accept) as answer:
            told = await answer.json(content_type=None)
        assert told["id"] == known
        assert told["type"] == "orders.new"
        assert told["source"] == "/tenants/acme/agents/worker"
        assert told["datacontenttype"] == "application/octet-stream"
        assert base64.b64decode(told["data_base64"]) == b"\x00\x01"
        assert "data" not in told


async def test_a_stream_is_read_as_a_batch_of_events() -> None:
    """In the order they were kept in."""
    async with serving() as site, site.client("planner") as client:
        events = [{**LEAST, "id": str(number), "data": number} for number in range(3)]
        status, told = await send(
            client, msgspec.json.encode(events).decode(), Content_Type=BATCH
        )
        assert (status, told["accepted"]) == (200, 3)
        headers = {"Accept": BATCH}
        path = "/v1/streams/default/messages"
        async with client.get(path, headers=headers) as answer:
            assert answer.content_type == BATCH
            assert "after=3" in answer.headers["Link"]
            found = await answer.json(content_type=None)
        assert [(one["id"], one["data"]) for one in found] == [
            ("0", 0),
            ("1", 1),
            ("2", 2),
        ]


async def test_an_event_sent_twice_is_kept_once() -> None:
    """Source and id name it."""
    async with serving() as site, site.client("planner") as client:
        body = msgspec.json.encode({**LEAST, "data": 1})
        first = await send(client, body, Content_Type=STRUCTURED)
        again = await send(client, body, Content_Type=STRUCTURED)
        assert first[1]["message_id"] == again[1]["message_id"]
        assert again[1]["duplicate"] is True


async def test_data_has_the_type_it_says() -> None:
    """As the JSON format has it."""
    cases: list[tuple[dict[str, Any], bytes, str]] = [
        ({"data": "text", "datacontenttype": "text/plain"}, b"text", "text/plain"),
        ({"data": "text"}, b'"text"', "application/json"),
        ({"data": {"a": 1}, "datacontenttype": "a/b+json"}, b'{"a":1}', "a/b+json"),
        ({"data_base64": "AAE="}, b"\x00\x01", "application/json"),
        ({}, b"", "application/octet-stream"),
        ({"data": None}, b"null", "application/json"),
    ]
    async with serving() as site, site.client("planner") as client:
        for number, (given, data, content_type) in enumerate(cases):
            body = msgspec.json.encode({**LEAST, "id": str(number), **given})
            _, told = await send(client, body, Content_Type=STRUCTURED)
            path = f"/v1/messages/{told['message_id']}/body"
            async with client.get(path) as answer:
                assert (await answer.read(), answer.content_type) == (
                    data,
                    content_type,
                )


async def test_the_query_names_another_subject() -> None:
    """And nothing else stands there."""
    async with serving() as site, site.client("planner") as client:
        headers = {"Content-Type": STRUCTURED}
        for path, status in (
            (EVENTS + "?subject=orders.eu", 202),
            (EVENTS + "?subject=", 400),
            (EVENTS + "?topic=x", 400),
        ):
            body = msgspec.json.encode(LEAST)
            async with client.post(path, data=body, headers=headers) as answer:
                assert answer.status == status
                told = await answer.json(content_type=None)
            if status == 202:
                async with client.get(f"/v1/messages/{told['message_id']}") as answer:
                    assert (await answer.json())["subject"] == "orders.eu"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"specversion": "0.3"}, "malformed"),
        ({"id": ""}, "malformed"),
        ({"id": None}, "malformed"),
        ({"id": 7}, "malformed"),
        ({"source": "a\r\nb"}, "malformed"),
        ({"type": "a b"}, "bad_subject"),
        ({"time": "yesterday"}, "malformed"),
        ({"time": "2026-13-01T00:00:00Z"}, "malformed"),
        ({"Upper": "x"}, "malformed"),
        ({"nested": {}}, "malformed"),
        ({"assentsender": "worker"}, "malformed"),
        ({"empty": ""}, "malformed"),
        ({"dataschema": "no uri"}, "malformed"),
        ({"datacontenttype": "text"}, "malformed"),
        ({"data": 1, "data_base64": "AA=="}, "malformed"),
        ({"data_base64": "?"}, "malformed"),
        ({"data_base64": 1}, "malformed"),
        ({"long": "x" * 300}, "limit_exceeded"),
        ({f"a{number}": "x" for number in range(40)}, "limit_exceeded"),
    ],
)
async def test_what_is_no_event_is_refused(changes: dict[str, Any], code: str) -> None:
    """And what claims to be what only the bus says."""
    async with serving() as site, site.client("planner") as client:
        body = msgspec.json.encode({**LEAST, **changes})
        status, told = await send(client, body, Content_Type=STRUCTURED)
        assert (status, told["code"]) == (400, code)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {"Content_Type": BATCH}, 400),
        (b"{}", {"Content_Type": BATCH}, 400),
        (b"[1]", {"Content_Type": BATCH}, 400),
        (
            b"[" + b"{}," * BATCH_ITEMS_MAX + b"{}]",
            {"Content_Type": BATCH},
            400,
        ),
        (b"x", {"Content_Type": "application/cloudevents+xml"}, 415),
        (b"{}", {"Content_Type": "application/json"}, 415),
        (b"x", {"ce_specversion": "1.0"}, 400),
        (
            b"x",
            {
                "ce_specversion": "1.0",
                "ce_id": "%FF",
                "ce_source": "s",
                "ce_type": "t",
            },
            400,
        ),
        (b"{}", {"Content_Type": STRUCTURED + "; charset=utf-16"}, 415),
        (b"{}", {"Content_Type": STRUCTURED, "Content_Encoding": "gzip"}, 415),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    """By its form, or by what is in it."""
    async with serving() as site, site.client("planner") as client:
        assert (await send(client, body, **headers))[0] == status


async def test_an_attribute_that_is_there_twice_is_refused() -> None:
    """Which one would count?"""
    async with serving() as site, site.client("planner") as client:
        headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "s"),
            ("ce-type", "t"),
            ("ce-id", "2"),
        ]
        async with client.post(EVENTS, data=b"x", headers=headers) as answer:
            assert answer.status == 400


async def test_policy_decides_on_events_too() -> None:
    """One by one."""
    async with serving() as site, site.client("intern") as client:
        body = msgspec.json.encode(LEAST)
        status, told = await send(client, body, Content_Type=STRUCTURED)
        assert (status, told["code"]) == (403, "denied")
        batch = msgspec.json.encode([LEAST, {**LEAST, "type": "notes.a", "id": "2"}])
        status, told = await send(client, batch, Content_Type=BATCH)
        assert [one["status"] for one in told["items"]] == ["denied", "accepted"]
