"""The inside of a bus, as its operators see it.

Rule: only the operator API looks here. What it changes goes through an agent, or through
a method that records who ordered it.
"""

from typing import Any, Final

from bus.app import Bus
from bus.edge.caller import Caller, Scope
from bus.host import Host
from bus.ports import Clock


class Inside:
    """What operators need of one bus beside its public face."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.host: Host = bus._host  # noqa: SLF001 - operators look where agents may not
        self.reloading = bus._reloading  # noqa: SLF001 - as above: held while files change
        self.policy: Any = bus._policy  # noqa: SLF001 - as above: a Governance

    @property
    def clock(self) -> Clock:
        """The bus's clock."""
        return self.host.parts.clock

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return self.clock.now_ns()

    def record(self, event: str, caller: Caller, tenant: str, detail: str) -> None:
        """Record what a caller did that no agent could.

        Raises:
            BusNotStartedError: the record is not open; nothing was recorded.
        """
        by = f"by {caller.agent} of {caller.tenant} ({caller.credential})"
        self.bus.note(event, tenant, caller.agent, "", f"{detail}; {by}")


_NOBODYS: Final = "-"
"""No tenant is called so; the bus's own records have an empty one."""


def seen_by(caller: Caller) -> str | None:
    """Return the one tenant that exists for a caller; None is all of them."""
    return None if caller.scope is Scope.ADMIN else caller.tenant


def tenant_of(caller: Caller, wanted: str) -> str | None:
    """Return the tenant whose rows are asked for; None is all of them.

    Another tenant than the caller's own has no rows for it.
    """
    own = seen_by(caller)
    if not wanted:
        return own
    return wanted if own in {None, wanted} else _NOBODYS
