"""A suite from its folder: tools and state for the policy's data, tasks to be judged.

Rule: `prepared` makes the policy data and does not open the tasks.
"""

from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from bus.cli.recordings.verbs import subject_of
from bus.config.sources import read_bounded
from bus.core.errors import ConfigurationError, MalformedMessageError, ProtocolError
from bus.core.limits import POLICY_DATA_BYTES_MAX, REPLAY_ACTIONS_MAX, REPLAY_BYTES_MAX
from bus.core.names import check_tenant
from policy.toolcalls.prepare import Tool, policy_data

T = TypeVar("T")

TOOLS: Final = "tools.json"
STATE: Final = "environment.json"
TASKS: Final = "calls.jsonl"


class Call(msgspec.Struct, frozen=True):
    """A call of a tool."""

    tool: str
    args: dict[str, Any]


class Task(msgspec.Struct, frozen=True):
    """A task: `user` is what a user asked for, `injection` what an attacker wants."""

    suite: str
    task: str
    kind: Literal["user", "injection"]
    goal: str
    calls: list[Call]


class _Tool(msgspec.Struct, frozen=True):
    name: str
    description: str
    parameters: dict[str, Any] = msgspec.field(name="schema")


def tenant_of(folder: Path) -> str:
    """Return the tenant that a suite's folder stands for: the folder's name.

    Raises:
        ConfigurationError: it is no name of a tenant.
    """
    name = folder.resolve().name
    try:
        check_tenant(name)
    except ProtocolError as error:
        raise ConfigurationError(f"{folder}: {error}; rename the folder") from error
    return name


def prepared(folder: Path) -> dict[str, Any]:
    """Return policy data from the tools and the state in a folder.

    Raises:
        ConfigurationError, MalformedMessageError: with the file and the reason.
    """
    listed = _decoded(folder / TOOLS, list[_Tool])
    state = _decoded(folder / STATE, dict[str, Any])
    tools = [Tool(tool.name, tool.description, tool.parameters) for tool in listed]
    subjects = {tool.name: subject_of(tool.name) for tool in tools}
    return policy_data(tenant_of(folder), tools, state, subjects)


def tasks(folder: Path) -> list[Task]:
    """Return the tasks in a folder that have calls.

    Raises:
        ConfigurationError, MalformedMessageError: with file, line and reason.
    """
    path = folder / TASKS
    found: list[Task] = []
    for number, line in enumerate(
        read_bounded(path, REPLAY_BYTES_MAX).splitlines(), start=1
    ):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=Task))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise MalformedMessageError(f"{path}:{number}: {error}") from error
        if found[-1].suite != found[0].suite:
            raise MalformedMessageError(
                f"{path}:{number}: suite {found[-1].suite!r} after {found[0].suite!r}"
            )
    judged = [task for task in found if task.calls]
    if not any(task.kind == "user" for task in judged):
        raise MalformedMessageError(f"{path}: no user task with a call")
    questions = sum(len(task.calls) for task in judged) * len(judged)
    if questions > REPLAY_ACTIONS_MAX:
        raise MalformedMessageError(
            f"{path}: about {questions} calls to judge; {REPLAY_ACTIONS_MAX} are allowed"
        )
    return judged


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(read_bounded(path, POLICY_DATA_BYTES_MAX), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise MalformedMessageError(f"{path}: {error}") from error
