"""What a node keeps where the settings name nothing: a folder with all of it.

Rule: what is set is honoured, whatever it is; only what nobody set is made up here. What
was made is said, and nothing that is there is ever changed.
"""

import os
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bus.config import Loaded, Settings
from bus.config.loading import DEFAULT
from bus.config.settings import StampSettings
from bus.core.errors import ConfigurationError

S = TypeVar("S", bound=msgspec.Struct)

POLICY_FILE: Final = "policy.toml"
ADMIN: Final = "admin"
_FOLDER_MODE: Final = 0o700
_STORE_KEYS: Final = ("store.kind", "store.file")
_POLICY_KEYS: Final = ("policy.data", "policy.folder", "bundle.files", "bundle.url")

STARTER: Final = """\
# Who may do what on this bus. It is read again whenever it changes: edit it.
# Everything is denied that no role allows. The form: docs/reference/policy.md.

[tenants.main]

# The agents. Make a token for one with: assent token create NAME
[agents.admin]
tenant = "main"
roles = ["operator"]

[agents.planner]
tenant = "main"
roles = ["planner"]

[agents.worker]
tenant = "main"
roles = ["worker"]

# What each role may do. "*" stands for one word of a subject, ">" for the rest of it.
[roles.operator]
publish = [{ subject = ">" }]
request = [{ subject = ">" }]
subscribe = [">", "$DEAD.>", "$SYS.>"]
cooldown = [">"]
release = [">"]

[roles.planner]
publish = [{ subject = "tasks.>" }]
request = [{ subject = "questions.>" }]
subscribe = ["results.>"]

[roles.worker]
publish = [{ subject = "results.>" }]
subscribe = ["tasks.>", "questions.>"]
"""


class Defaults(msgspec.Struct, frozen=True):
    """The settings with what was not set, and the folder that it is in, if any is.

    `starter` tells that policy data are the folder's own, and may have to be made.
    """

    settings: Settings
    folder: Path | None = None
    starter: bool = False


def resolved(loaded: Loaded) -> Defaults:
    """Return settings in which all that a node keeps has its place. Makes nothing."""
    settings = loaded.settings
    folder = settings.node.folder
    if folder is None:
        return Defaults(settings)

    def unset(*keys: str) -> bool:
        return all(loaded.origins[key] == DEFAULT for key in keys)

    changes: dict[str, msgspec.Struct] = {}
    if unset("node.tokens_file"):
        changes["node"] = _with(settings.node, tokens_file=folder / "tokens.sqlite")
    if unset(*_STORE_KEYS):
        changes["store"] = _with(
            settings.store, kind="sqlite", file=folder / "messages.sqlite"
        )
    if unset("audit.file"):
        changes["audit"] = _with(settings.audit, file=folder / "audit.log")
    starter = settings.policy.engine != "opa" and unset(*_POLICY_KEYS)
    if starter:
        changes["policy"] = _with(settings.policy, data=folder / POLICY_FILE)
    if not changes:
        return Defaults(settings)
    return Defaults(_with(settings, **changes), folder, starter)


def make(told: Defaults) -> tuple[str, ...]:
    """Make the folder and the starter policy where they are not there.

    Returns a line for each, and for what the node makes there when it starts.

    Raises:
        ConfigurationError: they cannot be made.
    """
    folder, made = told.folder, []
    if folder is None:
        return ()
    try:
        if not folder.is_dir():
            folder.mkdir(mode=_FOLDER_MODE)
            made.append(f"{folder}: what this node keeps; for its owner only")
        policy = folder / POLICY_FILE
        if told.starter and not policy.exists():
            _write_new(policy, STARTER)
            made.append(f"{policy}: who may do what, to begin with; edit it")
        made += [
            f"{file}: {text}"
            for file, text in _kept(told.settings).items()
            if file.parent == folder and not file.exists()
        ]
    except OSError as error:
        raise ConfigurationError(
            f"node.folder {folder}: {error.strerror or error}"
        ) from error
    return tuple(made)


def _kept(settings: Settings) -> dict[Path, str]:
    """Return the files that a node makes by itself, with what is in them."""
    found: dict[Path, str] = {}
    if settings.node.tokens_file is not None:
        found[settings.node.tokens_file] = "tokens, by their hashes only"
    store = settings.store.file
    if store is not None:
        found[store] = "messages, in SQLite"
        if settings.stamp == StampSettings():
            keys = store.with_name(f"{store.name}-keys")
            found[keys] = "the keys that messages are stamped with; keep a copy"
    if settings.audit.file is not None:
        found[settings.audit.file] = "the audit record"
    return found


def unmake(told: Defaults) -> None:
    """Remove the folder if it holds nothing but the starter policy as it was made.

    For a node that was refused before it began.
    """
    folder = told.folder
    if folder is None or not folder.is_dir():
        return
    policy = folder / POLICY_FILE
    alone = told.starter and [*folder.iterdir()] == [policy]
    if alone and policy.read_text() == STARTER:
        policy.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _with(section: S, **changes: object) -> S:
    return msgspec.structs.replace(section, **changes)


def _write_new(file: Path, text: str) -> None:
    """Write a file whole or not at all, and never over another."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text)
        os.link(beside, file)
    finally:
        beside.unlink(missing_ok=True)
