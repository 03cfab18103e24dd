"""Strategies at work: chosen by subject, and held to the takers there are."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from bus import Failed, Message
from bus.config.settings import ChoiceSettings
from bus.ports import Candidate
from tests.fakes.buses import Inbox, PartsBus, new_bus, publish_one
from tests.fakes.busparts import Choosing

PLANS: dict[str, Callable[[Message, Sequence[Candidate]], Any]] = {
    "raises": lambda _, c: c[99],
    "a stranger": lambda _, __: [object()],
    "one that looks alike": lambda _, c: [_alike(c[0])],
    "one of them twice": lambda _, c: [c[0], c[0]],
    "one of them and a stranger": lambda _, c: [c[0], _alike(c[0])],
    "a number": lambda _, __: 7,
    "a text": lambda _, __: "worker/a",
    "names": lambda _, c: [c[0].name],
}


def _alike(candidate: Candidate) -> Any:
    class Alike(msgspec.Struct, frozen=True):
        name: str
        agent: str
        queue: str
        load: int

        def holds(self, key: str) -> bool:
            return candidate.holds(key)

    return Alike(candidate.name, candidate.agent, candidate.queue, candidate.load)


@pytest.mark.parametrize("name", PLANS)
async def test_a_strategy_that_returns_strangers_ends_the_message_as_failed(
    name: str,
) -> None:
    """A plan is some of the takers, each once; anything else delivers nothing."""
    async with PartsBus(strategy=Choosing(PLANS[name])) as bus:
        outcome, inbox = await publish_one(bus)
        assert isinstance(outcome, Failed), outcome
        assert outcome.code == "processing_failed"
        assert inbox.got == []
        assert bus.audit.events() == ["failed"]


@pytest.mark.parametrize("plan", [[], (), None])
async def test_a_strategy_that_chooses_nobody_ends_as_no_responders(plan: Any) -> None:
    """Nobody got it, and the publisher hears so."""
    async with PartsBus(strategy=Choosing(lambda _, __: plan)) as bus:
        outcome, inbox = await publish_one(bus)
        assert isinstance(outcome, Failed)
        assert outcome.code == "no_responders"
        assert inbox.got == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("direct", {"one": 6, "two": 6, "in the group": 6}),
        ("broadcast", {"one": 6, "two": 6, "in the group": 12}),
        ("competing", {"all": 6}),
        ("least_loaded", {"one": 6, "two": 6, "in the group": 6}),
        ("sticky", {"one": 6, "two": 6, "in the group": 6}),
    ],
)
async def test_strategies_are_chosen_by_subject_in_the_configuration(
    name: str, expected: dict[str, int]
) -> None:
    """Each of the built-in ones does on the bus what it is for."""
    choice = ChoiceSettings(name=name, subjects=("work.>",))
    async with new_bus(strategies=(choice,)) as bus:
        inboxes = {k: Inbox() for k in ("one", "two", "g1", "g2")}
        bus.agent("worker").subscribe("work.*", inboxes["one"])
        bus.agent("critic").subscribe("work.*", inboxes["two"])
        bus.agent("worker").subscribe("work.*", inboxes["g1"], queue="g")
        bus.agent("critic").subscribe("work.*", inboxes["g2"], queue="g")
        for n in range(6):
            await bus.agent("planner").publish("work.x", n)
        await bus.settle()
        got = {key: len(inbox.done) for key, inbox in inboxes.items()}
    found = {
        "one": got["one"],
        "two": got["two"],
        "in the group": got["g1"] + got["g2"],
        "all": sum(got.values()),
    }
    assert {key: found[key] for key in expected} == expected
