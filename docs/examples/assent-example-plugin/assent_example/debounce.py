"""Debounce: ends a message that follows another of its kind too soon.

Rule: at most `names_max` senders and subjects are remembered. The one that was
heard longest ago is forgotten first, so a flood of names lets messages pass, and
never holds one back that should have passed.
"""

from collections import OrderedDict
from typing import Annotated, ClassVar

import msgspec

from bus.core.message import Message
from bus.core.outcome import Dropped

SECOND_NS = 1_000_000_000


class DebounceOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """How long it must be quiet, in seconds, and how many names are remembered."""

    quiet_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    names_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000


class Debounce:
    """Lets the first message pass, as the same object, and ends what follows too soon."""

    Options: ClassVar = DebounceOptions
    name = "debounce"

    def __init__(self, options: DebounceOptions) -> None:
        self._quiet_ns = round(options.quiet_s * SECOND_NS)
        self._names_max = options.names_max
        self._heard_ns: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def process(self, message: Message, now_ns: int) -> Message | Dropped:
        """Return the message, or `Dropped` with a reason for a person."""
        key = (message.tenant, message.sender, message.subject)
        heard_ns = self._heard_ns.get(key)
        if heard_ns is not None and now_ns - heard_ns < self._quiet_ns:
            ago_ms = (now_ns - heard_ns) // 1_000_000
            return Dropped(message.id, self.name, f"the last one was {ago_ms} ms ago")
        self._heard_ns[key] = now_ns
        self._heard_ns.move_to_end(key)
        if len(self._heard_ns) > self._names_max:
            self._heard_ns.popitem(last=False)
        return message
