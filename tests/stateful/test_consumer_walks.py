"""Long seeded walks of the machine of one consumer: they reach what short ones do not.

A failure names its seed; `walk(seed)` takes the same steps again.
"""

import random
from collections.abc import Callable

import pytest

from tests.stateful.test_consumer_machine import (
    AGENTS,
    ConsumerMachine,
    have_small_pages,
)

SEEDS = 200
STEPS = (15, 40, 70)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of three, so that a few messages are many."""
    have_small_pages(monkeypatch)


def walk(seed: int) -> None:
    """Take random steps, and compare after each and in the end."""
    draw, machine = random.Random(seed), ConsumerMachine()  # noqa: S311 - it is to be repeated
    machine.start()
    steps: dict[Callable[[], object], float] = {
        lambda: machine.publish(
            key=draw.choice([None, "k"]), delay=draw.choice([None, None, None, 1])
        ): 8,
        lambda: machine.hold_commits(really=True): 1,
        lambda: machine.release_some(count=draw.randint(1, 4)): 2,
        machine.release: 2,
        machine.refuse_held: 0.5,
        lambda: machine.gate_pages(shut=draw.random() < 0.5): 1.5,
        lambda: settle_any(machine, draw): 6,
        lambda: machine.come(who=draw.choice(AGENTS), at_once=draw.randint(1, 3)): 2,
        lambda: machine.leave(who=draw.choice(AGENTS)): 1,
        lambda: machine.wait(seconds=draw.choice([0.4, 1.5])): 2,
        machine.rewind: 1,
        lambda: machine.crash(really=True): 0.4,
    }
    try:
        for _ in range(draw.choice(STEPS)):
            draw.choices(list(steps), list(steps.values()))[0]()
            machine.one_of_a_key_is_in_hand()
            machine.memory_is_bounded()
    finally:
        machine.teardown()


def settle_any(machine: ConsumerMachine, draw: random.Random) -> None:
    """Have one handler do something with what it has."""
    if machine.hands:
        said = draw.choice(["ack", "ack", "nak", "fail", "term"])
        draw.choice(machine.hands).say.set_result(said)
        machine.settle()


@pytest.mark.parametrize("first", range(0, SEEDS, 25))
def test_whatever_is_done_in_whatever_order_nothing_is_lost(first: int) -> None:
    """Nor handed out twice, out of order, or counted wrongly."""
    for seed in range(first, first + 25):
        try:
            walk(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
