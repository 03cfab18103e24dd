"""Sessions of browsers: what they stand for, and how they end."""

import pytest

from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import SESSIONS_MAX, SESSIONS_OF_CREDENTIAL_MAX
from bus.core.errors import OverloadedError
from bus.edge.caller import Presented, Scope
from bus.edge.proofs import Proof
from bus.edge.sessions import Sessions
from bus.edge.tokens import Change
from tests.fakes.identities import ADDRESS, SESSION_S, Desk

PROOF = Proof(credential="token a", agent="planner")


@pytest.fixture
def desk() -> Desk:
    """An identity with nothing kept."""
    return Desk()


async def test_a_session_stands_for_its_token(desk: Desk) -> None:
    """With the same rights, under a name of its own, until it is signed out."""
    token_id, text = await desk.token(scope="admin")
    shown = Presented(address=ADDRESS, bearer=text)
    value, session, caller = await desk.identity.sign_in(shown)
    told: list[Change] = []
    desk.identity.listen(told.append)
    assert await desk.ask(session=value) is caller
    assert caller.scope is Scope.ADMIN
    assert caller.credential.endswith(f" of token {token_id}")
    assert value not in caller.credential
    assert caller.expires_ns == session.expires_ns
    assert session.csrf not in {value, caller.credential}
    desk.identity.sign_out(value)
    assert told == [Change(frozenset({caller.credential}))]
    with pytest.raises(UnauthenticatedError, match="sign in again"):
        await desk.ask(session=value)
    with pytest.raises(UnauthenticatedError, match="has ended"):
        desk.identity.still(caller)
    desk.identity.sign_out(value)
    assert len(told) == 1
    assert (await desk.ask(text)).agent == "planner"


async def test_a_session_ends_with_its_token(desk: Desk) -> None:
    """Revoked, or over: nobody goes on with its cookie."""
    token_id, text = await desk.token(expires_ns=desk.clock.now_ns() + 10**9)
    shown = Presented(address=ADDRESS, bearer=text)
    value, session, caller = await desk.identity.sign_in(shown)
    assert session.expires_ns == desk.clock.now_ns() + 10**9
    await desk.identity.revoke(token_id)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(session=value)
    desk.advance(1)
    with pytest.raises(UnauthenticatedError, match="sign in again"):
        await desk.ask(session=value)
    with pytest.raises(UnauthenticatedError):
        desk.identity.still(caller)


async def test_a_session_ends_on_time(desk: Desk) -> None:
    """However long its token holds."""
    _, text = await desk.token()
    shown = Presented(address=ADDRESS, bearer=text)
    value, session, _ = await desk.identity.sign_in(shown)
    assert desk.sessions.guards(value, session.csrf)
    desk.advance(SESSION_S)
    with pytest.raises(UnauthenticatedError):
        await desk.ask(session=value)
    assert not desk.sessions.guards(value, session.csrf)
    assert not desk.sessions.lives(session.proof.session)


def test_only_its_own_csrf_token_guards_a_session(desk: Desk) -> None:
    """Another session's, none, an empty one, and odd text do not."""
    value, session = desk.sessions.begin(PROOF)
    _, other = desk.sessions.begin(PROOF)
    assert desk.sessions.guards(value, session.csrf)
    for wrong in (other.csrf, None, "", value, "\udc80", session.csrf[:-1]):
        assert not desk.sessions.guards(value, wrong)
    assert not desk.sessions.guards("no session", "")
    assert not desk.sessions.guards("no session", None)


def test_a_credential_has_so_many_sessions_and_the_oldest_ends(desk: Desk) -> None:
    """Signing in again is never refused for one's own sessions."""
    values = [desk.sessions.begin(PROOF)[0] for _ in range(SESSIONS_OF_CREDENTIAL_MAX)]
    newest, _ = desk.sessions.begin(PROOF)
    assert desk.sessions.find(values[0]) is None
    assert all(desk.sessions.find(value) for value in (*values[1:], newest))


def test_sessions_are_bounded_and_those_that_ended_make_room(desk: Desk) -> None:
    """Past the bound nobody signs in until one ends."""
    sessions = Sessions(desk.clock.now_ns, 10)
    for number in range(SESSIONS_MAX):
        sessions.begin(Proof(credential=str(number), agent="planner"))
    with pytest.raises(OverloadedError):
        sessions.begin(PROOF)
    desk.advance(10)
    value, _ = sessions.begin(PROOF)
    assert sessions.proof(value) is not None
