"""docs/reference/websocket.md says what is: its conversation is held with a session."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from bus.config.keeping import StoreSettings
from bus.core import clientframes as client, serverframes as server
from bus.edge import asyncapi
from bus.edge.session import house
from bus.edge.session.states import MOVES, TRANSITIONS
from bus.testing import TestBus
from tests.fakes.buses import data, new_bus, reload
from tests.fakes.lines import Bench, FakeLine
from tests.tidy.repository import ROOT

PAGE = (ROOT / "docs/reference/websocket.md").read_text()
DOCUMENT = ROOT / "docs/reference/asyncapi.json"
STEP = re.compile(r"^(\w+) ([<>!=]) (.*)$")


def steps() -> Iterator[tuple[str, str, str]]:
    """Return what is said on the page: who, in which direction, and what."""
    for block in re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            found = STEP.match(line)
            assert found is not None, line
            yield found[1], found[2], found[3]


def fits(shown: Any, sent: Any) -> bool:
    """Tell whether what was sent is what is shown; `...` is anything."""
    if shown == "...":
        return True
    if isinstance(shown, dict) and isinstance(sent, dict):
        return {name for name, value in shown.items() if value != "..."} <= set(
            sent
        ) <= set(shown) and all(
            fits(shown[name], value) for name, value in sent.items()
        )
    return bool(shown == sent)


class Conversation:
    """Holds the page's conversation with sessions over a bus."""

    def __init__(self, bus: TestBus, bench: Bench, given: dict[str, Any]) -> None:
        self._bus = bus
        self._bench = bench
        self._given = given
        self.lines: dict[str, FakeLine] = {}
        self.told: dict[str, list[dict[str, Any]]] = {}

    async def step(self, who: str, way: str, what: str) -> None:
        """Say, or compare with what was heard."""
        if way == "!":
            await self._act(what)
        elif way == ">":
            if who not in self.lines:
                self.lines[who], self.told[who] = self._bench.line(), []
            self.lines[who].say_raw(what.encode())
            await self._bus.advance(0.0)
        elif way == "=":
            assert self.lines[who].over == int(what)
        for name, line in self.lines.items():
            self.told[name] += line.news()
        if way == "<":
            assert self.told[who], f"{who} was not sent {what}"
            sent = self.told[who].pop(0)
            assert fits(msgspec.json.decode(what), sent), f"{what}\n{sent}"

    async def _act(self, what: str) -> None:
        verb, *rest = what.split()
        if verb == "drain":
            self._bench.connections.drain(float(rest[0]))
        elif verb == "second":
            await self._bus.advance(1.0)
        else:
            self._given["roles"]["all"]["subscribe"] = ["tasks.>"]
            await reload(self._bus)
            await self._bus.advance(1.5)
        await self._bus.settle()


async def test_the_conversation_of_the_page_goes_as_it_says() -> None:
    """Every line, in order, and nothing beside them."""
    given = data()
    bus = new_bus(given, store=StoreSettings(kind="memory"))
    async with bus, Bench(bus, bus.clock).running() as bench:
        held = Conversation(bus, bench, given)
        for step in steps():
            await held.step(*step)
        assert held.told == {"planner": [], "worker": []}


def test_the_page_shows_every_frame() -> None:
    """Of both directions."""
    shown = set()
    for _, way, what in steps():
        if way in "<>":
            found = msgspec.json.decode(what)
            for item in found if isinstance(found, list) else [found]:
                shown.add((way, item["op"]))
    for way, union in ((">", client.FromClient), ("<", server.FromServer)):
        for frame in asyncapi.frames_of(union):
            assert (way, frame.__struct_config__.tag) in shown, frame


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    """Row for row, and every code that a connection closes with."""
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
    life = [
        (state.value, event.value, after.value)
        for (state, event), after in TRANSITIONS.items()
    ]
    moves = [
        (stage.value, event.value, after.value)
        for (stage, event), after in MOVES.items()
    ]
    assert [row for row in rows if row != ("state", "event", "then")] == life + moves
    codes = {int(code) for code in re.findall(r"^\| (\d{4}) \|", PAGE, re.MULTILINE)}
    fixed = (house.BROKEN, house.SLOW, house.RESUMED)
    ours = {*house.CODES.values(), *(end.code for end in fixed)}
    assert codes == ours | {house.PROTOCOL, house.KIND, house.LATER, 1009}


def test_the_asyncapi_document_is_current() -> None:
    """`python -m bus.edge.asyncapi > docs/reference/asyncapi.json` makes it so."""
    assert DOCUMENT.read_text() == asyncapi.text()


def test_every_message_of_the_asyncapi_document_is_used() -> None:
    """By an operation: none is described that is never sent."""
    document = asyncapi.document()
    text = msgspec.json.encode(document["operations"]).decode()
    for name in document["components"]["messages"]:
        assert f"messages/{name}" in text, name
