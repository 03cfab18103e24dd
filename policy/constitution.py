"""The constitution: the principles every message stands under, and their hash.

A TOML document: `name`, `version`, one `[[principle]]` table each with `id`, `text`
and `severity`, and optionally `identifier`, which pins the hash.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import rfc8785

from bus.core import suggest
from bus.core.document import DocumentError, parse_toml
from bus.core.errors import ConstitutionError
from bus.core.limits import CONSTITUTION_BYTES_MAX, PRINCIPLE_CHARS_MAX, PRINCIPLES_MAX

Severity = Literal["low", "medium", "high", "critical"]
HASH_CHARS: Final = 16
_KEY_CHARS_SHOWN: Final = 64

_DEFAULT_FILE: Final = Path(__file__).parent / "constitutions" / "default.toml"
_FORMS: Final = {
    "name": "up to 128 printable characters",
    "version": "up to 64 letters, digits, '.', '+' and '-'",
    "identifier": "16 digits of 0-9 and a-f",
    "id": "up to 64 of a-z, 0-9, '-' and '_'",
    "text": f"1 to {PRINCIPLE_CHARS_MAX} characters",
    "severity": "low, medium, high or critical",
    "principle": f"1 to {PRINCIPLES_MAX} [[principle]] tables",
}
_FIELD_PATH: Final = re.compile(r" - at `\$\.?(.*)`$")

_Name = Annotated[
    str, msgspec.Meta(pattern=r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]{0,127})\Z")
]
_Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.+-]{1,64}\Z")]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=PRINCIPLE_CHARS_MAX)]
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


BUILT_IN: "Constitution"
"""The constitution in force where none is configured."""


class Principle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `severity` says how grave it is to break it."""

    id: _Id
    text: _Text
    severity: Severity


class Constitution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document's content. `hash` is what every message is stamped with."""

    name: _Name
    version: _Version
    principles: Annotated[
        tuple[Principle, ...], msgspec.Meta(min_length=1, max_length=PRINCIPLES_MAX)
    ] = msgspec.field(name="principle")
    identifier: _Hash | None = None

    @property
    def hash(self) -> str:
        """The pinned identifier, or the content's hash."""
        return self.identifier or self.content_hash

    @property
    def content_hash(self) -> str:
        """The first 16 hex digits of SHA-256 over the canonical JSON (RFC 8785).

        It covers the document as it stands in TOML, all keys but `identifier`.
        """
        content = msgspec.to_builtins(self)
        del content["identifier"]
        return hashlib.sha256(rfc8785.dumps(content)).hexdigest()[:HASH_CHARS]


def load(path: Path) -> Constitution:
    """Read a constitution from a file.

    Raises:
        ConstitutionError: the file cannot be read, or as for `parse`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(CONSTITUTION_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise ConstitutionError(f"constitution {str(path)!r}: {error}") from error
    try:
        return parse(content.decode())
    except UnicodeDecodeError as error:
        raise ConstitutionError(
            f"constitution {str(path)!r}: byte {error.start} is not UTF-8; "
            "save the file as UTF-8"
        ) from error
    except ConstitutionError as error:
        raise ConstitutionError(f"{path}: {error}") from error


def parse(text: str) -> Constitution:
    """Parse a constitution.

    Raises:
        ConstitutionError: not TOML, past a bound, an unknown or missing key, a value
            of the wrong type or form, or two principles with one id.
    """
    try:
        document = parse_toml(text, bytes_max=CONSTITUTION_BYTES_MAX)
    except DocumentError as error:
        place = f"line {error.line}: " if error.line else ""
        raise ConstitutionError(f"{place}{error.detail}") from error
    _check_keys(document, Constitution, "the document")
    principles = document.get("principle")
    for number, table in enumerate(principles if type(principles) is list else ()):
        _check_keys(table, Principle, f"principle[{number}]")
    try:
        made = msgspec.convert(document, Constitution)
    except msgspec.ValidationError as error:
        place, reason = _explain(str(error))
        raise ConstitutionError(f"{place}: {reason}") from error
    _check_unique(made.principles)
    return made


def __getattr__(name: str) -> Constitution:
    """Read `BUILT_IN` when it is first asked for: importing this module reads no file."""
    if name != "BUILT_IN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = load(_DEFAULT_FILE)
    return made


def _check_keys(table: Any, form: type[msgspec.Struct], where: str) -> None:
    """Refuse a key that `form` has not, with the key that was probably meant."""
    known = form.__struct_encode_fields__
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            shown = key[:_KEY_CHARS_SHOWN]
            raise ConstitutionError(
                f"{where}: unknown key {shown!r}{suggest.hint(shown, known)}; "
                f"known are {', '.join(known)}"
            )


def _check_unique(principles: tuple[Principle, ...]) -> None:
    seen: set[str] = set()
    for principle in principles:
        if principle.id in seen:
            raise ConstitutionError(
                f"two principles have the id {principle.id!r}; rename one"
            )
        seen.add(principle.id)


def _explain(fault: str) -> tuple[str, str]:
    """Split the decoder's words into the place and what to do there."""
    found = _FIELD_PATH.search(fault)
    place = found[1] if found else "the document"
    reason = _FIELD_PATH.sub("", fault)
    form = _FORMS.get(place.rpartition(".")[2])
    return place, f"{reason}; needed: {form}" if form else reason
