"""Utility and security are counted as they are defined."""

from pathlib import Path

import pytest

from bus.cli import main
from bus.cli.toolcalls import pairs, suite
from bus.cli.toolcalls.judging import Answer, Ending
from bus.cli.toolcalls.suite import Call, Task
from bus.core.errors import ConfigurationError, MalformedMessageError

READ = Call("look", {})
SEND = Call("send", {"to": "a"})
LINE = '{"suite": "s", "task": "t", "kind": "user", "goal": "g", "calls": [{"tool": "x", "args": {}}]}'


def task(kind: str, name: str, *calls: Call) -> Task:
    """Return a task whose goal is its name."""
    assert kind in {"user", "injection"}
    return Task("s", name, "user" if kind == "user" else "injection", name, list(calls))


def scored(tasks: list[Task], endings: dict[tuple[str, str], Ending]) -> pairs.Score:
    """Return the score where (goal, tool) ends as told, and everything else goes through."""
    answers = {
        question.key: Answer(
            endings.get((question.request, question.call.tool), "allowed"), ("why: x",)
        )
        for question in pairs.questions(tasks)
    }
    return pairs.score(tasks, answers, frozenset({"look"}))


def test_an_attack_has_to_be_stopped_beside_every_user_task() -> None:
    """Each pair counts, and one that gets through is named."""
    tasks = [task("user", "u1", READ), task("user", "u2", READ), task("injection", "a", READ, SEND)]  # fmt: skip
    found = scored(tasks, {("u1", "send"): "held"})
    assert (found.line.pairs, found.line.security) == (2, 0.5)
    assert found.attacks[0].missed == ("u2",)


def test_stopping_what_only_reads_stops_no_attack() -> None:
    """An attack is its effect."""
    tasks = [task("user", "u", SEND), task("injection", "a", READ, SEND)]
    assert scored(tasks, {("u", "look"): "denied"}).line.security == 0


def test_a_lost_call_is_neither_stopped_nor_of_use() -> None:
    """Only policy's own word counts."""
    tasks = [task("user", "u", SEND), task("injection", "a", Call("send", {"to": "b"}))]
    found = scored(tasks, {("u", "send"): "lost"})
    assert (found.line.security, found.line.utility_with_approval) == (0, 0)


def test_utility_is_by_call_and_by_task() -> None:
    """A task is done outright when all its calls are."""
    tasks = [task("user", "u1", READ, SEND), task("user", "u2", READ)]
    found = scored(tasks, {("u1", "send"): "held"})
    assert found.line.utility_outright == 2 / 3
    assert found.line.utility_with_approval == 1
    assert found.tasks == {"all": 2, "outright": 1, "approved": 2}
    assert found.line.security is None
    assert found.reasons[0][:2] == ("why", 3)


def test_tasks_without_calls_are_left_out(tmp_path: Path) -> None:
    """And so are empty lines."""
    other = LINE.replace('[{"tool": "x", "args": {}}]', "[]")
    (tmp_path / suite.TASKS).write_text(f"{LINE}\n\n{other}\n")
    assert len(suite.tasks(tmp_path)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no user task"),
        (LINE.replace("user", "injection"), "no user task"),
        (LINE.replace("user", "other"), "calls.jsonl:1"),
        (LINE + "\n" + LINE.replace('"s"', '"z"'), "suite 'z' after 's'"),
        (LINE + "\n{", "calls.jsonl:2"),
    ],
)  # fmt: skip
def test_a_broken_list_of_tasks_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    """With file and line."""
    (tmp_path / suite.TASKS).write_text(text)
    with pytest.raises(MalformedMessageError, match=said):
        suite.tasks(tmp_path)


def test_preparing_does_not_open_the_tasks(tmp_path: Path) -> None:
    """The data of a suite is the same whatever its tasks are."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / suite.TOOLS).write_text(
        '[{"name": "get_x", "description": "", "schema": {}}]'
    )
    (folder / suite.STATE).write_text("{}")
    before = suite.prepared(folder)
    (folder / suite.TASKS).write_bytes(b"\xff no list of tasks")
    assert suite.prepared(folder) == before
    assert before["agents"]["assistant:acme"]["tenant"] == "acme"


def test_a_folder_that_is_no_tenant_is_refused(tmp_path: Path) -> None:
    """The folder's name is the tenant's."""
    with pytest.raises(ConfigurationError, match="rename the folder"):
        suite.tenant_of(tmp_path / "No Tenant")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("suite", "--limit", "3"), "--limit"),
        (("suite", "--role", "reader"), "--role"),
        (("suite", "--out", "x.json"), "--out"),
        (("suite", "--show-data"), "--show-data"),
        (("suite", "--limit", "3", "--role", "reader"), "--role, --limit"),
        (("--prepare", "suite", "--data", "d.json"), "--data"),
        (("--prepare", "suite", "--policy", "toolcalls"), "--policy"),
        (("actions.jsonl", "--out", "x.json"), "--out"),
    ],
)
def test_an_option_that_nothing_heeds_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    names: str,
) -> None:
    """Whoever gives it believes that the figures are of what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite").mkdir()
    assert main(["replay", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"assent: {names}: not used, for ")
    assert not (tmp_path / "x.json").exists()
