"""The collector: what an answer means, when to try again, and what is never sent."""

import asyncio
import contextlib
import gzip
import hashlib
import json
import socket
import threading
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from bus.core.errors import ConfigurationError
from policy.decisionlog.collector import (
    Chunk,
    CollectorSettings,
    chunk_of,
    headers_of,
    retry_after_s,
    tls,
    verdict,
)
from policy.decisionlog.request import Answer, Request
from policy.decisionlog.settings import FileSettings, LogSettings
from policy.decisionlog.spool import Spool
from policy.decisionlog.upload import Uploader
from tests.fakes.collector import Collector

NOW_S = 1_800_000_000
NOW_NS = NOW_S * 10**9


def settings(url: str, folder: Path, **more: Any) -> CollectorSettings:
    """Return settings for a collector that is near."""
    return CollectorSettings(url=url, spool=folder / "spool", **more)


def post(chunk: Chunk, near: CollectorSettings) -> Answer:
    """Send a chunk once."""
    request = Request(near.url, tls(near), near.timeout_s)
    return request.send(headers_of(chunk, near.token_file), chunk.body)


@pytest.mark.parametrize(
    ("statuses", "means"),
    [
        ((200, 201, 202, 204, 299), "taken"),
        ((0, 301, 302, 307, 500, 501, 502, 503, 504, 599), "later"),
        ((401, 403, 404, 405, 407, 408, 421, 425, 426, 429), "later"),
        ((400, 402, 406, 409, 410, 413, 415, 418, 422, 431, 451, 499), "never"),
    ],
)
def test_a_status_says_what_becomes_of_the_events(
    statuses: tuple[int, ...], means: str
) -> None:
    """What is about the address, the token or the moment is no verdict on them."""
    assert {verdict(status) for status in statuses} == {means}


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("9" * 5000, 300.0),
        ("-1", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("٣", 0.0),
        (formatdate(NOW_S + 12, usegmt=True), 12.0),
        (formatdate(NOW_S - 12, usegmt=True), 0.0),
        (formatdate(NOW_S + 10**6, usegmt=True), 300.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(told: str, seconds: float) -> None:
    """Bounded, and nonsense says nothing."""
    assert retry_after_s(told, NOW_NS) == seconds


def test_a_chunk_is_an_array_and_the_same_each_time() -> None:
    """Its key is the hash of what is inside."""
    chunk = chunk_of(b'{"a":1}\n{"b":"x\\ny"}\n')
    array = gzip.decompress(chunk.body)
    assert json.loads(array) == [{"a": 1}, {"b": "x\ny"}]
    assert chunk.key == hashlib.sha256(array).hexdigest()
    assert chunk == chunk_of(b'{"a":1}\n{"b":"x\\ny"}\n')


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host", "an http or https address"),
        ("host:80", "an http or https address"),
        ("https://", "an http or https address"),
        ("https://host?a=b", "without a query"),
        ("https://host#a", "without a query"),
        ("https://host:99999", "Port"),
        ("https://me:secret@host", "put the token into token_file"),
        ("http://collector.example", "a token is sent by https only"),
        ("http://localhost.example", "a token is sent by https only"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(
    tmp_path: Path, url: str, said: str
) -> None:
    """Before anything is sent there."""
    with pytest.raises(ConfigurationError, match=said):
        tls(settings(url, tmp_path, token_file=tmp_path / "token"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_token_may_go_to_this_machine_in_the_clear(tmp_path: Path, host: str) -> None:
    """A collector beside us needs no certificate."""
    near = settings(f"http://{host}:8", tmp_path, token_file=tmp_path / "token")
    assert tls(near).check_hostname


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Missing, or no certificate."""
    for path in (tmp_path / "missing", tmp_path / "bad"):
        (tmp_path / "bad").write_text("no certificate")
        with pytest.raises(ConfigurationError, match=str(path)):
            tls(settings("https://host", tmp_path, ca_file=path))


def test_settings_that_cannot_be_honoured_are_refused(tmp_path: Path) -> None:
    """When they are made."""
    near = settings("http://127.0.0.1:1", tmp_path, spool_bytes=10)
    file = FileSettings(path=tmp_path / "d", keep=0)
    for more, said in (
        ({}, "a file or a collector"),
        ({"collector": near}, "spool_bytes is 2097152 or more"),
        ({"file": file}, "rotate_bytes and keep"),
        ({"file": file, "labels": {str(n): "" for n in range(65)}}, "64 labels"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            LogSettings(**{"labels": {}, **more})  # type: ignore[arg-type]  # as above


async def test_a_chunk_is_posted_as_opa_posts_it(tmp_path: Path) -> None:
    """With a token that is read each time."""
    token = tmp_path / "token"
    collector = Collector()
    async with collector.serving() as url:
        near = settings(f"{url}/", tmp_path, token_file=token)
        for word in ("one", "two"):
            await asyncio.to_thread(token.write_text, f"{word}\n")
            chunk = chunk_of(b'{"decision_id":"%s"}\n' % word.encode())
            assert (await asyncio.to_thread(post, chunk, near)).status == 200
            sent = collector.headers[-1]
            assert sent["Authorization"] == f"Bearer {word}"
            assert sent["Content-Encoding"] == "gzip"
            assert sent["Content-Type"] == "application/json"
            assert sent["Idempotency-Key"] == f'"{chunk.key}"'
    assert collector.ids == ["one", "two"]


@pytest.mark.parametrize("text", [None, "", " \n", "a\nb", "x" * 16_385, "\x07"])
def test_without_a_token_nothing_is_sent(tmp_path: Path, text: str | None) -> None:
    """It is tried again: the token may be renewed just now."""
    token = tmp_path / "token"
    if text is not None:
        token.write_text(text)
    with pytest.raises(OSError, match="token"):
        headers_of(Chunk(b"", ""), token)


class Raw:
    """A server that sends what it is told, a byte at a time, and then hangs or closes."""

    def __init__(self, text: bytes, *, hang: bool = False, first: bool = False) -> None:
        self._text, self._hang, self._first = text, hang, first
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        made, _ = self._socket.accept()
        with made, contextlib.suppress(OSError):
            if not self._first:
                made.recv(1 << 16)
            for byte in self._text:
                made.send(bytes([byte]))
                if self._end.wait(0.01 if self._hang else 0):
                    return
            if self._hang:
                self._end.wait(10)
                return
            made.shutdown(socket.SHUT_WR)
            while made.recv(1 << 16):  # closing on what is unread would reset it
                pass


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\n{}", 200, "HTTP 200"),
        (HEAD + b"\r\n" + b"x" * 10, 200, "HTTP 200"),
        (HEAD + b"Content-Length: 9999999\r\n\r\n" + b"x" * 70_000, 200, "HTTP 200"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, "HTTP 204"),
        (HEAD + b"Content-Length: 3\r\n\r\n{}", 0, "IncompleteRead"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", 0, "IncompleteRead"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 0, "IncompleteRead"),
        (HEAD[:7], 0, "BadStatusLine"),
        (b"", 0, "RemoteDisconnected"),
        (b"SSH-2.0-x\r\n", 0, "BadStatusLine"),
        (b"HTTP/1.1 abc\r\n\r\n", 0, "BadStatusLine"),
        (b"HTTP/1.1 200 " + b"x" * 70_000, 0, "LineTooLong"),
        (HEAD + b"X: y\r\n" * 300, 0, "HTTPException"),
    ],
    ids=lambda value: value[:60] if isinstance(value, bytes) else None,
)
def test_an_answer_is_whole_or_none(
    tmp_path: Path, text: bytes, status: int, said: str
) -> None:
    """What is cut off or no HTTP leaves the chunk where it is."""
    with Raw(text) as server:
        answer = post(chunk_of(b"{}\n"), settings(server.url, tmp_path))
    assert answer.status == status
    assert said in answer.trouble


@pytest.mark.parametrize("text", [b"", HEAD[:5], HEAD + b"A: " + b"b" * 10_000])
def test_a_request_ends_in_time_however_slow_the_answer(
    tmp_path: Path, text: bytes
) -> None:
    """Each byte that comes buys no more time."""
    with Raw(text, hang=True) as server:
        near = settings(server.url, tmp_path, timeout_s=0.2)
        answer = post(chunk_of(b"{}\n"), near)
    assert answer == Answer(trouble="no answer in 0.2 s")


def test_a_handshake_that_hangs_ends_in_time(tmp_path: Path) -> None:
    """TLS is part of the request."""
    with Raw(b"\x16\x03\x03\x10\x00" + b"x" * 5_000, hang=True, first=True) as server:
        url = server.url.replace("http:", "https:")
        answer = post(chunk_of(b"{}\n"), settings(url, tmp_path, timeout_s=0.2))
    assert answer == Answer(trouble="no answer in 0.2 s")


def test_a_request_can_be_cut_by_another_thread(tmp_path: Path) -> None:
    """While it waits, and before it began."""
    with Raw(b"", hang=True) as server:
        near = settings(server.url, tmp_path)
        request = Request(near.url, tls(near), 60.0)
        timer = threading.Timer(0.1, request.cut, ["given up"])
        timer.start()
        assert request.send({}, b"").trouble == "given up"
        timer.join()
    with Raw(b"") as server:
        near = settings(server.url, tmp_path)
        request = Request(near.url, tls(near), 60.0)
        request.cut("given up")
        assert request.send({}, b"").trouble == "given up"


def test_a_collector_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Nobody listens, or nobody has the name."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    answer = post(chunk_of(b"{}\n"), settings(f"http://127.0.0.1:{port}", tmp_path))
    assert "ConnectionRefusedError" in answer.trouble
    answer = post(chunk_of(b"{}\n"), settings(f"http://{'a' * 70}.invalid", tmp_path))
    assert answer.status == 0
    assert answer.trouble


def test_waits_double_up_to_a_bound_with_full_jitter(tmp_path: Path) -> None:
    """And a collector that names a time is given it."""
    near = settings(
        "http://127.0.0.1:1", tmp_path, backoff_s_base=1.0, backoff_s_max=10.0
    )
    spool = Spool(tmp_path, 1)
    waits = []
    for jitter in (0.0, 0.5, 1.0):
        sender = Uploader(spool, near, lambda: NOW_NS, partial(float, jitter))
        waits.append([sender._failed("x", "", n) for n in (0, 1, 2, 3, 4, 10**6)])  # noqa: SLF001 - the schedule, without the waiting
        assert sender._failed("x", "20", 0) == 20.0  # noqa: SLF001 - as said above
    assert waits == [[0.0] * 6, [0.5, 1, 2, 4, 5, 5], [1, 2, 4, 8, 10, 10]]
