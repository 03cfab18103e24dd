"""The file of tokens: what is kept, who may read it, and two processes at it."""

import asyncio
import sqlite3
import stat
from pathlib import Path

import msgspec
import pytest

from bus.adapters import tokens as module
from bus.adapters.tokens import QuarantineRow, TokenFile, TokenRow
from bus.core.edgeerrors import ConflictError
from bus.core.edgelimits import TOKENS_ENDED_KEPT_S
from bus.core.errors import (
    ConfigurationError,
    LimitExceededError,
    StoreUnavailableError,
)
from bus.edge.tokens import Change, Tokens

NOW_NS = 10**18
ROW = TokenRow(
    id="a",
    digest=bytes(range(32)),
    agent="planner",
    tenant="acme",
    roles=("plan", "write"),
    scope="agent",
    label="a label",
    made_by="a test",
    created_ns=NOW_NS,
    expires_ns=NOW_NS + 1,
)
WARDED = QuarantineRow(agent="planner", by="warden", reason="it leaks", since_ns=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "tokens.sqlite"


def row(token_id: str, **changes: object) -> TokenRow:
    """Return a row that differs."""
    return msgspec.structs.replace(ROW, id=token_id, **changes)


def test_what_is_kept_is_read_back_by_the_next_process(path: Path) -> None:
    """Tokens with and without roles, who is quarantined, what was cut off."""
    file = TokenFile(path)
    assert file.add(ROW)
    assert file.add(row("b", roles=(), expires_ns=None))
    file.quarantine(WARDED)
    file.revoke("b", NOW_NS + 5)
    file.revoke_all("worker", 7)
    file.close()
    file.close()
    held = TokenFile(path).read()
    ended = row("b", roles=(), expires_ns=None, revoked_ns=NOW_NS + 5)
    assert held.tokens == {"a": ROW, "b": ended}
    assert held.quarantine == {"planner": WARDED}
    assert held.cut == {"worker": 7}


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """It is made so, and refused otherwise."""
    TokenFile(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(ConfigurationError, match="make it 0600"):
            TokenFile(path)


def test_what_is_no_tokens_file_is_refused(tmp_path: Path, path: Path) -> None:
    """Of a later version, something else, a folder, or nowhere."""
    with pytest.raises(ConfigurationError, match="No such file"):
        TokenFile(tmp_path / "none" / "tokens.sqlite")
    with pytest.raises(ConfigurationError):
        TokenFile(tmp_path)
    path.write_bytes(b"no database" * 100)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"tokens\.sqlite"):
        TokenFile(path)
    path.unlink()
    TokenFile(path).close()
    line = sqlite3.connect(path)
    line.execute("PRAGMA user_version = 9")
    line.close()
    with pytest.raises(ConfigurationError, match="version 9"):
        TokenFile(path)


def test_the_first_token_is_made_once() -> None:
    """Where there is any, there is none to be made, though it has ended."""
    file = TokenFile(None)
    assert file.add(ROW, first=True)
    file.revoke("a", NOW_NS)
    assert not file.add(row("b"), first=True)
    assert set(file.read().tokens) == {"a"}


def test_an_id_is_taken_once() -> None:
    """The token that has it is not replaced."""
    file = TokenFile(None)
    file.add(ROW)
    with pytest.raises(ConflictError):
        file.add(row("a", agent="spy"))
    assert file.token("a") == ROW
    assert file.token("b") is None
    assert file.revoke("b", NOW_NS) is None


def test_tokens_are_bounded_and_long_ended_ones_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Expired or revoked, whichever was first."""
    monkeypatch.setattr(module, "TOKENS_MAX", 3)
    file = TokenFile(None)
    later_ns = NOW_NS + int(TOKENS_ENDED_KEPT_S * 1e9) + 10
    file.add(row("expired"))
    file.add(row("revoked", expires_ns=None))
    file.add(row("kept", expires_ns=later_ns))
    file.revoke("revoked", NOW_NS + 1)
    with pytest.raises(LimitExceededError):
        file.add(row("more"))
    assert file.add(row("more", created_ns=later_ns))
    assert set(file.read().tokens) == {"kept", "more"}


def test_all_of_an_agent_ends_and_quarantine_is_lifted_once() -> None:
    """Ids of those that ended now; the last word on an agent counts."""
    file = TokenFile(None)
    file.add(ROW)
    file.add(row("b"))
    file.add(row("c", agent="worker"))
    file.revoke("a", 1)
    assert file.revoke_all("planner", 2) == ["b"]
    assert file.token("a") == row("a", revoked_ns=1)
    file.quarantine(WARDED)
    file.quarantine(msgspec.structs.replace(WARDED, reason="more"))
    assert file.read().quarantine["planner"].reason == "more"
    assert file.lift("planner")
    assert not file.lift("planner")


def test_a_file_that_cannot_be_written_says_so_and_changes_nothing(path: Path) -> None:
    """Another process holds it; afterwards it goes on."""
    file = TokenFile(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    file._line.execute("PRAGMA busy_timeout = 1")  # noqa: SLF001 - a test does not wait
    with pytest.raises(StoreUnavailableError, match="locked"):
        file.add(ROW)
    other.execute("ROLLBACK")
    other.close()
    assert file.read().tokens == {}
    assert file.add(ROW)


async def test_what_another_process_ends_is_taken_over(path: Path) -> None:
    """Revoked, forgotten, cut off and quarantined: each is told once."""
    file = await asyncio.to_thread(TokenFile, path)
    other = await asyncio.to_thread(TokenFile, path)
    for one in (ROW, row("b"), row("c")):
        await asyncio.to_thread(file.add, one)
    known = await asyncio.to_thread(Tokens, file, lambda: NOW_NS)
    assert await known.refresh() == Change()
    await asyncio.to_thread(other.revoke, "a", NOW_NS)
    assert await known.refresh() == Change(frozenset({"token a"}))
    assert await known.refresh() == Change()
    await asyncio.to_thread(other.quarantine, WARDED)
    assert await known.refresh() == Change(agents=frozenset({"planner"}))
    await asyncio.to_thread(other.revoke_all, "worker", 3)
    assert await known.refresh() == Change(agents=frozenset({"worker"}))
    await asyncio.to_thread(other.add, row("d"))
    assert await known.refresh() == Change()
    assert set(known.held.tokens) == {"a", "b", "c", "d"}
    await known.close()
    await asyncio.to_thread(other.close)


async def test_a_file_that_is_gone_is_unavailable(path: Path) -> None:
    """Revocations could not be seen any more, and that is said."""
    file = await asyncio.to_thread(TokenFile, path)
    known = await asyncio.to_thread(Tokens, file, lambda: NOW_NS)
    await known.close()
    with pytest.raises(StoreUnavailableError):
        await known.refresh()
