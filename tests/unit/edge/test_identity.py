"""Who is let in by a token, who is not, and what becomes of who was let in."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.adapters.tokens import TokenFile
from bus.core.decision import Principal
from bus.core.edgeerrors import NotFoundError, UnauthenticatedError
from bus.core.edgelimits import (
    ATTEMPTS_ADDRESSES_MAX,
    ATTEMPTS_MAX,
    ATTEMPTS_S,
    CREDENTIAL_CHARS_MAX,
    REASON_CHARS_MAX,
)
from bus.core.errors import AuditStalledError, LimitExceededError, OverloadedError
from bus.edge import identity as module, tokens
from bus.edge.attempts import Attempts
from bus.edge.caller import Caller, Scope
from bus.edge.tokens import Change
from tests.fakes.identities import Desk


@pytest.fixture
def desk() -> Desk:
    """An identity with nothing kept."""
    return Desk()


async def test_a_token_is_its_agent_with_what_policy_data_say(desk: Desk) -> None:
    """Tenant and roles are those of policy; scope and end are the token's."""
    expires_ns = desk.clock.now_ns() + 10**9
    token_id, text = await desk.token(scope="operator", expires_ns=expires_ns)
    caller = await desk.ask(text)
    assert (caller.agent, caller.tenant) == ("planner", "acme")
    assert caller.roles == ("plan", "write")
    assert (caller.scope, caller.expires_ns) == (Scope.OPERATOR, expires_ns)
    assert caller.credential == f"token {token_id}"
    assert await desk.ask(text) is caller  # nothing is made twice


def test_a_token_has_256_random_bits_and_is_kept_by_its_hash_only(desk: Desk) -> None:
    """Neither the row nor the file has the text."""
    row, text = desk.row()
    secret = text.split("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    desk.file.add(row)
    kept = desk.file.token(row.id)
    assert kept == row
    assert secret not in repr(kept)
    assert bytes.fromhex(secret) not in row.digest
    assert len({tokens.mint().text for _ in range(100)}) == 100


def _wrong(text: str) -> list[tuple[str, str]]:
    last = "1" if text[-1] == "0" else "0"
    return [
        ("another secret", text[:-1] + last),
        ("another id", text.replace(text[7:23], "0" * 16)),
        ("cut short", text[:-1]),
        ("longer", text + "0"),
        ("in capitals", text.upper()),
        ("its id alone", text[:24]),
        ("no token", "x"),
        ("nothing", ""),
        ("text of another alphabet", text[:-1] + "\u0660"),
        ("a surrogate", text[:-1] + "\udc80"),
        ("far too long", "x" * (CREDENTIAL_CHARS_MAX + 1)),
        ("a JWT where there are no issuers", "a.b.c"),
    ]


async def test_whatever_is_wrong_with_a_token_is_told_in_the_same_words(
    desk: Desk,
) -> None:
    """So that nobody learns which ids there are; and each is recorded without the text."""
    _, text = await desk.token()
    for what, wrong in _wrong(text):
        with pytest.raises(
            UnauthenticatedError, match=r"^the credential is not valid$"
        ):
            await desk.ask(wrong)
        event, agent, told = desk.record[-1]
        assert (event, agent) == ("unauthenticated", ""), what
        assert told == "from 192.0.2.7: the credential is not valid"
    assert (await desk.ask(text)).agent == "planner"


async def test_no_credential_is_no_attempt(desk: Desk) -> None:
    """It is refused, and neither counted nor recorded."""
    for _ in range(ATTEMPTS_MAX + 1):
        with pytest.raises(UnauthenticatedError, match="no credential"):
            await desk.ask()
    assert desk.record == []


async def test_a_token_ends_on_time(desk: Desk) -> None:
    """To the nanosecond, and for who was let in before too."""
    _, text = await desk.token(expires_ns=desk.clock.now_ns() + 1_000)
    caller = await desk.ask(text)
    desk.clock.step(desk.clock.now_ns() + 999)
    desk.identity.still(caller)
    desk.clock.step(desk.clock.now_ns() + 1)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        await desk.ask(text)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        desk.identity.still(caller)


async def test_a_token_that_is_revoked_lets_nobody_in(desk: Desk) -> None:
    """At once; whoever listens is told, and doing it twice changes nothing."""
    told: list[Change] = []
    desk.identity.listen(told.append)
    token_id, text = await desk.token()
    caller = await desk.ask(text)
    first = await desk.identity.revoke(token_id)
    desk.advance(5)
    assert (await desk.identity.revoke(token_id)).revoked_ns == first.revoked_ns
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(text)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        desk.identity.still(caller)
    assert told == [Change(frozenset({f"token {token_id}"}))] * 2
    with pytest.raises(NotFoundError):
        await desk.identity.revoke("0" * 16)


@pytest.mark.parametrize(
    ("principal", "told"),
    [
        (None, "policy data do not name"),
        (Principal("planner", "globex", ("plan", "write")), "another tenant"),
        (Principal("planner", "acme", ("plan",)), "role 'write'"),
    ],
)
async def test_a_token_ends_when_policy_data_take_back_what_it_grants(
    desk: Desk, principal: Principal | None, told: str
) -> None:
    """Agent, tenant and every role are asked about each time."""
    _, text = await desk.token()
    caller = await desk.ask(text)
    if principal is None:
        del desk.agents["planner"]
    else:
        desk.agents["planner"] = principal
    with pytest.raises(UnauthenticatedError, match=told):
        await desk.ask(text)
    with pytest.raises(UnauthenticatedError, match=told):
        desk.identity.still(caller)


async def test_a_role_that_is_new_ends_who_was_let_in_without_it(desk: Desk) -> None:
    """Such a connection is to begin anew, with the roles of now."""
    _, text = await desk.token()
    caller = await desk.ask(text)
    desk.agents["planner"] = Principal("planner", "acme", ("plan", "write", "judge"))
    with pytest.raises(UnauthenticatedError, match="say otherwise"):
        desk.identity.still(caller)
    assert (await desk.ask(text)).roles == ("plan", "write", "judge")


async def test_a_token_may_need_fewer_roles_than_its_agent_has(desk: Desk) -> None:
    """It ends with those it names, and with no other."""
    _, text = await desk.token(roles=("plan",))
    desk.agents["planner"] = Principal("planner", "acme", ("plan",))
    assert (await desk.ask(text)).roles == ("plan",)


def test_a_caller_that_was_never_proved_is_nobody(desk: Desk) -> None:
    """Nobody vouches for what a program made by itself."""
    with pytest.raises(UnauthenticatedError, match="never proved"):
        desk.identity.still(Caller(agent="planner", tenant="acme"))


# Attempts.


async def test_wrong_credentials_of_an_address_are_limited(desk: Desk) -> None:
    """The bound is recorded once; time gives the address its attempts back."""
    _, text = await desk.token()
    wrong = text[:-1] + ("1" if text[-1] == "0" else "0")
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(UnauthenticatedError):
            await desk.ask(wrong)
    for bearer in (wrong, "x", "a.b.c", tokens.mint().text):
        with pytest.raises(OverloadedError) as caught:
            await desk.ask(bearer)
        assert 0 < caught.value.retry_after_s <= ATTEMPTS_S
    assert len(desk.record) == ATTEMPTS_MAX
    assert desk.record[-1][2].endswith("no more are looked at for now")
    # Who holds a token is not locked out by others behind the same address.
    assert (await desk.ask(text)).agent == "planner"
    with pytest.raises(UnauthenticatedError):
        await desk.ask(wrong, address="198.51.100.1")
    desk.advance(ATTEMPTS_S)
    with pytest.raises(UnauthenticatedError):
        await desk.ask(wrong)


def test_addresses_are_bounded_and_counted_by_site(desk: Desk) -> None:
    """A /64 of IPv6 is one; the one unused longest is forgotten."""
    attempts = Attempts(desk.clock.now_ns)
    for _ in range(ATTEMPTS_MAX // 2):
        attempts.failed("2001:db8::1")
        attempts.failed("2001:db8::ffff%eth0")
        attempts.failed("::ffff:192.0.2.1")
        attempts.failed("192.0.2.1")
    assert attempts.wait_s("2001:db8:0:0:1::") > 0
    assert attempts.wait_s("2001:db8:0:1::") == 0
    assert attempts.wait_s("192.0.2.1") > 0
    assert attempts.failed("not: an address") == 1
    for number in range(ATTEMPTS_ADDRESSES_MAX):
        attempts.failed(str(number))
    assert attempts.wait_s("192.0.2.1") == 0


def test_attempts_are_counted_in_windows(desk: Desk) -> None:
    """Old ones do not add up with new ones."""
    attempts = Attempts(desk.clock.now_ns)
    for _ in range(ATTEMPTS_MAX - 1):
        attempts.failed("a")
    desk.advance(ATTEMPTS_S)
    assert attempts.failed("a") == 1
    assert attempts.wait_s("a") == 0


# Quarantine.


async def test_a_quarantined_agent_is_let_in_by_nothing(desk: Desk) -> None:
    """Its tokens hold again when it is lifted; the reason is not told to it."""
    told: list[Change] = []
    desk.identity.listen(told.append)
    _, text = await desk.token()
    _, other = await desk.token("worker")
    await desk.identity.quarantine("planner", "warden", "it leaks")
    row = desk.identity.quarantined["planner"]
    assert (row.by, row.reason, row.since_ns) == (
        "warden",
        "it leaks",
        desk.clock.now_ns(),
    )
    assert told == [Change(agents=frozenset({"planner"}))]
    with pytest.raises(UnauthenticatedError, match=r"^agent planner is quarantined$"):
        await desk.ask(text)
    assert (await desk.ask(other)).agent == "worker"
    await desk.identity.lift("planner")
    assert (await desk.ask(text)).agent == "planner"
    with pytest.raises(NotFoundError):
        await desk.identity.lift("planner")
    with pytest.raises(LimitExceededError):
        await desk.identity.quarantine("planner", "w", "x" * (REASON_CHARS_MAX + 1))
    assert "planner" not in desk.identity.quarantined


async def test_all_of_an_agents_tokens_can_be_revoked_and_others_stay(
    desk: Desk,
) -> None:
    """Their ids are told, those that had ended before are not, new ones hold."""
    gone, _ = await desk.token()
    await desk.identity.revoke(gone)
    token_id, text = await desk.token()
    _, other = await desk.token("worker")
    assert await desk.identity.revoke_all("planner") == [token_id]
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(text)
    assert (await desk.ask(other)).agent == "worker"
    _, again = await desk.token()
    assert (await desk.ask(again)).agent == "planner"


# The file, changed by another process.


async def test_a_token_of_another_process_is_known_at_once(desk: Desk) -> None:
    """It is looked for in the file when it is not known; that it was made is recorded."""
    row, text = desk.row()
    await asyncio.to_thread(desk.file.add, row)
    assert (await desk.ask(text)).agent == "planner"
    told = f"token {row.id} for planner, agent; beside the node, by a test"
    assert desk.record == [("token_made", "planner", told)]
    await desk.identity.refresh()
    assert len(desk.record) == 1


async def test_what_the_record_has_no_room_for_is_ended_first_and_recorded_later(
    tmp_path: Path,
) -> None:
    """A record that is full keeps no revoked token alive, and loses nothing of it."""
    path = tmp_path / "tokens.sqlite"
    desk = await asyncio.to_thread(Desk, file=path)
    other = await asyncio.to_thread(TokenFile, path)
    told: list[Change] = []
    desk.identity.listen(told.append)
    token_id, text = await desk.token()
    row, new = desk.row("worker")
    await asyncio.to_thread(other.add, row)
    await asyncio.to_thread(other.revoke, token_id, desk.clock.now_ns())
    desk.full = True
    for _ in range(2):
        with pytest.raises(AuditStalledError):
            await desk.identity.refresh()
    assert told == [Change(frozenset({f"token {token_id}"}))]
    assert desk.record == []
    desk.full = False
    await desk.identity.refresh()
    assert [event for event, *_ in desk.record] == ["token_made", "token_revoked"]
    assert (await desk.ask(new)).agent == "worker"
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(text)
    await desk.tokens.close()
    await asyncio.to_thread(other.close)


async def test_what_another_process_changes_is_recorded_and_told(
    tmp_path: Path,
) -> None:
    """New tokens, ended ones, and agents that are kept out."""
    path = tmp_path / "tokens.sqlite"
    desk = await asyncio.to_thread(Desk, file=path)
    other = await asyncio.to_thread(TokenFile, path)
    told: list[Change] = []
    desk.identity.listen(told.append)
    token_id, text = await desk.token()
    row, _ = desk.row("worker")
    await asyncio.to_thread(other.add, row)
    await asyncio.to_thread(other.revoke, token_id, desk.clock.now_ns())
    await desk.identity.refresh()
    await desk.identity.refresh()
    assert [event for event, *_ in desk.record] == ["token_made", "token_revoked"]
    assert told == [Change(frozenset({f"token {token_id}"}))]
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(text)
    await desk.tokens.close()
    await asyncio.to_thread(other.close)


async def test_the_cache_of_callers_is_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes; nobody is refused for that."""
    monkeypatch.setattr(module, "PROOFS_CACHED_MAX", 2)
    texts = [(await desk.token())[1] for _ in range(4)]
    callers: list[Any] = [await desk.ask(text) for text in texts]
    assert await desk.ask(texts[3]) is callers[3]
    again = await desk.ask(texts[0])
    assert again is not callers[0]
    desk.identity.still(callers[0])
