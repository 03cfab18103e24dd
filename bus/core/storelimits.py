"""Every bound on keeping messages: stores, streams, consumers, inbox and outbox.

As in `limits`: unit last, and what happens at a bound is said beside it.
"""

from typing import Final

# The message store.
DECISIONS_ENCODED_MAX: Final = 1_024  # kept encoded; then all are forgotten
STORE_PENDING_CHANGES_MAX: Final = 65_536  # past it: publishing waits
STORE_PENDING_BYTES_MAX: Final = 64 << 20  # likewise
STORE_WAIT_S: Final = 10.0  # for room; then Failed(store_unavailable)
STORE_BATCH_CHANGES_MAX: Final = 512  # in one commit: the next is prepared meanwhile
STORE_BATCH_BYTES_MAX: Final = 16 << 20
STORE_CHECK_BYTES_MAX: Final = 64 << 20  # a larger file is checked by samples
STORE_SAMPLES: Final = 1_000  # entries whose seals are checked at opening
STORE_PAGE_ROWS_MAX: Final = 4_096  # read at once
STORE_PAGE_BYTES_MAX: Final = 4 << 20  # of entries, likewise; at least one row is read
STORE_TRIM_ROWS_MAX: Final = 10_000  # messages that one cut removes at most
STREAMS_MAX: Final = 64  # that the settings may name
STREAMS_OPEN_MAX: Final = 100_000  # of all tenants; past it: refused
CONSUMERS_MAX: Final = 100_000  # of all tenants; past it a subscription is refused
LETTERS_KEPT_MAX: Final = 1_000_000  # in a store; the oldest give way, and are counted
LETTERS_CULLED_SHARE: Final = (
    0.9  # of it: the tenants that have most give way from here
)
LETTERS_LEFT_SHARE: Final = 0.8  # of it: that many are left
STREAM_MESSAGES_DEFAULT: Final = 50_000_000  # of a tenant; past it: as `discard` says
STREAM_BYTES_DEFAULT: Final = 16 << 30  # likewise
STREAM_MESSAGES_MAX: Final = 1 << 40
STREAM_BYTES_MAX: Final = 1 << 50
STREAM_AGE_S_MAX: Final = 10 * 366 * 24 * 3600.0
DEDUP_S: Final = 120.0
DEDUP_S_MAX: Final = 24 * 3600.0
STREAM_SLACK_SHARE: Final = 0.01  # of a limit, cut at once when it is reached
STREAM_AGE_CHECK_S: Final = 1.0  # between cuts of what is too old
FEED_MESSAGES_MAX: Final = 1_000  # of a consumer in memory; the rest waits in the store
FEED_MESSAGES_LOW: Final = 250  # then more is read
FEED_RETRY_S: Final = 1.0  # before an unavailable store is read again
LETTERS_READ_MAX: Final = 1_000  # at once
SYSTEM_EVENTS_WAITING_MAX: Final = 1_000  # then the oldest is dropped, and counted
OUTBOX_MESSAGES_MAX: Final = 1_000  # that one handler's transaction may hold
DUE_CHECK_S: Final = 60.0  # between looks at the clock while scheduled messages wait
DUE_MESSAGES_MAX: Final = 1_000  # scheduled messages made pending at once
DELAY_S_MAX: Final = 366 * 24 * 3600.0
DEDUP_IDS_MAX: Final = 4_000_000  # remembered
TENANT_SHARES: Final = 4  # of names and consumers, a tenant takes one at most

# Inbox and outbox in the user's own database (bus.effects).
INBOX_KEEP_S: Final = 31 * 24 * 3600.0  # of a message's age; older is refused
INBOX_KEEP_S_MAX: Final = 10 * 366 * 24 * 3600.0
INBOX_PURGE_ROWS: Final = 1_000  # deleted in one transaction
OUTBOX_ROWS_MAX: Final = 1_000_000  # of an agent, waiting; past it: OverloadedError
OUTBOX_REFUSED_MAX: Final = 10_000  # of an agent; the oldest is evicted and counted
OUTBOX_BATCH_ROWS: Final = 32  # published before their endings are noted
OUTBOX_ATTEMPTS_MAX: Final = 10  # of a message that fails by itself; then it is refused
OUTBOX_POLL_S: Final = 0.25  # between looks at an outbox in which nothing waits
OUTBOX_POLL_S_MAX: Final = 3600.0

# The SQLite store, beyond the bounds above.
STORE_BUSY_S: Final = 5.0  # for a lock of another program, then it is tried again later
STORE_CACHE_BYTES: Final = 16 << 20  # of each of two connections
STORE_READ_BYTES: Final = 4 << 20  # of entries in one step, about; then the next
STORE_CHECKPOINT_BYTES: Final = 32 << 20  # in the log, about; then it goes to the file
STORE_PURGE_EACH_S: Final = 60.0  # publishers' ids whose time is over
STORE_RETRY_S: Final = 0.25  # before it is tried again on a full disk, then the double
STORE_RETRY_S_MAX: Final = 5.0
