"""Decisions explained in a process of their own: bounded, and ended."""

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from bus.core.edgelimits import EXPLAINER_IDLE_S, EXPLAINERS_MAX
from bus.core.errors import BusNotStartedError, MalformedMessageError, UnavailableError
from bus.edge.operator import explaining
from bus.edge.operator.explaining import Explainers
from bus.testing import FakeClock
from policy.bundle import Bundle, Origin
from policy.loading import sample_message
from policy.source import Source
from tests.fakes.nodes import data


def bundle(text: str = "") -> Bundle:
    """Return the built-in policy, or one file of rules."""
    if not text:
        return Origin(data()).read()
    return Bundle((Source("own.rego", text),), {"agents": {}}, "data", built_in=False)


def question(agent: str = "planner") -> str:
    """Return a question."""
    document: dict[str, Any] = {
        "action": "publish",
        "principal": {"id": agent, "tenant": "acme", "roles": []},
        "message": sample_message("acme", "publish"),
    }
    return msgspec.json.encode(document).decode()


async def test_a_decision_is_explained_and_the_process_kept() -> None:
    """The rules are known without asking it again."""
    made = await asyncio.to_thread(bundle)
    explainers = Explainers(FakeClock())
    try:
        found = await explainers.explain(made, question())
        assert found.allow
        assert (await explainers.explain(made, question("intern"))).allow is False
        rules = await explainers.rules(made)
        assert {one.file for one in rules} == {"authz.rego", "subjects.rego"}
        assert {one.value for one in rules} == {None}
    finally:
        await explainers.close()
    assert await explainers.rules(made) == rules
    with pytest.raises(BusNotStartedError):
        await explainers.explain(made, question())


async def test_only_so_many_are_kept_and_none_that_is_idle() -> None:
    """The one longest unused is ended."""
    clock = FakeClock()
    explainers = Explainers(clock)
    texts = [f"package assent.authz\n\ndecision := {n}\n" for n in range(3)]
    try:
        for text in texts:
            await explainers.explain(bundle(text), question())
        assert len(explainers._kept) == EXPLAINERS_MAX  # noqa: SLF001 - nothing else tells
        clock.step(clock.now_ns() + int((EXPLAINER_IDLE_S + 1) * 1e9))
        assert not explainers._kept  # noqa: SLF001 - nothing else tells
    finally:
        await explainers.close()


async def test_a_policy_that_is_refused_is_told() -> None:
    """With its place."""
    explainers = Explainers(FakeClock())
    with pytest.raises(MalformedMessageError, match=r"own\.rego:3"):
        await explainers.explain(bundle("package x\n\nallow {{\n"), question())
    await explainers.close()


async def test_what_takes_too_long_is_ended_and_the_next_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for it for ever, and the bus is not held up."""
    made = await asyncio.to_thread(bundle)
    explainers = Explainers(FakeClock())
    try:
        await explainers.explain(made, question())
        monkeypatch.setattr(explaining, "EXPLAIN_S", 0.0)
        with pytest.raises(UnavailableError, match="too long"):
            await explainers.explain(made, question())
        monkeypatch.setattr(explaining, "EXPLAIN_S", 10.0)
        assert (await explainers.explain(made, question())).allow
        monkeypatch.setattr(explaining, "EXPLAINER_LOAD_S", 0.0)
        with pytest.raises(UnavailableError, match="to be loaded"):
            await explainers.explain(
                bundle("package assent.authz\n\ndecision := 1\n"), question()
            )
    finally:
        await explainers.close()


async def test_a_process_that_cannot_be_started_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And none is left."""
    made = await asyncio.to_thread(bundle)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    explainers = Explainers(FakeClock())
    with pytest.raises(UnavailableError, match="no process"):
        await explainers.explain(made, question())
    await explainers.close()
