"""A handler's writes to a database of the user's own happen once: inbox and outbox.

Rule: what is to happen once is one transaction of the user's database, so nothing here
opens a connection of its own but the relay of an outbox.
"""

from bus.effects.errors import ForgottenError, StaleTokenError, TransactionError
from bus.effects.handed import Handed
from bus.effects.inbox import join, once, purge
from bus.effects.outbox import Outbox
from bus.effects.publishing import Publisher
from bus.effects.rows import Refused
from bus.effects.stats import OutboxStats
from bus.effects.tables import create_tables, tables

__all__ = [
    "once",
    "join",
    "purge",
    "create_tables",
    "tables",
    "Outbox",
    "OutboxStats",
    "Refused",
    "Handed",
    "Publisher",
    "StaleTokenError",
    "ForgottenError",
    "TransactionError",
]
