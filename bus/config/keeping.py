"""What can be set of keeping messages: the store, and its streams."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bus.config.sections import Name, Section
from bus.core import subject as grammar
from bus.core.limits import CONFIG_STAGES_MAX
from bus.core.storelimits import (
    DEDUP_S,
    DEDUP_S_MAX,
    STREAM_AGE_S_MAX,
    STREAM_BYTES_DEFAULT,
    STREAM_BYTES_MAX,
    STREAM_MESSAGES_DEFAULT,
    STREAM_MESSAGES_MAX,
)


class StoreSettings(Section, frozen=True):
    """Where accepted messages are kept.

    `direct` hands them straight to the queues of their takers, `memory` keeps them until
    the process ends, `sqlite` in a file: then Accepted means that they are on disk.
    """

    kind: Literal["direct", "memory", "sqlite"] = "direct"
    file: Path | None = None


class StreamSettings(Section, frozen=True):
    """A stream: which subjects it keeps, and how much of them for each tenant."""

    name: Name
    subjects: Annotated[
        tuple[str, ...], msgspec.Meta(min_length=1, max_length=CONFIG_STAGES_MAX)
    ]
    max_age_seconds: (
        Annotated[float, msgspec.Meta(gt=0, le=STREAM_AGE_S_MAX)] | None
    ) = None
    max_messages: Annotated[int, msgspec.Meta(ge=1, le=STREAM_MESSAGES_MAX)] = (
        STREAM_MESSAGES_DEFAULT
    )
    max_bytes: Annotated[int, msgspec.Meta(ge=1, le=STREAM_BYTES_MAX)] = (
        STREAM_BYTES_DEFAULT
    )
    discard: Literal["settled", "old", "refuse"] = "settled"
    dedup_seconds: Annotated[float, msgspec.Meta(ge=0, le=DEDUP_S_MAX)] = DEDUP_S

    def __post_init__(self) -> None:
        for pattern in self.subjects:
            grammar.parse_pattern(pattern)
