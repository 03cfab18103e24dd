"""Whose turn it is where not everything that is queued may go: keys, and too many out.

Rule: a subscription that is not `careful` never comes here. One that is has messages
with an ordering key, or may have as many out as it may have: then nothing new goes
until one is over, and only what was tried before is tried again.
"""

from typing import Final

from bus.core.delivery import State
from bus.subscription import Delivery, Subscription

_OUT: Final = frozenset({State.READY, State.IN_FLIGHT})


def stuck(sub: Subscription) -> bool:
    """Tell whether nothing in the queue may go until one that is out is over."""
    return not sub.returned and _at_bound(sub)


def draw(sub: Subscription) -> Delivery | None:
    """Take what goes next.

    None is no promise: let the loop go round, and look again unless it is `stuck`.
    """
    before = sub.aside
    delivery = sub.draw(returned=_at_bound(sub))
    if sub.aside != before:
        sub.hold(sub.aside - before)  # it keeps the room it had in the queue
    sub.careful = sub.keyed
    sub.heed()
    return delivery


def over(delivery: Delivery) -> None:
    """Let others go in place of a delivery that has ended, or never will begin."""
    sub = delivery.subscription
    if not sub.careful:
        return
    before = sub.aside
    sub.leave(delivery)
    if sub.aside != before:
        sub.hold(sub.aside - before)
    if sub.size:
        sub.call()


def _at_bound(sub: Subscription) -> bool:
    """Tell whether as many are out as may be: in a handler's hands, or to be tried again."""
    spec = sub.spec
    out = len(sub.delayed) + sub.returned
    if out + spec.max_in_flight <= spec.max_ack_pending:
        return False  # as one of the workers asks
    for worker in sub.workers:
        # A handler that has settled and still runs is not waited for.
        if worker.delivery is not None and worker.delivery.state in _OUT:
            out += 1
    return out >= spec.max_ack_pending
