"""Handlers that are slow, fail, or hang.

Rule: a fault is what the handler itself might do, so that the bus answers as it does to
that: a failure is tried again, and a handler that hangs is interrupted after `ack_wait`.
Inside a transaction, with once=True, it undoes that.
"""

from typing import Any

import msgspec

from bus.chaos.seam import Seam
from bus.core.errors import ProcessingError
from bus.core.faults import HANDLERS
from bus.subscription import Delivery
from bus.wants import Handler, Spec

COMPONENT = HANDLERS


class ChaosHandlers:
    """Goes around the handlers of a bus. Replies to requests are nobody's handler."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam

    def around(self, spec: Spec) -> Spec:
        """Return what a subscriber asked for, with its handler behind the seam."""
        handler = spec.handler
        call, both = handler.call, handler.wants_delivery

        async def with_body(body: Any, delivery: Delivery) -> object:
            await self._cross(delivery)
            return await (call(body, delivery) if both else call(body))

        async def alone(delivery: Delivery) -> object:
            await self._cross(delivery)
            result: object = await call(delivery)
            return result

        if handler.decode is None:
            wrapped = msgspec.structs.replace(handler, call=alone)
        else:
            wrapped = Handler(
                with_body,
                handler.decode,
                wants_delivery=True,
                shareable=handler.shareable,
            )
        return msgspec.structs.replace(spec, handler=wrapped)

    async def _cross(self, delivery: Delivery) -> None:
        strike = self._seam.strike(tuple(delivery.message.subject.split(".")))
        await self._seam.suffer(strike, ProcessingError)
