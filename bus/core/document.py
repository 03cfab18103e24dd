"""TOML text from outside becomes a dict, within stated bounds, or a DocumentError.

Rule: the bounds are checked before the parser runs, because its time grows with the
square of a key's dots, and one error class stands for whatever the parser raises.
"""

import re
import tomllib
from typing import Any, Final

from bus.core.limits import TOML_DOTS_PER_LINE_MAX

_PLACE: Final = re.compile(r"\s*\(at line (\d+), column \d+\)$")


class DocumentError(Exception):
    """Why the text is no document; `line` is 1-based, 0 where the parser gives none.

    `detail` may quote the text: leave it out where the text is secret.
    """

    def __init__(self, detail: str, *, line: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line


def parse_toml(text: str, *, bytes_max: int) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        DocumentError: not TOML, not encodable as UTF-8, or past a bound.
    """
    _check_bounds(text, bytes_max)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        line = int(found[1]) if found else 0
        raise DocumentError(_PLACE.sub("", str(error)), line=line) from None
    except RecursionError:
        raise DocumentError("nested too deep") from None
    except ValueError as error:  # a number or date the parser passed on unchecked
        raise DocumentError(f"a value cannot be read: {error}") from None


def _check_bounds(text: str, bytes_max: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise DocumentError("a character that UTF-8 cannot encode") from None
    if size > bytes_max:
        raise DocumentError(f"{size} bytes; {bytes_max} are allowed")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > TOML_DOTS_PER_LINE_MAX:
            raise DocumentError(
                f"more than {TOML_DOTS_PER_LINE_MAX} dots; break the line up",
                line=number,
            )
