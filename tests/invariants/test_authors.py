"""5. Lineage is derived: whose messages led to one comes from the stored parents."""

from typing import Any

from bus.subscription import Delivery
from tests.fakes.buses import PartsBus
from tests.fakes.ruling import Ruling


class Hop:
    """Passes on what it gets, as its agent, and keeps the authors it saw."""

    def __init__(self, bus: PartsBus, agent: str, to: str | None) -> None:
        self._bus, self._agent, self._to = bus, agent, to
        self.authors: list[tuple[str, ...]] = []

    async def __call__(self, body: Any, delivery: Delivery) -> None:
        """Note the authors; pass it on."""
        self.authors.append(delivery.message.authors)
        if self._to is not None:
            await self._bus.agent(self._agent).publish(self._to, body)


async def test_5_authors_are_those_of_the_whole_lineage() -> None:
    """Each once, by its latest message; the sender only if it is one of them."""
    async with PartsBus(authorizer=Ruling()) as bus:
        hops = [
            Hop(bus, "critic", "two"),
            Hop(bus, "planner", "three"),
            Hop(bus, "worker", "four"),
            Hop(bus, "judge", None),
        ]
        for hop, place in zip(hops, ("one", "two", "three", "four"), strict=True):
            agent = bus.agent("reader")
            agent.subscribe(place, hop)
        await bus.agent("planner").publish("one", 1)
        await bus.settle()
    assert [hop.authors for hop in hops] == [
        [()],
        [("planner",)],
        [("planner", "critic")],
        [("critic", "planner")],
    ]


async def test_5_a_reply_descends_from_its_request() -> None:
    """So who asked is an author of what it caused."""
    seen: list[tuple[str, ...]] = []
    async with PartsBus(authorizer=Ruling()) as bus:

        async def answer(body: Any) -> Any:
            return body

        async def reads(body: Any, delivery: Delivery) -> None:
            del body
            seen.append(delivery.message.authors)

        bus.agent("worker").subscribe("ask", answer)
        bus.agent("critic").subscribe("answers", reads)
        await bus.agent("planner").publish("ask", 1, reply_to="answers")
        await bus.settle()
    assert seen == [("planner",)]
