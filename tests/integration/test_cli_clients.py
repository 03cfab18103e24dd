"""The commands that ask a node, over a node that runs beside the test."""

import asyncio
import io
import json
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bus import Delivery
from bus.cli import main
from bus.cli.output import CHECK_FAILED, OK, UNAVAILABLE, WRONG_USAGE
from bus.config.keeping import StoreSettings
from tests.fakes.nodes import Running, running_node

START_S = 20.0
Said = pytest.CaptureFixture[str]


class Beside:
    """A node with a store in memory, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.running: Running
        self._loop = asyncio.new_event_loop()
        self._over: asyncio.Event

    def run(self) -> None:
        """Run the node until told to stop."""
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with running_node(store=StoreSettings(kind="memory")) as self.running:
            self.ready.set()
            await self._over.wait()

    def do(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine where the node is, and return its result."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(START_S)

    def stop(self) -> None:
        """Have it stop."""
        self._loop.call_soon_threadsafe(self._over.set)


@contextmanager
def beside() -> Iterator[Beside]:
    """Run a node beside the block."""
    made = Beside()
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        assert made.ready.wait(START_S)
        yield made
    finally:
        made.stop()
        thread.join(START_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def node() -> Iterator[Beside]:
    """One node for all tests of the module; each uses subjects of its own."""
    with beside() as made:
        yield made


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Beside) -> None:
    """The planner's commands, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("ASSENT_CONTEXT", raising=False)
    monkeypatch.setenv("ASSENT_SERVER", node.running.url)
    monkeypatch.setenv("ASSENT_TOKEN", node.running.token("planner"))


def as_agent(monkeypatch: pytest.MonkeyPatch, node: Beside, name: str) -> None:
    """Ask as another agent from here on."""
    monkeypatch.setenv("ASSENT_TOKEN", node.running.token(name))


def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Have standard input say something."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def answer_to(capsys: Said) -> Any:
    """Return the JSON document that was printed."""
    return json.loads(capsys.readouterr().out)


def test_a_message_is_published_and_its_fate_told(capsys: Said) -> None:
    """In words and as JSON; the exit code says who must act."""
    assert main(["pub", "words.a", '{"x": 1}', "--header", "colour=red"]) == OK
    assert capsys.readouterr().out.startswith("accepted ")
    assert main(["pub", "words.a", "hello", "--dedup", "d1", "--json"]) == OK
    first = answer_to(capsys)
    assert main(["pub", "words.a", "hello", "--dedup", "d1", "--json"]) == OK
    second = answer_to(capsys)
    assert second["message_id"] == first["message_id"]
    assert second["duplicate"]
    assert main(["pub", "a..b", "1"]) == WRONG_USAGE
    assert "empty token" in capsys.readouterr().err
    assert main(["pub", "a", "1", "--header", "x"]) == WRONG_USAGE
    assert "NAME=VALUE" in capsys.readouterr().err


def test_who_may_not_is_told_why(
    capsys: Said, node: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policy's no is a check that failed, a credential's no is wrong usage."""
    as_agent(monkeypatch, node, "intern")
    assert main(["pub", "words.a", "1"]) == CHECK_FAILED
    assert main(["approve", "list"]) == CHECK_FAILED
    assert main(["sub", "secrets.>"]) == CHECK_FAILED
    monkeypatch.setenv("ASSENT_TOKEN", "none")
    assert main(["pub", "words.a", "1"]) == WRONG_USAGE
    assert main(["sub", "words.>"]) == WRONG_USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 5


def test_nobody_there_is_unavailable(
    capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over both doors."""
    monkeypatch.setenv("ASSENT_SERVER", "http://127.0.0.1:1")
    assert main(["pub", "a", "1"]) == UNAVAILABLE
    assert main(["sub", "a"]) == UNAVAILABLE
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_lines_are_published_each(
    capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over one connection, and counted by how they ended."""
    typed(monkeypatch, b'{"n": 1}\nplain\n3\n')
    assert main(["pub", "lines.a", "-", "--lines", "--json"]) == OK
    told = answer_to(capsys)
    assert (told["lines"], told["accepted"]) == (3, 3)
    typed(monkeypatch, b"1\n2\n")
    assert main(["pub", "lines..a", "-", "--lines"]) == CHECK_FAILED
    assert capsys.readouterr().out.startswith("2 lines: 2 rejected; first: bad_subject")
    typed(monkeypatch, b"\xff\n")
    assert main(["pub", "lines.a", "-", "--lines"]) == WRONG_USAGE
    assert main(["pub", "lines.a", "1", "--lines"]) == WRONG_USAGE
    assert main(["pub", "lines.a", "-", "--lines", "--dedup", "d"]) == WRONG_USAGE


def test_standard_input_is_a_body(
    capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text, JSON, or text that looks like it."""
    typed(monkeypatch, b"[1, 2]")
    assert main(["pub", "bodies.a", "-"]) == OK
    typed(monkeypatch, b"\xff")
    assert main(["pub", "bodies.a", "-"]) == WRONG_USAGE
    assert main(["pub", "bodies.a", "7", "--text"]) == OK
    capsys.readouterr()
    assert (
        main(["sub", "bodies.*", "-n", "2", "--durable", "b", "--start", "all"]) == OK
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("bodies.a planner: [1, 2]")
    assert lines[1].endswith("bodies.a planner: 7")


def test_what_was_kept_is_printed_and_acked(capsys: Said) -> None:
    """So that the next run begins after it; a message cannot control the terminal."""
    main(["pub", "news.a", '"\\u001b[31mred"'])
    main(["pub", "news.a", '{"n": 2}'])
    capsys.readouterr()
    durable = ("--durable", "reader", "--start", "all")
    assert main(["sub", "news.*", "-n", "1", *durable]) == OK
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "[31mred" in said
    assert main(["sub", "news.*", "-n", "1", *durable, "--json"]) == OK
    one = answer_to(capsys)
    assert (one["subject"], one["body"], one["sender"]) == (
        "news.a",
        {"n": 2},
        "planner",
    )
    assert main(["sub", "news.*", "--start", "all"]) == WRONG_USAGE
    assert main(["sub", "news.*", "--durable", "d", "--start", "x"]) == WRONG_USAGE


def test_a_request_prints_its_reply(capsys: Said, node: Beside) -> None:
    """Or why there is none."""

    async def serve() -> None:
        async def double(number: int) -> dict[str, int]:
            return {"twice": 2 * number}

        await node.running.node.bus.agent("worker").subscribe("double", double).ready()

    node.do(serve)
    assert main(["req", "double", "21"]) == OK
    assert capsys.readouterr().out == '{"twice": 42}\n'
    assert main(["req", "double", "21", "--json"]) == OK
    assert answer_to(capsys)["body"] == {"twice": 42}
    assert main(["req", "nobody.there", "1"]) == UNAVAILABLE


def test_a_message_is_traced(capsys: Said) -> None:
    """What happened to it, and what came of it."""
    main(["pub", "traced.a", "1", "--json"])
    message_id = answer_to(capsys)["message_id"]
    assert main(["trace", message_id]) == OK
    assert "accepted" in capsys.readouterr().out
    assert main(["tree", message_id]) == OK
    assert message_id in capsys.readouterr().out
    assert main(["tree", message_id, "--json"]) == OK
    assert answer_to(capsys)["root"]["id"] == message_id
    assert main(["trace", "0" * 32]) == WRONG_USAGE


def test_streams_and_consumers_are_listed_and_read(
    capsys: Said, node: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an operator; anybody who may subscribe reads and pulls."""
    for number in range(3):
        main(["pub", "kept.a", str(number)])
    capsys.readouterr()
    assert main(["stream", "read", "default", "--pattern", "kept.*", "--json"]) == OK
    read = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["body"] for one in read] == [0, 1, 2]
    assert main(["stream", "read", "default", "--pattern", "kept.*", "-n", "1"]) == OK
    assert capsys.readouterr().out.endswith("kept.a planner: 0\n")
    pull = ["consumer", "pull", "taker", "--pattern", "kept.*", "--start", "all"]
    assert main([*pull, "-n", "2", "--wait", "5"]) == OK
    assert capsys.readouterr().out.splitlines()[0].endswith("kept.a planner: 0")
    assert main([*pull, "--wait", "5", "--json"]) == OK
    assert answer_to(capsys)["body"] == 2
    as_agent(monkeypatch, node, "operator")
    assert main(["stream", "list"]) == OK
    assert "default" in capsys.readouterr().out
    assert main(["consumer", "list", "--json"]) == OK
    named = [one["name"] for one in answer_to(capsys)["consumers"]]
    assert any("taker" in name for name in named)
    (taker,) = [name for name in named if "taker" in name]
    assert main(["consumer", "rewind", taker]) == OK
    assert "not settled" in capsys.readouterr().out
    assert main(["consumer", "rewind", "nobody"]) == WRONG_USAGE


def test_dead_letters_are_shown_and_sent_once_more(
    capsys: Said, node: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same body, or another one."""
    got: list[Any] = []

    async def serve() -> None:
        async def work(body: Any, delivery: Delivery) -> None:
            got.append(body)
            if body == "bad":
                delivery.term("not this")

        await node.running.node.bus.agent("operator").subscribe("die.a", work).ready()

    node.do(serve)
    main(["pub", "die.a", "bad"])
    as_agent(monkeypatch, node, "operator")
    capsys.readouterr()
    letters: list[Any] = []
    while not letters:
        assert main(["dead", "list", "--json"]) == OK
        letters = answer_to(capsys)["letters"]
    assert letters[0]["reason"] == "not this"
    assert main(["dead", "list"]) == OK
    assert main(["dead", "show", letters[0]["id"]]) == OK
    assert "body: bad" in capsys.readouterr().out
    assert main(["dead", "resend", letters[0]["id"], "--body", "good"]) == OK
    assert capsys.readouterr().out.startswith("accepted ")
    assert main(["dead", "show", "999999"]) == WRONG_USAGE


def test_a_node_is_overlooked_from_afar(
    capsys: Said, node: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own picture."""
    as_agent(monkeypatch, node, "operator")
    server = ("--server", node.running.url)
    assert main(["top", *server]) == OK
    assert "healthy" in capsys.readouterr().out
    assert main(["top", *server, "--json"]) == OK
    assert answer_to(capsys)["durable"] is True
    assert main(["approve", "list"]) == OK
    assert main(["approve", "release", "0" * 32, "--reason", "x"]) == WRONG_USAGE
    assert main(["approve", "refuse", "0" * 32, "--reason", "x"]) == WRONG_USAGE
