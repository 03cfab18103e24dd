"""The control channel: whom it listens to, what it bears, and what comes back."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from bus.adapters import control
from bus.adapters.control import client, wire
from bus.adapters.control.client import (
    ControlFaultError,
    ControlLaterError,
    ControlRefusedError,
    ControlUnavailableError,
    ControlUsageError,
)
from bus.core.errors import (
    BusError,
    ConfigurationError,
    DeniedError,
    LimitExceededError,
    MalformedMessageError,
    UnavailableError,
    UsageError,
)
from bus.core.operatinglimits import (
    CONTROL_CONNECTIONS_MAX,
    CONTROL_PATH_BYTES_MAX,
    CONTROL_REQUEST_BYTES_MAX,
)
from tests.fakes.buses import Background

T = TypeVar("T")

PATH = Path("op.sock")  # relative: the path of a socket is short
SERVER = "bus.adapters.control.server"


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments and result of the command below."""

    text: str


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def echo(said: Said) -> Said:
    """Say it again."""
    return said


@asynccontextmanager
async def served(
    uid: int | None = None, **more: Callable[[dict[str, Any]], Awaitable[object]]
) -> AsyncIterator[None]:
    """Serve `echo` and more at PATH."""
    commands = {"echo": control.command(Said, echo), **more}
    async with control.serve(PATH, commands, uid=uid):
        yield


async def off(function: Callable[..., T], *arguments: Any, **more: Any) -> T:
    """Do what blocks where it blocks nobody."""
    return await asyncio.to_thread(function, *arguments, **more)


async def ask(name: str, **arguments: Any) -> Any:
    """Ask as a command of the command line does: from elsewhere, blocking."""
    return msgspec.json.decode(await off(client.ask, PATH, name, arguments))


async def raw(data: bytes, *, end: bool = True) -> wire.Response:
    """Send bytes as they are; return what is answered."""
    reader, writer = await asyncio.open_unix_connection(PATH)
    writer.write(data)
    if end:
        writer.write_eof()
    line = await reader.read()
    writer.close()
    await writer.wait_closed()
    return wire.read_response(line)


def raising(error: Exception) -> Callable[[dict[str, Any]], Awaitable[object]]:
    """Return a command that fails so."""

    async def fail(_: dict[str, Any]) -> object:
        raise error

    return fail


async def test_a_command_is_carried_out_and_answered() -> None:
    """In JSON, as often as it is asked, beside others."""
    async with served(), asyncio.TaskGroup() as group:
        asked = [
            group.create_task(ask("echo", text=str(number)))
            for number in range(2 * CONTROL_CONNECTIONS_MAX)
        ]
    assert [task.result()["text"] for task in asked] == [
        str(number) for number in range(2 * CONTROL_CONNECTIONS_MAX)
    ]


async def test_the_socket_is_its_owners_and_goes_at_the_end() -> None:
    """Mode 0600 from the start; no file is left but the lock."""
    async with served():
        assert (await off(PATH.stat)).st_mode & 0o777 == 0o600
    assert await off(os.listdir) == ["op.sock-lock"]


async def test_without_a_path_nothing_is_served() -> None:
    """The channel is closed unless the settings name a socket."""
    async with control.serve(None, {}):
        assert await off(os.listdir) == []


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (UsageError("no such thing"), ControlUsageError, "usage"),
        (UnavailableError("not now"), ControlLaterError, "unavailable"),
        (
            DeniedError(("not you",), decision_id="d", revision="r"),
            ControlRefusedError,
            "denied",
        ),
    ],
)
async def test_an_error_comes_back_as_its_code_and_text(
    error: Exception, raised: type[BusError], code: str
) -> None:
    """Of the class that says who must act."""
    async with served(fail=raising(error)):
        with pytest.raises(raised, match=f"{code}: {error}") as told:
            await ask("fail")
        assert (await ask("echo", text="still there")) == {"text": "still there"}
    assert getattr(told.value, "reason_code", "") == code


async def test_a_fault_keeps_its_text_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who asked learns that it failed here, and the log why."""
    async with served(fail=raising(OSError("a secret"))):
        with pytest.raises(ControlFaultError, match=r"^OSError in the bus$"):
            await ask("fail")
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        b"nothing like it\n",
        b"\xff\xfe\n",
        b'{"command":"echo"',
        b'{"command":"echo","arguments":{},"more":1}\n',
        b'{"command":"echo","arguments":{"text":1}}\n',
        b'{"command":"echo","arguments":{"text":"a","more":1}}\n',
        b'{"command":"echo","arguments":{"text":"a"}}\n{"command":"echo"}\n',
        b"[" * 5_000 + b"\n",
    ],
)
async def test_what_is_no_request_is_refused(data: bytes) -> None:
    """As malformed, and nothing is carried out."""
    async with served():
        answer = await raw(data)
        assert (answer.ok, answer.code, answer.acts) == (False, "malformed", "usage")


async def test_an_unknown_command_is_refused_with_the_near_one() -> None:
    """As everywhere."""
    async with served():
        with pytest.raises(ControlUsageError, match="'echo'"):
            await ask("ehco")


async def test_a_request_is_bounded() -> None:
    """On both sides."""
    async with served():
        answer = await raw(b"x" * (CONTROL_REQUEST_BYTES_MAX + 1), end=False)
        assert answer.code == "limit_exceeded"
        with pytest.raises(LimitExceededError, match="request bytes"):
            await ask("echo", text="x" * CONTROL_REQUEST_BYTES_MAX)


async def test_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its bound it is an error that says so."""
    monkeypatch.setattr(wire, "CONTROL_RESPONSE_BYTES_MAX", 1_000)
    async with served():
        with pytest.raises(ControlUsageError, match="answer bytes"):
            await ask("echo", text="x" * 1_000)


async def test_a_client_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told, and its place is free again."""
    monkeypatch.setattr(f"{SERVER}.CONTROL_READ_S", 0.01)
    monkeypatch.setattr(f"{SERVER}.CONTROL_CONNECTIONS_MAX", 1)
    async with served():
        for _ in range(3):
            answer = await raw(b"", end=False)
            assert "no whole request" in answer.text


async def test_a_command_that_takes_too_long_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And says so; its own time-out is its own."""
    monkeypatch.setattr(f"{SERVER}.CONTROL_COMMAND_S", 0.01)
    ended: list[str] = []

    async def hang(_: dict[str, Any]) -> object:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return None

    async with served(hang=hang, fail=raising(TimeoutError("of its own"))):
        with pytest.raises(ControlLaterError, match="hang took longer"):
            await ask("hang")
        with pytest.raises(ControlFaultError, match="TimeoutError"):
            await ask("fail")
    assert ended == ["cancelled"]


async def test_a_command_under_way_ends_before_the_channel_does() -> None:
    """Who asked gets the answer."""
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow(_: dict[str, Any]) -> object:
        begun.set()
        await gate.wait()
        return Said("done")

    async with Background() as background:
        async with served(slow=slow):
            asked = background.run(ask("slow"))
            await begun.wait()
            asyncio.get_running_loop().call_soon(gate.set)
        assert await asked == {"text": "done"}


async def test_a_command_that_does_not_end_is_cancelled_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopping is not held up by it."""
    monkeypatch.setattr(f"{SERVER}.CONTROL_STOP_S", 0.01)
    begun = asyncio.Event()

    async def hang(_: dict[str, Any]) -> object:
        begun.set()
        await asyncio.Event().wait()
        return None

    async with Background() as background:
        async with served(hang=hang):
            asked = background.run(ask("hang"))
            await begun.wait()
        assert isinstance(await asked, MalformedMessageError | ControlUnavailableError)


async def test_a_client_that_goes_away_harms_nobody() -> None:
    """It asks and does not wait for the answer."""
    async with served():
        for _ in range(2 * CONTROL_CONNECTIONS_MAX):
            _, writer = await asyncio.open_unix_connection(PATH)
            writer.write(wire.request_line("echo", {"text": "x" * 10_000}))
            writer.close()
            await writer.wait_closed()
        assert await ask("echo", text="there") == {"text": "there"}


async def test_out_of_handles_it_takes_connections_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An accept that fails is tried again."""
    monkeypatch.setattr(f"{SERVER}.CONTROL_RETRY_S", 0.001)
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [OSError(24, "Too many open files")] * 2

    async def failing(listener: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", failing)
    async with served():
        assert await ask("echo", text="there") == {"text": "there"}
    assert "cannot take a connection" in caplog.text


async def test_only_the_owner_and_root_are_listened_to() -> None:
    """Whoever else gets at the socket is refused before a word of theirs is read."""
    other = 65_534
    if os.getuid() == 0:  # root may always: somebody else has to ask
        async with served():
            said = await off(_asked_as, other)
        assert b"user 65534 may not command this bus" in said
        assert b'"code":"denied"' in said
        return
    async with served(uid=other):
        with pytest.raises(ControlRefusedError, match="may not command"):
            await ask("echo", text="let me in")


def _asked_as(uid: int) -> bytes:
    """Ask as another user, in a process of its own."""
    PATH.chmod(0o666)
    Path.cwd().chmod(0o711)
    code = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(10)\n"
        f"os.setuid({uid}); s.connect('op.sock')\n"
        "sys.stdout.buffer.write(s.recv(9999))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False
    ).stdout


async def test_a_socket_of_a_dead_process_is_replaced() -> None:
    """What `kill -9` leaves does not stop the next start."""
    code = (
        "import os, socket, fcntl\n"
        "lock = os.open('op.sock-lock', os.O_CREAT | os.O_RDWR)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('op.sock'); s.listen()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    await off(subprocess.run, [sys.executable, "-c", code], check=False)
    assert await off(PATH.is_socket)
    async with served():
        assert await ask("echo", text="mine") == {"text": "mine"}


async def test_a_socket_of_a_live_process_refuses_the_start() -> None:
    """Two of ours by the lock; another program by its answer."""
    async with served():
        with pytest.raises(ConfigurationError, match="another process serves there"):
            async with served():
                pass
        assert await ask("echo", text="unharmed") == {"text": "unharmed"}
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(os.fspath(PATH))
        theirs.listen()
        with pytest.raises(ConfigurationError, match="another process serves there"):
            async with served():
                pass
        assert await off(PATH.is_socket)


async def test_what_is_no_socket_is_never_removed() -> None:
    """A wrong path in the settings costs no file."""
    await off(PATH.write_text, "a letter")
    with pytest.raises(ConfigurationError, match="no socket is there"):
        async with served():
            pass
    assert await off(PATH.read_text) == "a letter"


@pytest.mark.parametrize(
    "path", ["nowhere/op.sock", "x" * (CONTROL_PATH_BYTES_MAX + 1)]
)
async def test_a_path_that_cannot_be_served_refuses_the_start(path: str) -> None:
    """By the name of the setting."""
    with pytest.raises(ConfigurationError, match=r"^control\.socket: "):
        async with control.serve(Path(path), {}):
            pass


async def test_a_place_that_cannot_be_told_of_refuses_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something odd is there, or nothing can be: the lock is free again at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as odd:
        odd.bind(os.fspath(PATH))
        with pytest.raises(ConfigurationError, match=r"^control\.socket: op\.sock: "):
            async with served():
                pass
    await off(PATH.unlink)
    long = "x" * (CONTROL_PATH_BYTES_MAX + 1)
    monkeypatch.setattr("bus.adapters.control.claiming.CONTROL_PATH_BYTES_MAX", 999)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="too long"):
            async with control.serve(Path(long), {}):
                pass


async def test_a_lock_that_leads_elsewhere_refuses_the_start() -> None:
    """In a folder that others may write to, a link could name any file."""
    await off(os.symlink, "elsewhere", "op.sock-lock")
    with pytest.raises(ConfigurationError, match=r"^control\.socket: "):
        async with served():
            pass
    assert await off(os.listdir) == ["op.sock-lock"]


async def test_a_socket_that_another_has_replaced_is_left_alone() -> None:
    """What is removed at the end is our own, or nothing."""
    async with served():
        await off(PATH.unlink)
        await off(PATH.write_text, "somebody else's")
    assert await off(PATH.read_text) == "somebody else's"
    await off(PATH.unlink)
    async with served():
        await off(PATH.unlink)


async def test_where_no_bus_is_the_client_says_so() -> None:
    """No file, a dead socket, or something that hangs up."""
    with pytest.raises(ControlUnavailableError, match="no bus answers there"):
        await ask("echo", text="hello")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(PATH))
    with pytest.raises(ControlUnavailableError, match="no bus answers there"):
        await ask("echo", text="hello")
    with pytest.raises(ControlUnavailableError, match="Not a directory"):
        await off(client.ask, PATH / "below", "echo", {})


async def test_a_client_takes_no_answer_without_end_and_waits_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What answers at the socket may be anything."""
    monkeypatch.setattr(client, "CONTROL_RESPONSE_BYTES_MAX", 1_000)
    said = b"y" * 2_000

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(babble, PATH):
        with pytest.raises(LimitExceededError, match="answer bytes"):
            await ask("echo", text="hello")
        said = b"hello\n"
        with pytest.raises(MalformedMessageError, match="not an answer of a bus"):
            await ask("echo", text="hello")


async def test_a_client_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus that hangs is one that does not answer."""
    for name in ("CONTROL_COMMAND_S", "CONTROL_READ_S"):
        monkeypatch.setattr(client, name, 0.01)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(PATH))
        silent.listen()
        with pytest.raises(ControlUnavailableError, match="no answer in time"):
            await ask("echo", text="hello")


async def test_a_system_that_does_not_tell_who_connects_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is listened to whose name is not known."""
    monkeypatch.delattr(socket, "SO_PEERCRED")
    with pytest.raises(ConfigurationError, match="does not tell who connects"):
        async with served():
            pass


async def test_a_channel_that_fails_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The bus goes on without it, and whoever reads the log knows."""
    failed = asyncio.Event()

    async def failing(_: socket.socket) -> Any:
        failed.set()
        raise ValueError("no such thing")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", failing)
    async with served():
        await failed.wait()
    assert "takes no more commands" in caplog.text
