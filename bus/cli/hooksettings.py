"""The settings file of a coding agent, with and without our hooks.

Rule: nothing but our own entries is touched, and a file that cannot be read as it should
be is left alone.
"""

import difflib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from bus.cli.hooking import Line
from bus.cli.output import emit, fail, say
from bus.core.errors import ConfigurationError

EVENTS: Final = (
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "SubagentStart",
    "SubagentStop",
    "SessionEnd",
)
_TOOLS: Final = frozenset({"PreToolUse", "PostToolUse"})
_OURS: Final = " hook claude-code "
_SECONDS: Final = 60  # above what the hook itself waits, which then blocks the call


class Changed(msgspec.Struct, frozen=True):
    """What became of the settings."""

    file: str
    written: bool
    difference: str


def command(server: str, token_file: Path, ca_file: Path | None) -> str:
    """Return the command line of a hook, with whole paths.

    Raises:
        ConfigurationError: the server or the token file is not usable.
    """
    from bus.cli.hooking import HookError  # noqa: PLC0415 - beside its use

    try:
        Line(server, str(token_file))
    except HookError as error:
        raise ConfigurationError(str(error)) from None
    words = [_program(), "hook", "claude-code", "--server", server]
    words += ["--token-file", str(token_file.resolve())]
    if ca_file is not None:
        words += ["--ca-file", str(ca_file.resolve())]
    return shlex.join(words)


def added(found: dict[str, Any], line: str) -> dict[str, Any]:
    """Return settings with our hooks, in place of those that are there."""
    settings = removed(found)
    hooks = dict(settings.get("hooks", {}))
    for event in EVENTS:
        entry: dict[str, Any] = {"matcher": "*"} if event in _TOOLS else {}
        entry["hooks"] = [{"type": "command", "command": line, "timeout": _SECONDS}]
        hooks[event] = [*hooks.get(event, []), entry]
    return {**settings, "hooks": hooks}


def removed(found: dict[str, Any]) -> dict[str, Any]:
    """Return settings without our hooks; what they leave empty goes too."""
    hooks = {}
    for event, entries in found.get("hooks", {}).items():
        kept = [entry for entry in entries if not _is_ours(entry)]
        if kept:
            hooks[event] = kept
    rest = {name: value for name, value in found.items() if name != "hooks"}
    return {**rest, "hooks": hooks} if hooks else rest


def change(
    file: Path,
    how: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Show how the settings would change, and change them if that is wanted.

    Raises:
        ConfigurationError: the file is not what the settings of an agent are.
    """
    before = _read(file)
    text = json.dumps(how(_settings(file, before)), indent=2) + "\n"
    difference = "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            text.splitlines(keepends=True),
            str(file),
            f"{file} (new)",
        )
    )
    if not as_json:
        say(difference.rstrip("\n") or f"{file}: nothing to change")
    wanted = bool(difference) and (yes or _agreed(as_json=as_json))
    if wanted:
        _write(file, text)
    emit(
        Changed(str(file), wanted, difference),
        lambda: say(f"{file}: written") if wanted else None,
        as_json=as_json,
    )
    if difference and not wanted:
        fail()


def _agreed(*, as_json: bool) -> bool:
    return not as_json and sys.stdin.isatty() and typer.confirm("Write this?")


def _program() -> str:
    """Return what starts this distribution: the script beside the interpreter."""
    script = Path(sys.executable).parent / "assent"
    if not script.exists():
        raise ConfigurationError(f"{script} is not there: install assent, then again")
    return str(script)


def _is_ours(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    commands = [
        hook.get("command", "")
        for hook in entry.get("hooks", [])
        if isinstance(hook, dict)
    ]
    return any(isinstance(line, str) and _OURS in line for line in commands)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: {error}") from None


def _settings(file: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ConfigurationError(f"{file}: no JSON: {error}") from None
    hooks = found.get("hooks", {}) if isinstance(found, dict) else None
    lists = isinstance(hooks, dict) and all(isinstance(e, list) for e in hooks.values())
    if not isinstance(found, dict) or not lists:
        raise ConfigurationError(
            f"{file}: no settings of a coding agent; left as it is"
        )
    return found


def _write(file: Path, text: str) -> None:
    """Put the text in place at once: never half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            written.write(text)
        if file.exists():
            Path(name).chmod(file.stat().st_mode & 0o777)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
