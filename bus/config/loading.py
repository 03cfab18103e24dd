"""Settings from all sources: defaults < file < environment < flags.

Rule: a key that is unknown, or a value that is not of its type or out of its bounds,
stops the start with the key, the origin and what was expected. Nothing is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_origin, get_type_hints

import msgspec

from bus.config.edge import CertificateSettings, IssuerSettings
from bus.config.governing import BundleKeySettings
from bus.config.sections import Secret
from bus.config.settings import ChoiceSettings, Settings, TemplateSettings
from bus.config.sources import Given, from_environment, from_file, from_flags
from bus.core.document import DocumentError, parse_toml
from bus.core.errors import BusError, ConfigurationError
from bus.core.limits import CONFIG_BYTES_MAX
from bus.core.suggest import hint

_TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "templates": TemplateSettings,
    "bundle_keys": BundleKeySettings,
    "issuers": IssuerSettings,
    "certificates": CertificateSettings,
}
DEFAULT: Final = "default"
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(?P<name>[^`]*)`")


class Value(msgspec.Struct, frozen=True):
    """One setting as it stands, fit to be shown: secrets are masked."""

    key: str
    value: Any
    origin: str


class Loaded(msgspec.Struct, frozen=True):
    """The settings, and the origin of every value by its key."""

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> list[Value]:
        """Return every setting with its value and origin, in the order of `Settings`."""
        return [
            Value(key, _shown(self.settings, key), self.origins[key])
            for key in self.origins
        ]


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
) -> Loaded:
    """Load the settings; the process's environment counts where none is given.

    Raises:
        ConfigurationError: a source cannot be read, or a value cannot be honoured.
    """
    types = _types()
    sections: dict[str, Any] = {}
    origins = dict.fromkeys(types, DEFAULT)
    for given in [*from_file(file), *from_environment(environ), *from_flags(flags)]:
        if given.key not in types:
            raise _unknown(given, types)
        value = _convert(given, types[given.key])
        section, _, key = given.key.partition(".")
        if key:
            sections.setdefault(section, {})[key] = value
        else:
            sections[section] = value
        origins[given.key] = given.origin
    hints = get_type_hints(Settings)
    made = {
        name: hints[name](**value) if isinstance(value, dict) else value
        for name, value in sections.items()
    }
    return Loaded(Settings(**made), origins)


def _types() -> dict[str, Any]:
    """Return the type of every setting by its key."""
    types: dict[str, Any] = {}
    for name, kind in get_type_hints(Settings, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            inner = get_type_hints(kind, include_extras=True)
            types |= {f"{name}.{key}": inner[key] for key in kind.__struct_fields__}
        else:
            types[name] = kind
    return types


def _unknown(given: Given, types: Mapping[str, Any]) -> ConfigurationError:
    section = given.key.partition(".")[0]
    inside = [key for key in types if key.startswith(f"{section}.")]
    if given.key == section and inside:
        return ConfigurationError(f"{section}: a table is needed ({given.origin})")
    if section in types:
        return ConfigurationError(f"{section}: no key goes below it ({given.origin})")
    if inside:
        near = hint(given.key, inside)
    else:
        near = hint(section, {key.partition(".")[0] for key in types})
    return ConfigurationError(f"unknown setting {given.key!r} ({given.origin}){near}")


def _convert(given: Given, kind: Any) -> Any:
    value = given.value
    try:
        if given.text:
            value = _from_text(str(value), kind)

        def decode(wanted: type, raw: Any) -> Any:
            return _decode(wanted, raw, given.base)

        return msgspec.convert(value, kind, strict=not given.text, dec_hook=decode)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{given.key}: {_readable(error, given.key)} ({given.origin})"
        ) from None  # a fault's context may quote a secret
    except BusError as error:
        raise ConfigurationError(f"{given.key}: {error} ({given.origin})") from error


def _from_text(text: str, kind: Any) -> Any:
    """Return what a text from the environment or a flag stands for.

    A list is written as in TOML. The empty text unsets what may be unset.
    """
    if not text and type(None) in getattr(kind, "__args__", ()):
        return None
    bare = getattr(kind, "__origin__", None)  # of a list with bounds
    if tuple not in (get_origin(kind), get_origin(bare)):
        return text
    try:
        return parse_toml(f"value = {text}", bytes_max=CONFIG_BYTES_MAX)["value"]
    except DocumentError as error:
        raise msgspec.ValidationError(f"not a TOML array: {error}") from error


def _decode(wanted: type, raw: Any, base: Path) -> Any:
    if not isinstance(raw, str):
        raise msgspec.ValidationError(f"Expected `str`, got `{type(raw).__name__}`")
    if wanted is Path:
        if not raw or "\0" in raw:
            raise msgspec.ValidationError("Expected the path of a file or folder")
        return base / raw
    return Secret(raw)


def _readable(error: msgspec.ValidationError, key: str) -> str:
    found = _UNKNOWN_FIELD.search(str(error))
    if found is None:
        return str(error)
    kind = _TABLES.get(key, ChoiceSettings)
    return f"{error}{hint(found['name'], kind.__struct_fields__)}"


def _shown(settings: Settings, key: str) -> Any:
    value: Any = settings
    for step in key.split("."):
        value = getattr(value, step)
    return msgspec.to_builtins(value, enc_hook=str)
