"""The isolated engine with real processes: whatever one question does, it alone fails."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_INPUT_BYTES_MAX
from bus.core.policylimits import ISOLATED_AHEAD_MAX
from policy import loading
from policy.evaluation import Answer, AwaitedEvaluator, EvaluationError, Kind
from policy.isolation import wire
from policy.isolation.engine import IsolatedEngine
from policy.isolation.loading import load
from policy.isolation.terms import Terms
from tests.fakes import isolated, policies

NEVER_S = 60.0  # longer than a test may take
SLOW = '{"slow": true}'
MANY = 300


async def failure(asked: AwaitedEvaluator, rule: str, document: str) -> EvaluationError:
    """Return why a question has no answer."""
    with pytest.raises(EvaluationError) as error:
        await asked.evaluate(isolated.rule(rule), document)
    return error.value


async def doubles(asked: IsolatedEngine, count: int) -> list[str | None]:
    """Ask many questions at once."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(isolated.double(asked, n)) for n in range(count)]
    return [task.result() for task in tasks]


def doubled(count: int) -> list[str]:
    """Return what they are answered with."""
    return [str(2 * n) for n in range(count)]


async def refused(text: str, **terms: Any) -> PolicyLoadError:
    """Return why a policy is not loaded."""
    with pytest.raises(PolicyLoadError) as error:
        await load(isolated.bundle(text), Terms(**terms))
    return error.value


def described(error: EvaluationError) -> tuple[str, Kind, str, int]:
    """Return all that an error says."""
    return str(error), error.kind, error.file, error.line


async def test_it_answers_as_the_engine_in_the_loop() -> None:
    """The same values and undefined, under the same revision."""
    embedded = isolated.embedded()
    async with isolated.engine() as asked:
        for name in ("decision", "double", "maybe"):
            rule, document = isolated.rule(name), '{"n": 4}'
            expected = embedded.evaluate(rule, document)
            found = await asked.evaluate(rule, document)
            assert found == Answer(expected, isolated.bundle().revision)


@pytest.mark.parametrize("name", ["conflict", "not_there", "bad rule"])
async def test_it_fails_as_the_engine_in_the_loop(name: str) -> None:
    """With the same kind, reason, file and line."""
    embedded = isolated.embedded()
    document = '{"a": 1, "b": 2}'
    with pytest.raises(EvaluationError) as expected:
        embedded.evaluate(isolated.rule(name), document)
    async with isolated.engine() as asked:
        found = await failure(asked, name, document)
    assert described(found) == described(expected.value)


async def test_a_loaded_policy_is_described_as_in_the_loop() -> None:
    """Revision, dependencies, the plan of its input, and the agents."""
    text = policies.authz('decision := {"allow": input.message.subject == "a"}')
    embedded = loading.build(isolated.bundle(text))
    found = await load(isolated.bundle(text))
    await found.engine.close()
    assert found.revision == embedded.revision
    assert found.dependencies == embedded.dependencies
    assert found.plan.message_fields == embedded.plan.message_fields
    assert found.agents == embedded.agents


async def test_hundreds_of_questions_at_once_each_get_their_own_answer() -> None:
    """Sent ahead of one another, answered in order."""
    async with isolated.engine() as asked:
        assert await doubles(asked, MANY) == doubled(MANY)
        assert asked.stats().started == 2


async def test_a_slow_question_is_killed_and_nobody_else_notices() -> None:
    """The spare takes what was sent behind it, and what still waits."""
    async with isolated.engine(deadline_s=NEVER_S, wait_s=NEVER_S) as asked:
        spare = asked.pids[1]
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(failure(asked, "slow", SLOW))
            others = group.create_task(doubles(asked, MANY))
            await isolated.lapse(asked, "slow")
        assert slow.result().kind == "deadline"
        assert others.result() == doubled(MANY)
        assert asked.pids[0] == spare
        assert asked.stats().overdue == 1


async def test_a_deadline_is_of_one_question_and_not_of_the_worker() -> None:
    """However long a worker serves; and still the slow one is killed."""
    async with isolated.engine(deadline_s=0.5) as asked:
        for _ in range(3):
            assert await doubles(asked, 1) == doubled(1)
            await asyncio.sleep(0.3)
        assert (await failure(asked, "slow", SLOW)).kind == "deadline"
        assert asked.stats().overdue == 1


async def test_every_slow_question_fails_alone_also_when_the_spare_is_used_up() -> None:
    """Then the others wait for a worker that is being started."""
    async with isolated.engine(deadline_s=NEVER_S, wait_s=NEVER_S) as asked:
        async with asyncio.TaskGroup() as group:
            slow = []
            others = []
            for n in range(4):
                slow.append(group.create_task(failure(asked, "slow", SLOW)))
                others.append(group.create_task(isolated.double(asked, n)))
            for _ in slow:
                await isolated.lapse(asked, "slow")
        assert [task.result().kind for task in slow] == ["deadline"] * 4
        assert [task.result() for task in others] == doubled(4)
        assert asked.stats().overdue == 4


async def test_a_question_waits_for_its_turn_no_longer_than_agreed() -> None:
    """Whoever is begun has its own deadline; whoever waits, a bound as well."""
    behind = ISOLATED_AHEAD_MAX + 3
    async with isolated.engine(deadline_s=2, wait_s=0.2) as asked:
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(failure(asked, "slow", SLOW))
            waiting = [
                group.create_task(failure(asked, "double", '{"n": 1}'))
                for _ in range(behind)
            ]
        for task in waiting:
            assert task.result().kind == "deadline"
            assert "turn" in task.result().reason
        assert "evaluated" in slow.result().reason
        assert await doubles(asked, 1) == doubled(1)


@pytest.mark.parametrize("which", [0, 1])
async def test_a_worker_killed_from_outside_is_replaced(which: int) -> None:
    """The one that answers, or the spare."""
    async with isolated.engine(deadline_s=NEVER_S) as asked:
        killed = asked.pids[which]
        os.kill(killed, signal.SIGKILL)
        await isolated.until(lambda: killed not in asked.pids)
        assert await doubles(asked, MANY) == doubled(MANY)
        await isolated.until(lambda: asked.stats().ready == 2)
        assert asked.stats().died == 1


async def test_a_worker_killed_at_work_fails_the_question_it_had_begun() -> None:
    """Typed, with how it ended; what was sent behind it is asked again."""
    async with isolated.engine(deadline_s=NEVER_S) as asked:
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(failure(asked, "slow", SLOW))
            others = group.create_task(doubles(asked, MANY))
            await asyncio.sleep(0.05)
            os.kill(asked.pids[0], signal.SIGSEGV)
        assert slow.result().kind == "unavailable"
        assert "SIGSEGV" in slow.result().reason
        assert others.result() == doubled(MANY)


async def test_a_question_that_takes_all_memory_fails_alone() -> None:
    """The limit is the system's; the worker dies of it and is replaced."""
    async with isolated.engine(deadline_s=NEVER_S, memory_bytes=144 << 20) as asked:
        async with asyncio.TaskGroup() as group:
            hungry = group.create_task(failure(asked, "hungry", '{"text": "a"}'))
            others = group.create_task(doubles(asked, 20))
        assert hungry.result().kind == "unavailable"
        assert others.result() == doubled(20)


async def test_an_answer_too_large_to_send_is_oversize() -> None:
    """And costs no worker."""
    async with isolated.engine(deadline_s=NEVER_S) as asked:
        error = await failure(asked, "large", '{"text": "abc"}')
        assert error.kind == "oversize"
        assert asked.stats().died == 0


async def test_input_past_a_bound_is_not_sent() -> None:
    """Size here, nesting in the worker, half a surrogate pair here."""
    async with isolated.engine() as asked:
        for document in (
            '"' + "x" * POLICY_INPUT_BYTES_MAX + '"',
            '"'
            + "\u2603" * (POLICY_INPUT_BYTES_MAX // 3 + 1)
            + '"',  # counted in bytes
            "[" * 10_000 + "]" * 10_000,
            '{"n": "\ud800"}',
        ):
            assert (await failure(asked, "double", document)).kind == "input"
        assert await doubles(asked, 2) == doubled(2)
        assert asked.stats().died == 0


async def test_large_inputs_sent_together_all_arrive() -> None:
    """More than a pipe holds: the rest is written when there is room."""
    text = policies.authz('decision := {"allow": true}', "size := count(input.x)")
    size = POLICY_INPUT_BYTES_MAX // 2 - 10  # of two bytes each
    document = '{"x": "' + "é" * size + '"}'
    async with isolated.engine(text, deadline_s=NEVER_S) as asked:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(asked.evaluate(isolated.rule("size"), document))
                for _ in range(20)
            ]
        assert [task.result().result for task in tasks] == [str(size)] * 20


async def test_a_caller_that_is_cancelled_loses_only_its_own_answer() -> None:
    """Be its question begun, sent or waiting."""
    async with isolated.engine(deadline_s=1) as asked:
        slow = asyncio.get_running_loop().create_task(failure(asked, "slow", SLOW))
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(isolated.double(asked, n)) for n in range(40)]
            await asyncio.sleep(0.05)
            slow.cancel()
            for task in tasks[::2]:
                task.cancel()
        assert [t.result() for t in tasks[1::2]] == doubled(40)[1::2]
        assert all(task.cancelled() for task in (slow, *tasks[::2]))
        assert await doubles(asked, 3) == doubled(3)


async def test_closing_fails_what_is_open_and_leaves_no_process() -> None:
    """Whatever the workers are doing; and it may be done twice."""
    async with isolated.engine(deadline_s=NEVER_S) as asked:
        pids = asked.pids
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(failure(asked, "slow", SLOW))
            tasks = [
                group.create_task(failure(asked, "double", '{"n": 1}'))
                for _ in range(30)
            ]
            await asyncio.sleep(0.05)
            await asked.close()
            assert [pid for pid in pids if isolated.alive(pid)] == []
        assert {task.result().kind for task in (slow, *tasks)} == {"unavailable"}
        assert (await failure(asked, "double", '{"n": 1}')).kind == "unavailable"
        await asked.close()


@pytest.mark.parametrize(
    ("answer", "kind", "more"),
    [
        (b"\x00\x00\x00\x01\xc1", "malformed", ()),
        (b"\x00\x00\x00\x00", "malformed", ()),
        (wire.frame(isolated.READY), "malformed", ()),
        (wire.frame(wire.Refused("no", "", 0)), "malformed", ()),
        (wire.frame(wire.Answered(99, "true")), "malformed", ()),
        (b"\xff\xff\xff\xff", "oversize", ()),
        (b"\x00\x00", "unavailable", ("end",)),
        (b"", "unavailable", ("end",)),
        (b"", "deadline", ()),
    ],
)
async def test_a_worker_that_does_not_answer_properly_is_replaced(
    answer: bytes, kind: Kind, more: tuple[str, ...]
) -> None:
    """Garbage, an answer to another question, a length that lies, half an answer."""
    command = isolated.odd_command(wire.frame(isolated.READY), answer, *more)
    async with isolated.engine(deadline_s=0.5, command=command) as asked:
        first = asked.pids[0]
        assert (await failure(asked, "decision", "{}")).kind == kind
        assert first not in asked.pids
        assert (await failure(asked, "decision", "{}")).kind == kind


async def test_an_allow_that_was_not_asked_for_ends_its_worker() -> None:
    """An answer to no question, or to another one, decides nothing."""
    told = wire.frame(isolated.READY) + wire.frame(wire.Answered(99, '{"allow":true}'))
    command = isolated.odd_command(told, b"")
    async with isolated.engine(deadline_s=0.5, command=command) as asked:
        await isolated.until(lambda: asked.stats().died > 1)
        error = await failure(asked, "decision", "{}")
        assert error.kind in {"malformed", "unavailable"}


async def test_invalid_rego_is_refused_with_file_and_line() -> None:
    """As by the engine in the loop, and no process is left."""
    text = policies.authz("decision := {")
    with pytest.raises(PolicyLoadError) as expected:
        loading.build(isolated.bundle(text))
    error = await refused(text)
    assert str(error) == str(expected.value)
    assert (error.file, error.line) == (expected.value.file, expected.value.line)


async def test_a_policy_that_fails_its_samples_is_refused() -> None:
    """Tried out in the worker, told here."""
    error = await refused(policies.authz('decision := "allow"'))
    assert "tried out" in error.reason


async def test_data_without_agents_is_refused_before_a_process_starts() -> None:
    """The command would fail otherwise."""
    terms = Terms(command=("/nowhere/python",))
    with pytest.raises(PolicyLoadError, match="agents"):
        await load(isolated.bundle(data={}), terms)


async def test_a_bundle_too_big_to_send_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a process starts."""
    monkeypatch.setattr("policy.isolation.loading.ISOLATED_BUNDLE_BYTES_MAX", 100)
    assert "100 are allowed" in (await refused(isolated.RULES)).reason


async def test_a_policy_that_hangs_when_it_is_tried_out_is_refused() -> None:
    """The load has a deadline of its own."""
    text = policies.authz(
        'decision := {"allow": count({1 | m[_]; m[_]; m[_]; m[_]}) == 1}',
        "m := data.many",
    )
    error = await refused(text, load_s=2)
    assert "not loaded within 2 s" in error.reason


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ((sys.executable, "-I", "-c", "import time; time.sleep(60)"), "not loaded"),
        ((sys.executable, "-I", "-c", "raise SystemExit(7)"), "status 7"),
        (("/nowhere/python",), "/nowhere/python"),
    ],
)
async def test_a_worker_that_never_loads_is_a_refusal(
    command: tuple[str, ...], reason: str
) -> None:
    """A parser that hangs, a broken installation, no program."""
    error = await refused(isolated.RULES, load_s=1, command=command)
    assert reason in error.reason


async def test_a_load_that_is_cancelled_leaves_no_process() -> None:
    """Whoever gave up need not close anything."""
    command = (sys.executable, "-I", "-c", "import time; time.sleep(60)")
    engine = IsolatedEngine("r", b"", Terms(command=command))
    task = asyncio.get_running_loop().create_task(engine.open())
    await isolated.until(lambda: engine.pids)
    (pid,) = engine.pids
    task.cancel()
    await asyncio.wait([task])
    await engine.close()
    assert not isolated.alive(pid)


async def test_workers_that_cannot_be_started_mean_unavailable(tmp_path: Path) -> None:
    """Never an allow, at once, and again answers as soon as they can be started."""
    link = tmp_path / "python"
    await asyncio.to_thread(link.symlink_to, sys.executable)
    ready = wire.frame(isolated.READY)
    command = (str(link), *isolated.odd_command(ready, b"", "end")[1:])
    async with isolated.engine(deadline_s=NEVER_S, command=command) as asked:
        await asyncio.to_thread(link.unlink)
        errors = [await failure(asked, "decision", "{}") for _ in range(3)]
        assert {error.kind for error in errors} == {"unavailable"}
        assert str(link) in errors[-1].reason
        assert asked.pids == ()
        await asyncio.to_thread(link.symlink_to, sys.executable)
        await isolated.until(lambda: asked.stats().ready == 2)


def _held(pid: int) -> tuple[bytes, list[str], str]:
    """Return a process's environment, its open files, and its limits."""
    place = Path("/proc") / str(pid)
    files = [str(path.readlink()) for path in sorted((place / "fd").iterdir())]
    return (place / "environ").read_bytes(), files, (place / "limits").read_text()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
async def test_a_worker_has_nothing_of_its_parents() -> None:
    """No secret of the environment, no file, and limits that it cannot raise."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    try:
        async with isolated.engine(memory_bytes=1 << 28) as asked:
            for pid in asked.pids:
                environment, files, limits = await asyncio.to_thread(_held, pid)
                assert environment.count(b"=") == 1
                assert environment.startswith(b"MIMALLOC_")
                assert files[0].startswith("socket:")
                assert files[1:] == ["/dev/null", "/dev/null"]
                rows = {
                    line[:26].strip(): line[26:].split() for line in limits.splitlines()
                }
                for name in ("core file size", "file size", "open files", "processes"):
                    assert rows[f"Max {name}"][:2] == ["0", "0"]
                assert rows["Max address space"][0] == str(1 << 28)
                assert rows["Max cpu time"][0] != "unlimited"
    finally:
        os.close(reading)
        os.close(writing)


PARENT = """
import asyncio, sys
sys.path[:] = {path!r}
from policy.isolation.loading import load
from policy.isolation.terms import Terms
from tests.fakes import isolated

async def main():
    found = await load(isolated.bundle(), Terms(deadline_s=1))
    loop = asyncio.get_running_loop()
    task = loop.create_task(found.engine.evaluate(isolated.rule("slow"), {slow!r}))
    await asyncio.sleep(0.1)
    print(*found.engine.pids, flush=True)
    loop.call_soon(__import__("time").sleep, 60)  # its deadline will not be enforced
    await task

asyncio.run(main())
"""


def _running(pid: int) -> bool:
    """Tell whether a process that need not be our child still runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
async def test_workers_end_when_their_parent_was_killed() -> None:
    """An idle one with its pipe, a busy one when its processor time is used up."""
    code = PARENT.format(path=[path for path in sys.path if path], slow=SLOW)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(word) for word in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    for pid in pids:
        while await asyncio.to_thread(_running, pid):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
