"""What an attacker sends to a node's port: slow, huge, deep, compressed, garbled, smuggled.

Rule: it is refused with the code that is right, and others are served meanwhile.
"""

import asyncio
import base64
import gzip
import json
from pathlib import Path

import aiohttp
import msgspec
import pytest

from bus.core.edgelimits import FRAME_BYTES_MAX, HTTP_REQUEST_BYTES_MAX
from bus.core.frames import SUBPROTOCOL
from bus.core.limits import HTTP_HEADERS_MAX, HTTP_LINE_BYTES_MAX
from bus.edge.http import asking, console, hooks, session, ws
from bus.edge.http.guard import Guard
from bus.edge.session.allowance import Allowance
from tests.fakes.attackers import (
    JSON,
    MARKUP,
    WAIT_S,
    Target,
    answered,
    attacked,
    closing,
    connected,
    heard,
    inside,
    said,
)

BODIED = {
    "/v1/messages": JSON,
    "/v1/messages/batch": JSON,
    "/v1/requests": JSON,
    "/v1/events": "application/cloudevents+json",
    "/v1/consumers/mine/pull": JSON,
    "/v1/hooks/claude-code": JSON,
    "/v1/session": JSON,
}
"""Doors that read a body, and the form that each takes."""

SOON_S = 0.1


def accepted(target: Target) -> int:
    """Return how many messages the node has let in."""
    return sum(one.accepted for one in target.node.bus.stats().subjects)


def check(path: str, status: int, body: bytes, *refused: int) -> None:
    """Fail unless a door has refused; that of hooks does so by its verdict."""
    if path == hooks.PATH:
        assert (status, b'"deny"' in body) == (200, True)
    else:
        assert (path, status in refused) == (path, True)


# Slow.


async def test_a_head_that_never_ends_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow-loris: it holds a socket for a while, and nothing else."""
    monkeypatch.setattr("bus.edge.http.serving.Guard", lambda: Guard(head_s=SOON_S))
    async with attacked() as target:
        lines = [await target.open() for _ in range(20)]
        for _, writer in lines:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
        await target.serves_others()
        for reader, writer in lines:
            assert (await answered(reader)).raw == b""
            writer.close()


async def test_a_second_head_that_never_ends_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow-loris after one good request."""
    monkeypatch.setattr("bus.edge.http.serving.HTTP_KEEPALIVE_S", 3 * SOON_S)
    async with attacked() as target:
        reader, writer = await target.open()
        head = target.head("GET /livez", Connection="keep-alive")
        writer.write(head + b"GET /livez HTTP/1.1\r\nHost: ")
        found = await answered(reader)
        while not found.closed:
            found = await answered(reader)
        writer.close()


async def test_a_body_that_never_ends_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By each door that reads one."""
    monkeypatch.setattr(asking, "HTTP_BODY_S", SOON_S)
    monkeypatch.setattr(session, "SESSION_READ_S", SOON_S)
    monkeypatch.setattr(hooks, "HOOK_READ_S", SOON_S)
    async with attacked() as target:
        for path, kind in BODIED.items():
            length = {"Content_Type": kind, "Content_Length": "100"}
            head = target.head(f"POST {path}", "planner", **length)
            found = await target.send(head, b"{")
            check(path, found.status, found.body, 400)
            assert path == hooks.PATH or b"in time" in found.body


async def test_a_body_with_a_broken_chunk_is_refused_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The chunk breaks when the handler waits for it already."""
    monkeypatch.setattr(asking, "HTTP_BODY_S", SOON_S)
    async with attacked() as target:
        chunked = {"Content_Type": JSON, "Transfer_Encoding": "chunked"}
        reader, writer = await target.open()
        writer.write(target.head("POST /v1/messages", "planner", **chunked))
        writer.write(b"2\r\n{}\r\n")
        await asyncio.sleep(SOON_S / 4)
        writer.write(b"zz\r\n")
        assert (await answered(reader)).status == 400
        writer.close()


async def test_a_body_that_breaks_off_is_no_fault_of_the_node(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Anybody could fill the log with it."""
    async with attacked() as target:
        length = {"Content_Type": JSON, "Content_Length": "100"}
        for path in ("/v1/messages", "/v1/session", hooks.PATH):
            _, writer = await target.open()
            writer.write(target.head(f"POST {path}", "planner", **length) + b"{")
            await writer.drain()
            await target.serves_others()
            writer.transport.abort()
        await target.serves_others()
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_a_websocket_that_says_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing at all, or the first part of a frame."""
    monkeypatch.setattr(ws, "Allowance", lambda: Allowance(connect_s=SOON_S))
    monkeypatch.setattr(ws, "WS_CLOSE_S", SOON_S)
    async with attacked() as target, target.running.client() as client:
        socket = await client.ws_connect("/ws", protocols=(SUBPROTOCOL,))
        assert await closing(socket) == 4400
        reader, writer = await target.open()
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": base64.b64encode(bytes(16)).decode(),
            "Sec_WebSocket_Protocol": SUBPROTOCOL,
        }
        writer.write(target.head("GET /ws", **upgrade) + b"\x81\xfe\x01")
        found = await answered(reader)
        while not found.closed:
            found = await answered(reader)
        writer.close()
        assert len(target.node.connections) == 0


# Huge, deep, compressed.


async def test_a_body_that_is_too_large_is_refused() -> None:
    """By what it says of itself, and by what comes where it says nothing."""
    chunk = b"%x\r\n" % (1 << 16) + b" " * (1 << 16) + b"\r\n"
    chunks = chunk * (HTTP_REQUEST_BYTES_MAX // (1 << 16) + 1)
    async with attacked() as target:
        for path, kind in BODIED.items():
            told = {"Content_Type": kind, "Content_Length": "1000000000000"}
            head = target.head(f"POST {path}", "planner", **told)
            if path not in {hooks.PATH, session.PATH}:  # they read up to their bound
                assert (await target.send(head)).status == 413
            told = {"Content_Type": kind, "Transfer_Encoding": "chunked"}
            head = target.head(f"POST {path}", "planner", **told)
            found = await target.send(head + chunks)
            check(path, found.status, found.body, 413)


async def test_a_body_that_is_too_deep_or_too_wide_is_refused() -> None:
    """Before anything is built of it. Of many numbers and one fault there is one look."""
    deep, wide = b"[" * 100_000, b"[" + b"[]," * 200_000 + b"[]]"
    numbers = b'{"subject":7,"body":[' + b"1.0," * 100_000 + b"1.0]}"
    async with attacked() as target:
        for path, kind in BODIED.items():
            for body in (deep, wide, numbers):
                told = {"Content_Type": kind, "Content_Length": str(len(body))}
                head = target.head(f"POST {path}", "planner", **told)
                found = await target.send(head + body)
                check(path, found.status, found.body, 400, 413)
                assert b"recursion" not in found.body


async def test_a_deep_frame_ends_its_connection_only() -> None:
    """In JSON and in MessagePack."""
    depth = 200_000
    async with attacked() as target, target.running.client("planner") as client:
        text = await connected(client)
        body = "[" * depth + "]" * depth
        frame = f'{{"op":"publish","id":1,"subject":"deep.a","body":{body}}}'
        await text.send_str(frame)
        assert await closing(text) == 4400
        binary = await client.ws_connect("/ws", protocols=(SUBPROTOCOL,))
        await binary.send_bytes(msgspec.msgpack.encode({"op": "connect"}))
        await binary.receive()
        words = ("op", "publish", "id", 1, "subject", "deep.a", "body")
        packed = b"".join(map(msgspec.msgpack.encode, words))
        await binary.send_bytes(b"\x84" + packed + b"\x91" * depth + b"\x01")
        assert await closing(binary) == 4400


@pytest.mark.parametrize("kind", ["application/json", "application/msgpack"])
async def test_a_deep_body_in_base64_is_octets_to_whoever_reads_it(kind: str) -> None:
    """Nobody's connection or page ends by it."""
    depth = 200_000
    body = b"[" * depth + b"]" * depth if kind == JSON else b"\x91" * depth + b"\x01"
    async with (
        attacked() as target,
        target.running.client("planner") as client,
        target.running.client("worker") as other,
    ):
        taker = await connected(other)
        subscribe = {"op": "subscribe", "id": 1, "sid": 1, "pattern": "deep.>"}
        await said(taker, {**subscribe, "credit": 9})
        given = {"subject": "deep.a", "content_type": kind}
        given["body_base64"] = base64.b64encode(body).decode()
        async with client.post("/v1/messages", json=given) as answer:
            message_id = (await answer.json())["message_id"]
        got = await said(taker, {"op": "ping", "id": 2})
        assert (got["op"], got["encoding"]) == ("message", "base64")
        for path in ("/v1/messages/" + message_id, "/v1/streams/default/messages"):
            async with client.get(path) as answer:
                assert answer.status == 200
                await answer.json()
        await taker.close()


async def test_a_body_that_its_reader_could_hardly_decode_is_octets() -> None:
    """It is let in, and ends no frame or page that it is in at somebody else's."""
    async with (
        attacked() as target,
        target.running.client("planner") as client,
        target.running.client("worker") as other,
    ):
        taker, sender = await connected(other), await connected(client)
        subscribe = {"op": "subscribe", "id": 1, "sid": 1, "pattern": "deep.>"}
        await said(taker, {**subscribe, "credit": 9})
        for depth, encoding in ((200, None), (900, "base64")):
            body = "[" * depth + "]" * depth
            frame = f'{{"op":"publish","id":1,"subject":"deep.a","body":{body}}}'
            await sender.send_str(frame)
            assert (await heard(sender))[0]["status"] == "accepted"
            assert (await heard(taker))[0].get("encoding") == encoding
        path = "/v1/streams/default/messages?pattern=deep.>"
        async with client.get(path) as answer:
            items = (await answer.json())["items"]
        assert ["body_base64" in item for item in items] == [False, True]
        await taker.close()
        await sender.close()


async def test_a_compressed_body_is_never_unpacked() -> None:
    """A bomb stays as small as it came, whatever it says of its coding."""
    bomb = gzip.compress(b" " * (8 << 20))
    async with attacked() as target:
        for path, kind in BODIED.items():
            for coding in ("gzip", "deflate", "br", "zstd", "gzip, identity"):
                told = {"Content_Type": kind, "Content_Length": str(len(bomb))}
                told["Content_Encoding"] = coding
                head = target.head(f"POST {path}", "planner", **told)
                found = await target.send(head + bomb)
                check(path, found.status, found.body, 415, 400)
        coded = {"Content_Type": JSON, "Transfer_Encoding": "gzip, chunked"}
        head = target.head("POST /v1/messages", "planner", **coded)
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(bomb), bomb)
        assert (await target.send(head + chunk)).status == 400


async def test_a_websocket_agrees_to_no_compression() -> None:
    """So there are no bombs, and a frame that says that it is compressed is none."""
    async with attacked() as target, target.running.client("planner") as client:
        socket = await client.ws_connect("/ws", protocols=(SUBPROTOCOL,), compress=15)
        assert socket.compress == 0
        await socket.close()
        reader, writer = await target.open()
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": base64.b64encode(bytes(16)).decode(),
            "Sec_WebSocket_Protocol": SUBPROTOCOL,
            "Sec_WebSocket_Extensions": "permessage-deflate",
        }
        writer.write(target.head("GET /ws", "planner", **upgrade))
        found = await answered(reader)
        assert (found.status, "sec-websocket-extensions" in found.head) == (101, False)
        writer.write(b"\xc1\x82\x00\x00\x00\x00{}")  # RSV1: compressed
        found = await answered(reader)
        assert found.closed
        writer.close()


async def test_a_frame_that_is_too_large_ends_its_connection_only() -> None:
    """Whole, or in pieces without end."""
    async with attacked() as target, target.running.client("planner") as client:
        socket = await connected(client)
        await socket.send_str(" " * (FRAME_BYTES_MAX + 1))
        assert await closing(socket) == 4413


# Garbled.

GARBLED = {
    "utf-16": '{"subject":"a.b","body":1}'.encode("utf-16"),
    "utf-32": '{"subject":"a.b","body":1}'.encode("utf-32"),
    "bom": b'\xef\xbb\xbf{"subject":"a.b","body":1}',
    "overlong": b'{"subject":"a.b","body":"\xc0\xaf"}',
    "surrogate in bytes": b'{"subject":"a.b","body":"\xed\xa0\x80"}',
    "surrogate escaped": b'{"subject":"a.b","body":"\\ud800"}',
    "latin-1": '{"subject":"a.b","body":"é"}'.encode("latin-1"),
    "NUL in a subject": b'{"subject":"a\\u0000b","body":1}',
    "NUL between": b'\x00{"subject":"a.b","body":1}',
    "not a number": b'{"subject":"a.b","body":NaN}',
    "two values": b'{"subject":"a.b","body":1}{"subject":"a.c","body":1}',
}


async def test_what_is_no_json_in_utf8_is_refused() -> None:
    """By HTTP and by the WebSocket, and nothing is published."""
    head = {"Content-Type": JSON}
    async with attacked() as target, target.running.client("planner") as client:
        before = accepted(target)
        for name, body in GARBLED.items():
            for path in ("/v1/messages", "/v1/session"):
                async with client.post(path, data=body, headers=head) as answer:
                    assert (name, answer.status) == (name, 400)
                    json.loads(await answer.read())
            socket = await connected(client)
            frame = body.replace(b'{"', b'{"op":"publish","id":1,"', 1)
            writer = inside(socket, "_writer")
            await writer.send_frame(frame, aiohttp.WSMsgType.TEXT)
            got = await socket.receive(timeout=WAIT_S)
            found = msgspec.json.decode(got.data)
            told = found.get("status") or found.get("op")
            assert (name, told in {"rejected", "error"}) == (name, True)
            await socket.close()
        assert accepted(target) == before


async def test_another_charset_is_refused() -> None:
    """Whatever the bytes are."""
    async with attacked() as target, target.running.client("planner") as client:
        head = {"Content-Type": "application/json; charset=utf-16"}
        async with client.post("/v1/messages", data=b"{}", headers=head) as answer:
            assert answer.status == 415


# No HTTP, or two meanings of it.

SMUGGLED = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length with a sign": b"Content-Length: +2\r\n\r\n{}",
    "a length that is two": b"Content-Length: 2, 3\r\n\r\n{}x",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "another coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a folded line": b"X-A: b\r\n c\r\n\r\n",
    "a space before the colon": b"X-A : b\r\n\r\n",
    "a bare carriage return": b"X-A: b\rX-B: c\r\n\r\n",
    "a bare line feed": b"X-A: b\nX-B: c\r\n\r\n",
    "NUL in a value": b"X-A: b\x00c\r\n\r\n",
    "a chunk with a bare line feed": b"Transfer-Encoding: chunked\r\n\r\n2;\n{}\r\n",
    "two hosts": b"Host: other\r\n\r\n",
    "a value without end": b"X-A: " + b"a" * (2 * HTTP_LINE_BYTES_MAX) + b"\r\n\r\n",
    "headers without end": b"X-A: b\r\n" * (2 * HTTP_HEADERS_MAX) + b"\r\n",
}


async def test_a_request_with_two_meanings_is_refused_and_closed() -> None:
    """What follows it is not taken as a request of its own."""
    async with attacked() as target:
        begun = target.head("POST /v1/messages", "planner", Content_Type=JSON)[:-2]
        follows = target.head("GET /livez")
        for name, rest in SMUGGLED.items():
            found = await target.send(begun + rest + follows, quiet_s=WAIT_S)
            told = (name, found.status, found.answers, found.closed)
            assert told == (name, 400, 1, True)


NO_HTTP = {
    "markup": MARKUP.encode() + b"\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "a line without end": b"GET /" + b"a" * (2 * HTTP_LINE_BYTES_MAX),
    "bytes": bytes(range(256)) * 8,
}


async def test_what_is_no_http_is_told_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of what was sent, of what the node is made of, and no trace in the log."""
    async with attacked() as target:
        for name, sent in NO_HTTP.items():
            found = await target.send(sent, quiet_s=WAIT_S)
            assert (name, found.status, found.closed) == (name, 400, True)
            assert found.head["server"] == "assent"
            assert found.head["content-type"] == "application/problem+json"
            assert found.head["x-content-type-options"] == "nosniff"
            assert msgspec.json.decode(found.body)["code"] == "malformed"
            assert "detail" not in msgspec.json.decode(found.body)
    assert [one for one in caplog.records if one.exc_info] == []


async def test_requests_without_end_on_one_line_are_answered_one_by_one() -> None:
    """Pipelined, and the client reads nothing: the node stops reading."""
    async with attacked() as target:
        _, writer = await target.open()
        path = "/v1/streams/default/messages?after=1&wait=30"
        writer.write(target.head(f"GET {path}", "planner", Connection="keep-alive"))
        writer.write(target.head("GET /livez", Connection="keep-alive") * 200_000)
        await asyncio.sleep(SOON_S)
        await target.serves_others()
        assert writer.transport.get_write_buffer_size() > 0  # held back
        writer.transport.abort()


# Paths.

TRICKS = (
    "/assets/../v1/agents",
    "/assets/..%2f..%2fetc%2fpasswd",
    "/assets/%2e%2e/%2e%2e/etc/passwd",
    "/assets/....//....//etc/passwd",
    "/assets/%2fetc%2fpasswd",
    "/assets/index.html%00.js",
    "/assets/..\\..\\etc\\passwd",
    "/assets/",
    "/assets/../index.html",
    "//v1/agents",
    "/v1//agents",
    "/v1/agents/",
    "/v1/./agents",
    "/v1/public/../agents",
    "/V1/AGENTS",
    "/v1/agents;.js",
    "/v1/agents%2f",
    "/v1%2fagents",
    "/v1/agents%00",
    "/livez/../v1/agents",
    "/livez%2f..%2fv1/agents",
    "http://elsewhere.example/v1/agents",
    "//elsewhere.example/v1/agents",
)


async def test_a_path_with_a_trick_leads_nowhere() -> None:
    """Nobody gets at a file or past the question who they are."""
    async with attacked() as target:
        for path in TRICKS:
            found = await target.send(target.head(f"GET {path}"))
            assert (path, found.status in {400, 401, 404}) == (path, True)
            assert found.head["content-type"] == "application/problem+json"


async def test_a_name_in_a_path_is_a_name_and_no_path() -> None:
    """An encoded slash, dots and NUL are looked for as they are, and not found."""
    async with attacked() as target:
        for name in ("..%2fplanner", "%2e%2e%2fplanner", "%00", "%c0%ae", "planner%00"):
            line = f"GET /v1/agents/{name}"
            found = await target.send(target.head(line, "operator"))
            assert (name, found.status) == (name, 404)


def test_the_console_serves_no_link_out_of_its_folder(tmp_path: Path) -> None:
    """What lies there is read once, whole, and a link is refused."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "assets" / "a.js").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="no file of a console"):
        inside(console, "_read")(tmp_path)
