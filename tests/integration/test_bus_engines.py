"""One program on every engine, named in the settings and nowhere else; and their faults.

A program makes its bus before its loop runs, and so do these tests.
"""

import asyncio
import functools
import json
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from bus import Accepted, Agent, Bus, Denied
from bus.adapters.audit import tail
from bus.config import Settings
from bus.config.governing import DecisionLogSettings, OpaSettings, PolicySettings
from bus.config.settings import AuditSettings
from bus.core.errors import ConfigurationError, UnknownAgentError
from bus.core.stats import DecisionStats
from policy.opa import address
from policy.opa.admin import administer
from tests.fakes import policies
from tests.fakes.buses import Inbox, data, lower_bound
from tests.fakes.isolated import until
from tests.fakes.opa_process import (
    BUILT_IN_POLICY,
    OpaProcess,
    free_port,
    running_opa,
)
from tests.parts import require

pytestmark = pytest.mark.integration

Engine = Literal["embedded", "isolated", "opa"]
ENGINES: Final[tuple[Engine, ...]] = ("embedded", "isolated", "opa")
ANSWER_S: Final = 30.0  # for a reply, on a machine that others use as well
Work = Coroutine[Any, Any, None]
RESET_S: Final = 0.2  # then a server that failed is asked again


class Place:
    """Where one engine has its policy from, the settings that say so, and the log.

    Its server, if it has one, is tended by the loop of another thread.
    """

    def __init__(self, settings: Settings, file: Path) -> None:
        self.settings = settings
        self._file = file
        self._tended: tuple[OpaProcess, asyncio.AbstractEventLoop] | None = None

    def tend(self, opa: OpaProcess, loop: asyncio.AbstractEventLoop) -> None:
        """Have a server."""
        self._tended = (opa, loop)

    async def change(self, given: dict[str, Any]) -> None:
        """Replace the data, as an administrator would; whoever runs keeps running."""
        await asyncio.to_thread(self._file.write_text, json.dumps(given))
        if self._tended is not None:
            async with administer(self._tended[0].address) as server:
                for root, document in given.items():
                    await server.put_data(root, document)

    async def stop(self) -> None:
        """Kill the server."""
        await self._tend(OpaProcess.stop)

    async def start(self) -> None:
        """Start it again, with the data as it is now."""
        await self._tend(OpaProcess.start)

    async def _tend(self, do: Callable[[OpaProcess], Work]) -> None:
        assert self._tended is not None
        opa, loop = self._tended
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(opa), loop))


Program = Callable[[Bus, Place], Work]


@contextmanager
def placed(engine: Engine, folder: Path) -> Iterator[Place]:
    """Yield a place with the built-in policy and the data of these tests."""
    file = folder / "data.json"
    file.write_text(json.dumps(data()))
    chosen = PolicySettings(
        engine=engine, data=None if engine == "opa" else file, watch=False
    )
    kept: dict[str, Any] = {
        "policy": chosen,
        "decision_log": DecisionLogSettings(file=folder / "decisions.jsonl"),
        "audit": AuditSettings(file=folder / "audit.log"),
    }
    if engine != "opa":
        yield Place(Settings(**kept), file)
        return
    with served(*BUILT_IN_POLICY, str(file)) as (opa, loop):
        place = Place(Settings(**kept, opa=OpaSettings(url=opa.url)), file)
        place.tend(opa, loop)
        yield place


@contextmanager
def served(*files: str) -> Iterator[tuple[OpaProcess, asyncio.AbstractEventLoop]]:
    """Yield a server of these files, and the loop that tends it."""
    require("opa")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="tends opa")
    thread.start()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    opa = running_opa(*files)
    try:
        yield wait(opa.__aenter__()), loop
    finally:
        wait(opa.__aexit__(None, None, None))
        wait(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run(place: Place, program: Program) -> DecisionStats:
    """Run a program as one's own would, the bus first; return what was decided."""
    bus = Bus(settings=place.settings)
    asyncio.run(program(bus, place))
    return bus.stats().decisions


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return all events of the decision log."""
    text = (folder / "decisions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def check_log(
    folder: Path, counted: DecisionStats, outcomes: list[Accepted | Denied]
) -> None:
    """Every decision is in the log once: those counted, and those told of."""
    events = logged(folder)
    assert len(events) == counted.hits + counted.misses
    assert set(Counter(event["decision_id"] for event in events).values()) == {1}
    by_id = {event["decision_id"]: event for event in events}
    for outcome in outcomes:
        if isinstance(outcome, Accepted):
            event = by_id[outcome.receipt.decision_id]
            assert event["custom"]["message"] == outcome.id.hex()
            assert event["result"]["allow"] is True
        else:
            event = by_id[outcome.decision_id]
            assert event["result"]["allow"] is False


def check_audit(folder: Path) -> None:
    """Two messages were recalled, and the record says why."""
    found = [e for e in tail(folder / "audit.log", 1_000) if e.event == "recalled"]
    assert len(found) == 2
    assert all("unknown agent critic" in entry.detail for entry in found)


class Talk:
    """Says things as agents of a bus, and keeps what became of them."""

    def __init__(self) -> None:
        self.outcomes: list[Accepted | Denied] = []

    async def accepted(self, agent: Agent, subject: str, *bodies: int) -> None:
        """Publish what is let in."""
        for body in bodies:
            outcome = await agent.publish(subject, body)
            assert isinstance(outcome, Accepted), outcome
            self.outcomes.append(outcome)

    async def denied(self, agent: Agent, subject: str) -> str:
        """Publish what is not; return why."""
        outcome = await agent.publish(subject, 0)
        assert isinstance(outcome, Denied), outcome
        self.outcomes.append(outcome)
        return outcome.reason


async def revoke(bus: Bus, place: Place, agent: str) -> None:
    """Take an agent out of the data, and put that in force."""
    other, before = data(), bus.revision
    del other["agents"][agent]
    await place.change(other)
    assert await bus.reload_policy() == bus.revision != before
    with pytest.raises(UnknownAgentError):
        bus.agent(agent)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_program_runs_on_every_engine(engine: Engine, tmp_path: Path) -> None:
    """Agents and subscriptions before the start; publish, ask, be denied, be recalled."""
    talk, inbox, recalled = Talk(), Inbox(held=True), []

    async def answer(body: int) -> int:
        return body + 1

    async def program(bus: Bus, place: Place) -> None:
        planner, critic = bus.agent("planner"), bus.agent("critic")
        sub = bus.agent("worker").subscribe("tasks.*", inbox, max_in_flight=1)
        bus.agent("worker").subscribe("questions.*", answer)
        async with bus:
            await talk.accepted(planner, "tasks.a", 1)
            await until(lambda: inbox.got == [1])
            assert await planner.request("questions.x", 1, timeout=ANSWER_S) == 2
            refused = await talk.denied(bus.agent("intern"), "tasks.a")
            assert "no role that may publish event on tasks.a" in refused
            await talk.accepted(critic, "tasks.a", 2, 3)
            await talk.accepted(planner, "tasks.a", 4)
            await revoke(bus, place, "critic")
            await talk.denied(critic, "tasks.a")
            inbox.gate.set()
            await until(lambda: inbox.done == [1, 4])
            await talk.accepted(planner, "tasks.a", 6)
            assert await bus.close() == 0
        recalled.append(sub.stats.recalled)

    with placed(engine, tmp_path) as place:
        decided = run(place, program)
    assert inbox.done == [1, 4, 6]
    assert recalled == [2]
    assert len(talk.outcomes) == 7
    check_audit(tmp_path)
    check_log(tmp_path, decided, talk.outcomes)


def test_a_server_that_stops_denies_and_keeps_what_is_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is queued under an older revision waits; once it is back, all goes on."""
    quick = functools.partial(address.ServerAddress, reset_s=RESET_S)
    monkeypatch.setattr(address, "ServerAddress", quick)
    lower_bound(monkeypatch, "POLICY_RETRY_S", 0.05)
    talk, inbox = Talk(), Inbox(held=True)

    async def program(bus: Bus, place: Place) -> None:
        sub = bus.agent("worker").subscribe("tasks.*", inbox, max_in_flight=1)
        planner = bus.agent("planner")
        async with bus:
            await talk.accepted(planner, "tasks.a", 1, 2, 3)
            await until(lambda: inbox.got == [1])
            await revoke(bus, place, "intern")
            await sub.ready()
            await place.stop()
            inbox.gate.set()
            await until(lambda: bus.stats().decisions.faults["unavailable"])
            # Past the third failure as well, when the server is left alone.
            for number in range(5):
                refused = await talk.denied(planner, f"tasks.{number}")
                assert refused.startswith("unavailable: ")
            assert inbox.got == [1]
            assert sub.stats.recalled == 0
            await place.start()
            await until(lambda: inbox.done == [1, 2, 3])
            await talk.accepted(planner, "tasks.b", 4)
            await until(lambda: inbox.done == [1, 2, 3, 4])

    with placed("opa", tmp_path) as place:
        decided = run(place, program)
    check_log(tmp_path, decided, talk.outcomes)


def test_a_server_that_is_not_there_stops_the_start() -> None:
    """When the bus is made; it says which server, and what to do."""
    url = f"http://127.0.0.1:{free_port()}"
    settings = Settings(policy=PolicySettings(engine="opa"), opa=OpaSettings(url=url))
    with pytest.raises(ConfigurationError) as refused:
        Bus(settings=settings)
    told = str(refused.value)
    assert f"the server at {url} does not answer" in told
    assert "start it there, or set opa.url" in told


def test_a_server_without_our_rule_stops_the_start(tmp_path: Path) -> None:
    """It answers, and has nothing to decide by."""
    files = [tmp_path / "data.json", tmp_path / "other.rego"]
    for file, text in zip(files, (json.dumps(data()), "package other"), strict=True):
        file.write_text(text)
    with served(*map(str, files)) as (opa, _):
        settings = Settings(
            policy=PolicySettings(engine="opa"), opa=OpaSettings(url=opa.url)
        )
        with pytest.raises(ConfigurationError, match=r"no rule data\.assent\.authz"):
            Bus(settings=settings)


def test_an_isolated_policy_that_loops_fails_only_the_message_that_made_it(
    tmp_path: Path,
) -> None:
    """Denied at its deadline; another worker decides what waited behind it."""
    rules = policies.authz(
        'decision := {"allow": true, "reasons": [], "obligations": []} if not slow',
        'slow if { input.message.subject == "tasks.slow"; m := data.many;'
        " count({1 | m[_]; m[_]; m[_]; m[_]}) > 0 }",
    )
    agents = {name: {"tenant": "acme"} for name in ("planner", "worker")}
    folder = tmp_path / "rules"
    policies.folder(folder, rules)
    found = json.dumps({"agents": agents, "many": list(range(1_000))})
    (folder / "data.json").write_text(found)
    outcomes: list[Any] = []
    inbox = Inbox()

    async def program(bus: Bus, place: Place) -> None:
        del place
        bus.agent("worker").subscribe("tasks.>", inbox)
        async with bus:
            planner = bus.agent("planner")
            subjects = ["tasks.slow", *(f"tasks.{n}" for n in range(20)), "tasks.slow"]
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(planner.publish(subject, number))
                    for number, subject in enumerate(subjects)
                ]
            outcomes.extend(task.result() for task in asked)
            outcomes.append(await planner.publish("tasks.after", 99))
            await until(lambda: len(inbox.done) == 21)

    settings = Settings(
        policy=PolicySettings(engine="isolated", folder=folder, watch=False),
        decision_log=DecisionLogSettings(file=tmp_path / "decisions.jsonl"),
    )
    decided = run(Place(settings, folder / "data.json"), program)
    slow, others = [outcomes[0], outcomes[21]], [*outcomes[1:21], outcomes[22]]
    for outcome in slow:
        assert isinstance(outcome, Denied)
        assert outcome.reason.startswith("deadline: ")
    assert all(isinstance(outcome, Accepted) for outcome in others)
    assert sorted(inbox.done) == [*range(1, 21), 99]
    faults = decided.faults
    assert {kind: n for kind, n in faults.items() if n} == {"deadline": 1}
    check_log(tmp_path, decided, outcomes)
