"""The formats of recordings: what a line of each holds, and the actions it stands for.

Rule: a format is told by the fields of a file's first line, never by the file's name,
and every line after it has to be of the same format.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from bus.cli.recordings.verbs import judge, subject_of, tool_of
from bus.core.errors import MalformedMessageError
from bus.core.names import check_name, check_tenant
from bus.core.subject import parse
from bus.core.validation import check_headers, check_type

COMMAND: Final = "command"
TIME_HEADER: Final = "recorded-time"
_RUN_CHARS: Final = 8
_CLAIM: Final = re.compile(r"[!-~]{1,128}")
# What makes one line of a shell into more than the command that it begins with.
_SHELL: Final = re.compile(r"[;&|<>`\n]|\$\(")
_ACTS_BY_OPTION: Final = frozenset({"find"})


class Action(msgspec.Struct, frozen=True):
    """What one agent once asked for, as the message it will be now."""

    agent: str
    tenant: str
    subject: str
    type: str
    body: Any
    tool: str
    task: str | None = None
    time: str | None = None


class _Call(msgspec.Struct, frozen=True):
    tool: str
    args: dict[str, Any]


class _Task(msgspec.Struct, frozen=True):
    """A line of AgentDojo's. What kind of task it is, is deliberately not read."""

    suite: str
    task: str
    calls: list[_Call]


class _Step(msgspec.Struct, frozen=True):
    """A line of SWE-agent's. Thoughts and observations are not read."""

    run: str
    step: int
    action: str


class _Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the project's own format."""

    agent: str
    tenant: str
    subject: str
    body: Any
    type: str = COMMAND
    task: str | None = None
    time: str | int | float | None = None


class Format(msgspec.Struct, frozen=True):
    """A format: the fields it is told by, and how a line of it becomes actions."""

    name: str
    fields: frozenset[str]
    actions: Callable[[bytes], Iterator[Action]]


def tell(line: bytes) -> Format:
    """Return the format of a file that begins with `line`.

    Raises:
        MalformedMessageError: no JSON object, or the fields of no known format.
    """
    found = _decoded(line, dict[str, msgspec.Raw])
    for format_ in FORMATS:
        if format_.fields <= found.keys():
            return format_
    known = "; ".join(f"{f.name}: {', '.join(sorted(f.fields))}" for f in FORMATS)
    has = ", ".join(sorted(found)[:8]) or "no fields"
    raise MalformedMessageError(f"no known format ({known}); the line has {has}")


def _agentdojo(line: bytes) -> Iterator[Action]:
    """An assistant for each suite makes the calls of all its tasks."""
    found = _decoded(line, _Task)
    agent = f"assistant:{found.suite}"
    for call in found.calls:
        yield _action(
            agent, found.suite, call.tool, {"args": call.args}, _claim(found.task)
        )


def _swe_agent(line: bytes) -> Iterator[Action]:
    """Each run is an agent of its own; the first word of an action is the tool."""
    found = _decoded(line, _Step)
    command = found.action.strip()
    if not command:
        return
    run = hashlib.sha256(found.run.encode("utf-8", "surrogatepass")).hexdigest()
    name = f"swe-agent:{run[:_RUN_CHARS]}"
    yield _action(
        name, "swe-agent", _command(command), {"command": command}, run[:_RUN_CHARS]
    )


def _own(line: bytes) -> Iterator[Action]:
    """The project's own: the line says it all."""
    found = _decoded(line, _Own)
    time = None if found.time is None else str(found.time)
    if time is not None:
        check_headers({TIME_HEADER: time})
    check_type(found.type)
    parse(found.subject)
    if found.task is not None and _CLAIM.fullmatch(found.task) is None:
        raise MalformedMessageError(f"task {found.task!r}: up to 128 printable ASCII")
    yield _checked(
        Action(
            found.agent,
            found.tenant,
            found.subject,
            found.type,
            found.body,
            tool_of(found.subject) or found.subject,
            found.task,
            time,
        )
    )


FORMATS: Final = (
    Format("AgentDojo calls", frozenset({"suite", "task", "calls"}), _agentdojo),
    Format("SWE-agent steps", frozenset({"run", "step", "action"}), _swe_agent),
    Format("Assent actions", frozenset({"agent", "tenant", "subject", "body"}), _own),
)


def _action(
    agent: str, tenant: str, tool: str, body: dict[str, Any], task: str
) -> Action:
    subject = subject_of(tool)
    parse(subject)
    whole = {"tool": tool, **body}
    name = tool_of(subject) or subject
    return _checked(Action(agent, tenant, subject, COMMAND, whole, name, task))


def _checked(action: Action) -> Action:
    check_name("agent", action.agent)
    check_tenant(action.tenant)
    return action


def _command(command: str) -> str:
    """Return the tool of a command line, which must not seem to do less than it does.

    A command that would count as reading is `shell` where the line holds more than it:
    further lines, pipes, redirections, substitutions.
    """
    word = command.split(maxsplit=1)[0]
    more = _SHELL.search(command) is not None or word in _ACTS_BY_OPTION
    if _SHELL.search(word) or (judge(word).reads and more):
        return "shell"
    return word


def _claim(text: str) -> str:
    """Return a task's name as a correlation id: as it is where it can be one."""
    if _CLAIM.fullmatch(text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _decoded(line: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(str(error)) from error
