"""Which doors a node has, and what each of them is given.

Rule: the only module of the edge that knows all doors.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from bus.edge import forgetting, governing, tokenops
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.hooks.desk import Desk
from bus.edge.http import (
    api,
    console,
    described,
    hooks,
    openapi,
    session,
    watching,
    ws,
)
from bus.edge.http.app import AddRoutes
from bus.edge.http.messaging import Messaging
from bus.edge.http.who import Who
from bus.edge.identity import Identity
from bus.edge.operations import Operation
from bus.edge.operator.office import Office
from bus.edge.tokens import Tokens
from bus.ports import Clock


class Inside(msgspec.Struct, frozen=True):
    """What a node has for its doors."""

    gate: Gate
    identity: Identity
    tokens: Tokens
    connections: Connections
    who: Who
    desk: Desk
    office: Office
    now_ns: Callable[[], int]
    clock: Clock
    version: str


def of_node(inside: Inside) -> tuple[AddRoutes, ...]:
    """Return what adds the doors of a node to its application."""
    messaging = Messaging(inside.gate, inside.connections, inside.who)
    operations = tuple(_operations(inside))

    def add_operations(app: Any) -> None:
        api.add_operations(app, operations, inside.who, now_ns=inside.now_ns)

    def describe(app: Any) -> None:
        described_as = openapi.document(
            (*messaging.operations, *operations),
            version=inside.version,
            examples=described.EXAMPLES,
            paths=messaging.paths,
            schemas=described.SCHEMAS,
        )
        openapi.add_route(app, described_as)

    return (
        lambda app: session.add_routes(app, inside.identity),
        lambda app: console.add_routes(app, console.built()),
        add_operations,
        lambda app: messaging.add_routes(app, inside.now_ns),
        describe,
        lambda app: ws.add_routes(
            app,
            inside.gate,
            inside.who,
            identity=inside.identity,
            connections=inside.connections,
            clock=inside.clock,
            version=inside.version,
        ),
        lambda app: hooks.add_routes(app, inside.who, inside.desk),
        lambda app: watching.add_routes(
            app, inside.office, inside.connections, inside.who
        ),
    )


def _operations(inside: Inside) -> Iterator[Operation]:
    yield from inside.office.operations()
    yield from tokenops.operations(
        inside.gate, inside.identity, inside.tokens, now_ns=inside.now_ns
    )
    yield from governing.operations(
        inside.gate, inside.office.tap, now_ns=inside.now_ns
    )
    yield from forgetting.operations(inside.gate)
