"""Where settings are read from: a TOML file, the environment, flags.

Rule: a source names each value by its key and origin and knows no setting.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.core.document import DocumentError, parse_toml
from bus.core.errors import ConfigurationError
from bus.core.limits import CONFIG_BYTES_MAX

FILE_NAME: Final = "assent.toml"
PREFIX: Final = "ASSENT__"
_SEPARATOR: Final = "__"


class Given(msgspec.Struct, frozen=True):
    """A value as a source has it: `section.key` and where it stands.

    `text` says that the value is a string whatever the setting's type, and `base` is
    the folder that a relative path starts from.
    """

    key: str
    value: object
    origin: str
    text: bool
    base: Path


def from_file(path: Path | None) -> list[Given]:
    """Read a settings file: `path`, or FILE_NAME in the current folder if it is there.

    Raises:
        ConfigurationError: not to be read, too long, not UTF-8, not TOML, or past a
            bound.
    """
    if path is None:
        path = Path(FILE_NAME)
        if not path.exists():
            return []
    document = _parse(path, read_bounded(path, CONFIG_BYTES_MAX))
    base = path.parent
    return [
        Given(key, value, f"file {path}", text=False, base=base)
        for key, value in _flat(document)
    ]


def from_environment(environ: Mapping[str, str] | None) -> list[Given]:
    """Take what begins with PREFIX from `environ`, or from the process's environment."""
    if environ is None:
        environ = os.environ  # the one place that reads it
    return [
        Given(
            name.removeprefix(PREFIX).lower().replace(_SEPARATOR, "."),
            value,
            f"environment {name}",
            text=True,
            base=Path(),
        )
        for name, value in sorted(environ.items())
        if name.startswith(PREFIX)
    ]


def from_flags(flags: Sequence[str]) -> list[Given]:
    """Take `section.key=value` from each flag.

    Raises:
        ConfigurationError: a flag without `=`.
    """
    given = []
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {flag}: section.key=value is needed")
        given.append(Given(key.strip(), value, "flag --set", text=True, base=Path()))
    return given


def read_bounded(path: Path, bytes_max: int) -> str:
    """Return a file's text.

    Raises:
        ConfigurationError: not to be read, longer than `bytes_max`, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if len(data) > bytes_max:
        raise ConfigurationError(f"{path}: longer than {bytes_max} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}: line {line} is not UTF-8") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text, bytes_max=CONFIG_BYTES_MAX)
    except DocumentError as error:
        place = f"line {error.line}: " if error.line else ""
        raise ConfigurationError(f"{path}: {place}{error.detail}") from error


def _flat(document: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    for section, value in document.items():
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield f"{section}.{key}", inner
        else:
            yield section, value
