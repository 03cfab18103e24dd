"""The roll of agents, as policy data name them: read once a revision, in slices.

Rule: kept as a few long lists, so that 100,000 agents are nothing for the garbage
collector to look through; names are in order, and a page is found by bisection.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from bus.core.edgelimits import ROWS_PER_TURN
from bus.edge.operator.inside import Inside
from bus.edge.operator.tap import Tap


class Listed(msgspec.Struct, frozen=True, gc=False):
    """An agent as policy data name it."""

    name: str
    tenant: str
    roles: tuple[str, ...]
    enabled: bool


class Sheet:
    """The agents of one tenant, or all: parallel lists in the order of `names`."""

    __slots__ = ("names", "roles", "tenants")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.tenants: list[str] = []
        self.roles: list[tuple[str, ...]] = []

    def add(self, name: str, tenant: str, roles: tuple[str, ...]) -> None:
        """Put an agent at the end."""
        self.names.append(name)
        self.tenants.append(tenant)
        self.roles.append(roles)


class Roll:
    """Who the agents of one bus are.

    Where policy is another server's, its data are not here: then those are listed that
    the bus has met, and `complete` is False.
    """

    def __init__(self, inside: Inside, tap: Tap) -> None:
        self._inside = inside
        self._tap = tap
        self._under: str | None = None
        self._all = Sheet()
        self._of_tenant: dict[str, Sheet] = {}
        self._disabled: frozenset[str] = frozenset()
        self._one = asyncio.Lock()

    @property
    def complete(self) -> bool:
        """Whether policy data are here to be read."""
        return self._inside.policy.bundle() is not None

    async def count(self, tenant: str | None) -> int:
        """Return how many agents there are."""
        return len((await self._sheet(tenant)).names)

    async def find(self, name: str) -> Listed | None:
        """Return an agent by its name."""
        sheet = await self._sheet(None)
        at = bisect_left(sheet.names, name)
        if at == len(sheet.names) or sheet.names[at] != name:
            return None
        return self._listed(sheet, at)

    async def after(
        self, tenant: str | None, cursor: str
    ) -> tuple[Sheet, Iterator[int]]:
        """Return a sheet, and the places in it that come after the name `cursor`."""
        sheet = await self._sheet(tenant)
        begin = bisect_right(sheet.names, cursor) if cursor else 0
        return sheet, iter(range(begin, len(sheet.names)))

    def at(self, sheet: Sheet, place: int) -> Listed:
        """Return the agent at a place of a sheet."""
        return self._listed(sheet, place)

    def _listed(self, sheet: Sheet, place: int) -> Listed:
        name = sheet.names[place]
        return Listed(
            name, sheet.tenants[place], sheet.roles[place], name not in self._disabled
        )

    async def _sheet(self, tenant: str | None) -> Sheet:
        async with self._one:
            revision = self._inside.bus.revision
            if not self.complete:
                await self._met()
            elif self._under != revision:
                await self._read(revision)
        return self._all if tenant is None else self._of_tenant.get(tenant, _NOBODY)

    async def _read(self, revision: str) -> None:
        bundle = self._inside.policy.bundle()
        made = _Made()
        for part in agents_in(bundle):
            made.take(part)
            await asyncio.sleep(0)
        await made.put(self)
        self._under = revision

    async def _met(self) -> None:
        """List who has been counted: policy data are elsewhere."""
        made = _Made()
        for number, (_, tenant, name) in enumerate(list(self._tap.of_agent), 1):
            if tenant:
                made.take({name: {"tenant": tenant}})
            if not number % ROWS_PER_TURN:
                await asyncio.sleep(0)
        await made.put(self)

    def put(
        self, everybody: Sheet, of_tenant: dict[str, Sheet], disabled: frozenset[str]
    ) -> None:
        """Let what was read be the roll from here on."""
        self._all, self._of_tenant = everybody, of_tenant
        self._disabled = disabled


class _Made:
    """A roll that is being made."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._same: dict[Any, Any] = {}
        self._disabled: set[str] = set()

    def take(self, part: Mapping[str, Any]) -> None:
        """Take some agents as the data have them."""
        same = self._same
        for name, told in part.items():
            roles = tuple(told.get("roles", ()))
            pair = (told["tenant"], same.setdefault(roles, roles))
            self._told[name] = same.setdefault(pair, pair)
            if not told.get("enabled", True):
                self._disabled.add(name)

    async def put(self, roll: Roll) -> None:
        """Make the sheets, and put them in place."""
        await asyncio.sleep(0)
        names = sorted(self._told)  # in order already, but for what is very large
        everybody, of_tenant = Sheet(), dict[str, Sheet]()
        for number, name in enumerate(names, 1):
            tenant, roles = self._told[name]
            everybody.add(name, tenant, roles)
            of_tenant.setdefault(tenant, Sheet()).add(name, tenant, roles)
            if not number % _NAMES_PER_TURN:
                await asyncio.sleep(0)
        roll.put(everybody, of_tenant, frozenset(self._disabled))


_NOBODY: Final = Sheet()
_NAMES_PER_TURN: Final = 4_096


def agents_in(bundle: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the agents of policy data, some at a time."""
    from policy.sliced import parts  # noqa: PLC0415 - policy is not for the whole edge

    yield from parts(bundle.sliced, "agents")
