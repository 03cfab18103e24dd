"""Decisions looked up in logs: those on a message, or the one of a decision id.

Rule: only lines that name the id are read; one of these that is no decision is an
error, for it may be the one.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.limits import EXPLAIN_DECISIONS_MAX
from policy.replay import reading
from policy.replay.reading import Line, Recorded, UnreadableError


class Found(msgspec.Struct, frozen=True):
    """A decision and where it stands."""

    line: Line
    recorded: Recorded


def find(logs: Sequence[Path], wanted: str) -> list[Found]:
    """Return the decisions on the message, or of the decision id, `wanted`, in order.

    Raises:
        ConfigurationError: there is none or too many, or a log cannot be read.
    """
    name = wanted.encode()
    found: dict[str, Found] = {}
    for line in reading.lines(logs):
        if name not in line.text:
            continue
        try:
            recorded = reading.decode(line.text)
        except UnreadableError as error:
            raise ConfigurationError(f"{line.file}:{line.number}: {error}") from None
        if wanted in (recorded.message_id, recorded.decision_id):
            found.setdefault(recorded.decision_id, Found(line, recorded))
        if len(found) > EXPLAIN_DECISIONS_MAX:
            raise ConfigurationError(
                f"more than {EXPLAIN_DECISIONS_MAX} decisions on {wanted}: "
                "name one of them by its decision id"
            )
    if not found:
        names = ", ".join(str(path) for path in logs)
        raise ConfigurationError(f"no decision on message {wanted} in {names}")
    return list(found.values())
