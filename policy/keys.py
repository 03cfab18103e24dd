"""Stamp keys: from a TOML document, or made for one life of the process.

Rule: no key, nor any part of the document it stands in, reaches an error, a log or a
repr. Errors name the key's id; none keeps a fault of the parser as its context.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from bus.core.document import DocumentError, parse_toml
from bus.core.errors import KeyRingError
from bus.core.limits import KEYS_BYTES_MAX
from bus.core.stamp import KEY_BYTES_MIN, KeyRing

_ID: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_FORM: Final = 'active = 1, then a table [keys] with lines like 1 = "<hex>"'


def parse_keys(text: str) -> KeyRing:
    """Make a ring from `active` and the table `keys`: id = 32 to 64 bytes in hex.

    Raises:
        KeyRingError: not such a document, or not keys a `KeyRing` takes.
    """
    document, line = _read(text)
    if document is None:
        place = f"line {line} of " if line else ""
        raise KeyRingError(f"{place}the stamp keys is not valid TOML: {_FORM}")
    if document.keys() != {"active", "keys"}:
        raise KeyRingError(f"the stamp keys need exactly this form: {_FORM}")
    active, table = document["active"], document["keys"]
    if type(active) is not int:
        raise KeyRingError(f"active: the number of a stamp key is needed: {_FORM}")
    if not isinstance(table, dict):
        raise KeyRingError(f"keys: a table is needed: {_FORM}")
    return KeyRing(dict(_key(*entry) for entry in table.items()), active)


def generate() -> KeyRing:
    """Make a ring of one random key: what it stamps, only this process can check."""
    return KeyRing({1: os.urandom(KEY_BYTES_MIN)}, active=1)


def beside(store: Path) -> Path:
    """Return `<store>-keys`, which is made with the store if neither is there.

    Raises:
        KeyRingError: the store is there and its keys are not, or they cannot be made.
    """
    file = store.with_name(f"{store.name}-keys")
    try:
        if not file.exists():
            if store.exists():
                raise KeyRingError(
                    f"{file} is missing: what {store} holds can be checked only under "
                    "the keys it was stamped with; put the file back, or name the keys "
                    "in stamp.keys_file"
                )
            write_new(file)
    except OSError as error:
        raise KeyRingError(f"stamp keys {file}: {error.strerror}") from error
    return file


def write_new(file: Path) -> None:
    """Write a document with one new key, readable by its owner only.

    Raises:
        FileExistsError: something is there; it is left alone.
        OSError: it cannot be written.
    """
    text = f'active = 1\n\n[keys]\n1 = "{os.urandom(KEY_BYTES_MIN).hex()}"\n'
    # Whole or not there: who is killed in between leaves no half of a document behind.
    import tempfile  # noqa: PLC0415 - slow, and rarely needed

    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".keys-") as beside:
        beside.write(text)
        beside.flush()
        os.fsync(beside.fileno())
        os.link(beside.name, file)


def _read(text: str) -> tuple[dict[str, Any] | None, int]:
    """Return the document, or None and the faulty line; never the fault, it may quote."""
    try:
        return parse_toml(text, bytes_max=KEYS_BYTES_MAX), 0
    except DocumentError as error:
        return None, error.line


def _key(name: str, value: object) -> tuple[int, bytes]:
    if _ID.fullmatch(name) is None:
        raise KeyRingError(
            "an id in [keys] is not a plain decimal number (0 to 2^32-1)"
        )
    if not isinstance(value, str) or _HEX.fullmatch(value) is None:
        raise KeyRingError(f"stamp key {name} is not pairs of hex digits in quotes")
    return int(name), bytes.fromhex(value)
