"""Subject grammar and wildcards (NATS conventions).

Tokens split by `.`, printable ASCII, case-sensitive; in a pattern `*` is one token
and `>` one or more at the tail. Subjects that start with `$` belong to the bus.
"""

import re
from typing import Final

from bus.core.errors import LimitExceededError, SubjectError
from bus.core.limits import SUBJECT_BYTES_MAX, SUBJECT_TOKENS_MAX

ANY: Final = "*"
TAIL: Final = ">"
DEAD_PREFIX: Final = "$DEAD."
INBOX_PREFIX: Final = "$INBOX."
SYSTEM_PREFIX: Final = "$SYS."

_TOKEN: Final = re.compile(r"[!-)+,\-/-=?-~]+")


def parse(subject: str) -> tuple[str, ...]:
    """Split a subject to publish to into tokens.

    Raises:
        SubjectError: an empty token, a wildcard, a space or a non-ASCII character.
        LimitExceededError: too long, or too many tokens.
    """
    tokens = _split(subject)
    for token in tokens:
        if _TOKEN.fullmatch(token) is None:
            raise SubjectError(f"subject {subject!r}: {_why(token)}")
    return tokens


def parse_pattern(pattern: str) -> tuple[str, ...]:
    """Split a subscription's pattern into tokens.

    Raises:
        SubjectError: as for `parse`, or `>` before the last token.
        LimitExceededError: too long, or too many tokens.
    """
    tokens = _split(pattern)
    for index, token in enumerate(tokens):
        last = index == len(tokens) - 1
        if token == ANY or (token == TAIL and last):
            continue
        if token == TAIL:
            raise SubjectError(f"pattern {pattern!r}: '>' stands only at the end")
        if _TOKEN.fullmatch(token) is None:
            raise SubjectError(f"pattern {pattern!r}: {_why(token)}")
    return tokens


def matches(pattern: tuple[str, ...], subject: tuple[str, ...]) -> bool:
    """Tell whether `subject` falls under `pattern`.

    A wildcard in the first place does not match a subject of the bus's own (`$…`).
    """
    if subject[:1] != pattern[:1] and subject and subject[0].startswith("$"):
        return False
    if pattern and pattern[-1] == TAIL:
        head = pattern[:-1]
        return len(subject) > len(head) and matches(head, subject[: len(head)])
    return len(pattern) == len(subject) and all(
        p in (ANY, s) for p, s in zip(pattern, subject, strict=True)
    )


def _split(text: str) -> tuple[str, ...]:
    if not isinstance(text, str):
        raise SubjectError(f"a subject is a string, not {type(text).__name__}")
    # What died under any subject can be published under its dead-letter subject.
    dead = text.startswith(DEAD_PREFIX)
    bytes_max = SUBJECT_BYTES_MAX + (len(DEAD_PREFIX) if dead else 0)
    tokens_max = SUBJECT_TOKENS_MAX + (1 if dead else 0)
    if len(text) > bytes_max:
        raise LimitExceededError("subject bytes", actual=len(text), allowed=bytes_max)
    tokens = tuple(text.split("."))
    if len(tokens) > tokens_max:
        raise LimitExceededError(
            "subject tokens", actual=len(tokens), allowed=tokens_max
        )
    return tokens


def _why(token: str) -> str:
    if not token:
        return "an empty token"
    if ANY in token or TAIL in token:
        return f"a wildcard in {token!r}"
    return f"{token!r} is not printable ASCII"
