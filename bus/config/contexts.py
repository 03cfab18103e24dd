"""The servers that a person's commands talk to, in a file of that person's.

Rule: it has tokens in it, so nobody else may read it: it is made so, and one that others
can read is refused. A change is written beside it and moved in its place.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.config.sections import Secret, Section
from bus.config.sources import read_bounded
from bus.core.edgelimits import CONTEXTS_BYTES_MAX, CONTEXTS_MAX
from bus.core.errors import ConfigurationError, LimitExceededError
from bus.core.names import check_name
from bus.core.suggest import hint

TOKEN_VARIABLE: Final = "ASSENT_TOKEN"  # noqa: S105 - the name of a variable, no token
SERVER_VARIABLE: Final = "ASSENT_SERVER"
CONTEXT_VARIABLE: Final = "ASSENT_CONTEXT"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Context(Section, frozen=True):
    """One server, and how a person is let in there. Paths are of PEM files."""

    server: str
    token: Secret | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class Contexts(Section, frozen=True):
    """All of them by name; `current` is the one that is meant where none is named."""

    current: str | None = None
    contexts: dict[str, Context] = msgspec.field(default_factory=dict)

    def named(self, name: str) -> Context:
        """Return one; raises `ConfigurationError` if there is none of that name."""
        found = self.contexts.get(name)
        if found is None:
            raise ConfigurationError(
                f"no context {name!r}{hint(name, self.contexts)}; "
                "'assent context list' shows them"
            )
        return found

    def added(self, name: str, context: Context) -> "Contexts":
        """Return them with one more, or another in its place; the first is current.

        Raises:
            MalformedMessageError, LimitExceededError: not a name, or too many.
        """
        check_name("context", name)
        contexts = {**self.contexts, name: context}
        if len(contexts) > CONTEXTS_MAX:
            raise LimitExceededError(
                "contexts", actual=len(contexts), allowed=CONTEXTS_MAX
            )
        return Contexts(current=self.current or name, contexts=contexts)

    def using(self, name: str) -> "Contexts":
        """Return them with another current one; raises as `named`."""
        self.named(name)
        return Contexts(current=name, contexts=self.contexts)

    def without(self, name: str) -> "Contexts":
        """Return them without one; raises as `named`."""
        self.named(name)
        left = {key: one for key, one in self.contexts.items() if key != name}
        current = None if self.current == name else self.current
        return Contexts(current=current, contexts=left)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process was started with, as far as it says which server is meant."""

    file: Path
    token: Secret | None = None
    server: str | None = None
    context: str | None = None


def surroundings(environ: Mapping[str, str] | None = None) -> Surroundings:
    """Read the variables, and where the file is: the process's own where none are given.

    Raises:
        ConfigurationError: there is no home to have a file in.
    """
    if environ is None:
        environ = os.environ
    token = environ.get(TOKEN_VARIABLE)
    return Surroundings(
        file=_folder(environ) / "contexts.json",
        token=Secret(token) if token else None,
        server=environ.get(SERVER_VARIABLE) or None,
        context=environ.get(CONTEXT_VARIABLE) or None,
    )


def read_contexts(file: Path) -> Contexts:
    """Return what a file has; nothing where there is none.

    Raises:
        ConfigurationError: others may read it, or it is not what was written.
    """
    if not file.exists():
        return Contexts()
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & _OTHERS:
        raise ConfigurationError(
            f"{file}: mode {mode:04o} lets others at the tokens; make it 0600"
        )
    try:
        return msgspec.json.decode(
            read_bounded(file, CONTEXTS_BYTES_MAX), type=Contexts, dec_hook=_taken
        )
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{file}: {error}") from None


def write_contexts(file: Path, contexts: Contexts) -> None:
    """Put them in place of what the file has; raises `OSError`."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    encoded = msgspec.json.encode(contexts, enc_hook=_given)
    # Made by mkstemp it is its owner's only, before there is a token in it.
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(msgspec.json.format(encoded, indent=2) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        Path(beside).replace(file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _folder(environ: Mapping[str, str]) -> Path:
    given = environ.get("XDG_CONFIG_HOME")
    if given and Path(given).is_absolute():
        return Path(given) / "assent"
    home = environ.get("HOME")
    if not home:
        raise ConfigurationError(
            "no folder for contexts: set HOME or XDG_CONFIG_HOME, or name --server"
        )
    return Path(home) / ".config" / "assent"


def _taken(kind: type, value: Any) -> Any:
    if kind is Secret and type(value) is str:
        return Secret(value)
    if kind is Path and type(value) is str:
        return Path(value)
    raise TypeError(f"no {kind.__name__}")


def _given(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else str(value)
