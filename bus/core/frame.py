"""What frames of both directions are made of.

Rule: `op` is the tag; unknown ops, unknown fields and numbers out of range are refused.
"""

from typing import Annotated, Literal

import msgspec

from bus.core.edgelimits import FRAME_WORD_CHARS_MAX

Number = Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
"""A number that one side counts by and the other repeats."""
Word = Annotated[str, msgspec.Meta(max_length=FRAME_WORD_CHARS_MAX)]
Encoding = Literal["base64", "bin"]
"""Says that a body is octets: base64 text in JSON, a bin in MessagePack."""


class Frame(
    msgspec.Struct,
    frozen=True,
    tag_field="op",
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """Base of all frames. Absent is the default; times are in seconds unless named."""
