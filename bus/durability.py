"""Makes a bus keep its messages: its ledger, joined to what it needs, opened and told.

Rule: what was subscribed before the start is durable once the store is open, before
anything is published.
"""

from bus.core.errors import UsageError
from bus.crew import Crew
from bus.ledger import Ledger
from bus.once import Once
from bus.parts import Parts
from bus.roster import Roster
from bus.settling import Settling
from bus.subscription import Delivery, Subscription


def ledger_of(parts: Parts, crew: Crew) -> Ledger | None:
    """Return the durable side of a bus, or None where nothing is kept."""
    kept = parts.kept
    if kept is None:
        return None
    return Ledger(kept, parts.validator, parts.audit, parts.clock, crew.start)


def join(ledger: Ledger, settling: Settling, roster: Roster) -> None:
    """Let what becomes of deliveries, and who stands in for whom, be noted."""

    def lost(delivery: Delivery) -> None:
        settling.give_up(delivery, "its subscription was closed meanwhile")

    def placed(stand_in: Subscription, there: bool) -> None:  # noqa: FBT001 - in or out
        table = roster.table(stand_in.spec.tenant)
        if there:
            table.add(stand_in)
        else:
            table.remove(stand_in)

    settling.rows = ledger
    ledger.around = Once(ledger, settling).around
    ledger.keeping.lost = lost
    ledger.placed = placed


async def open_with(ledger: Ledger, roster: Roster) -> None:
    """Open the store, and make durable what was subscribed before the start.

    Raises:
        ConfigurationError, StoreBrokenError: the store cannot be opened.
        UsageError: two subscriptions have one durable name.
    """
    contents = await ledger.store.open()
    try:
        ledger.restore(contents, await ledger.store.next_due_ns())
        roster.ledger = ledger
        for subscription in roster.all:
            ledger.attach(subscription)
    except BaseException:
        ledger.stop()
        await ledger.store.close()
        raise


def required(ledger: Ledger | None) -> Ledger:
    """Return what is kept, or raise `UsageError` if nothing is."""
    if ledger is None:
        raise UsageError("nothing is kept: set store.kind to 'memory' or 'sqlite'")
    return ledger
