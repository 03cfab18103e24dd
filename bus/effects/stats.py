"""What an outbox counts."""

import msgspec


class OutboxStats(msgspec.Struct, kw_only=True):
    """Since the outbox was made; every row taken is counted in one of the first four.

    `published` were accepted, `held` are kept by the bus for somebody to release,
    `refused` stay in the table with the reason, `retried` are tried again. `evicted` are
    refused rows that gave way to newer ones, `faults` what the database raised.
    """

    published: int = 0
    held: int = 0
    refused: int = 0
    retried: int = 0
    evicted: int = 0
    faults: int = 0
