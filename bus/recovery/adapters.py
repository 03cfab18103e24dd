"""Components made of two callables: one that tells, one that acts.

Rule: a check may be given as the bus has them, `() -> (ok, words)`, or as an awaited call
that raises; anything but a plain True is unwell.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from bus.core.recovering import Kind
from bus.recovery.component import UnwellError

Check = Callable[[], Coroutine[Any, Any, None]]
Act = Callable[[], Coroutine[Any, Any, None]]


class Part:
    """Implements `Component`: `check` raises what is wrong, `act` brings it back."""

    def __init__(
        self, name: str, kind: Kind, *, action: str, check: Check, act: Act
    ) -> None:
        self.name = name
        self.kind = kind
        self.action = action
        self.check = check
        self.recover = act


def telling(health: Callable[[], tuple[bool, str]]) -> Check:
    """Return an awaited check made of one that returns whether a part is well, and words."""

    async def check() -> None:
        ok, text = health()
        if ok is not True:
            raise UnwellError(text)

    return check


def reopen(name: str, check: Check, act: Act, *, kind: Kind = Kind.STORE) -> Part:
    """Return a part that is closed and opened again: a store, a log, a sink."""
    return Part(name, kind, action="reopen", check=check, act=act)


def reconnect(
    name: str, check: Check, act: Act, *, kind: Kind = Kind.CONNECTION
) -> Part:
    """Return a part at the other end of a connection: a policy server, a collector."""
    return Part(name, kind, action="reconnect", check=check, act=act)


def restart(name: str, check: Check, act: Act, *, kind: Kind = Kind.WORKER) -> Part:
    """Return a part whose worker is started again."""
    return Part(name, kind, action="restart", check=check, act=act)


def resubscribe(name: str, check: Check, act: Act) -> Part:
    """Return a subscription that is made again."""
    return Part(name, Kind.SUBSCRIPTION, action="resubscribe", check=check, act=act)


def rewind(name: str, check: Check, act: Act) -> Part:
    """Return a consumer that goes back to its last ack."""
    return Part(name, Kind.SUBSCRIPTION, action="rewind", check=check, act=act)
