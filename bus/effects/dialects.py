"""The SQL of inbox and outbox: what each database is told, and where they differ."""

from typing import Final

import msgspec

from bus.effects.steps import Statement


class Dialect(msgspec.Struct, frozen=True):
    """What one database has words of its own for.

    `tables` are the statements that make what is missing. `standing` reads what is
    known of (message, consumer): token, floor, and the isolation if it matters.
    """

    name: str
    tables: tuple[str, ...]
    standing: str


SAVEPOINT: Final[Statement] = ("SAVEPOINT assent_once", ())
RELEASE: Final[Statement] = ("RELEASE SAVEPOINT assent_once", ())
COMMIT: Final[Statement] = ("COMMIT", ())
ROLLBACK: Final[Statement] = ("ROLLBACK", ())

# The inbox. Ids are time-ordered, so its rows are written and purged in their order.
CLAIM: Final = (
    "INSERT INTO assent_inbox (message, consumer, token) VALUES (?, ?, ?)"
    " ON CONFLICT (message, consumer) DO NOTHING RETURNING token"
)
LOCK_FLOOR: Final = "SELECT message FROM assent_inbox_floor FOR SHARE"
OLDEST: Final = (
    "SELECT message FROM (SELECT message FROM assent_inbox WHERE message < ?"
    " ORDER BY message LIMIT ?) AS oldest ORDER BY message DESC LIMIT 1"
)
RAISE_FLOOR: Final = "UPDATE assent_inbox_floor SET message = ? WHERE message < ?"
PURGE: Final = "DELETE FROM assent_inbox WHERE message <= ? RETURNING token"

# The outbox. `id` orders; a row with a reason in `refused` waits for a person.
PUT: Final = (
    "INSERT INTO assent_outbox (agent, dedup, subject, body, content_type, options,"
    " lineage, seal, created_ns) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?"
    " WHERE coalesce("
    "(SELECT max(id) FROM assent_outbox WHERE agent = ? AND refused IS NULL)"
    " - (SELECT min(id) FROM assent_outbox WHERE agent = ? AND refused IS NULL), 0) < ?"
    " ON CONFLICT (agent, dedup) DO NOTHING RETURNING id"
)
KNOWN: Final = "SELECT id FROM assent_outbox WHERE agent = ? AND dedup = ?"
TAKE: Final = (
    "SELECT id, attempts, dedup, subject, body, content_type, options, lineage, seal"
    " FROM assent_outbox WHERE agent = ? AND refused IS NULL ORDER BY id LIMIT ?"
)
GONE: Final = "DELETE FROM assent_outbox WHERE id = ?"
TRIED: Final = "UPDATE assent_outbox SET attempts = attempts + 1 WHERE id = ?"
REFUSE: Final = (
    "UPDATE assent_outbox SET attempts = attempts + 1, refused = ? WHERE id = ?"
)
EVICT: Final = (
    "DELETE FROM assent_outbox WHERE agent = ? AND refused IS NOT NULL AND id <="
    " (SELECT id FROM assent_outbox WHERE agent = ? AND refused IS NOT NULL"
    " ORDER BY id DESC LIMIT 1 OFFSET ?) RETURNING id"
)
WAITING: Final = (
    "SELECT count(*) FROM assent_outbox WHERE agent = ? AND refused IS NULL"
)
REFUSED: Final = (
    "SELECT id, subject, dedup, refused, attempts FROM assent_outbox"
    " WHERE agent = ? AND refused IS NOT NULL ORDER BY id LIMIT ?"
)
REOFFER: Final = (
    "UPDATE assent_outbox SET refused = NULL, attempts = 0"
    " WHERE agent = ? AND id = ? AND refused IS NOT NULL RETURNING id"
)
DISCARD: Final = (
    "DELETE FROM assent_outbox"
    " WHERE agent = ? AND id = ? AND refused IS NOT NULL RETURNING id"
)

_INDEXES: Final = (
    """CREATE INDEX IF NOT EXISTS assent_outbox_waiting
    ON assent_outbox (agent, id) WHERE refused IS NULL""",
    """CREATE INDEX IF NOT EXISTS assent_outbox_refused
    ON assent_outbox (agent, id) WHERE refused IS NOT NULL""",
)

SQLITE: Final = Dialect(
    name="SQLite",
    tables=(
        """CREATE TABLE IF NOT EXISTS assent_inbox (
    message BLOB NOT NULL,
    consumer TEXT NOT NULL,
    token INTEGER NOT NULL,
    PRIMARY KEY (message, consumer)
) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS assent_inbox_floor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    message BLOB NOT NULL
)""",
        "INSERT OR IGNORE INTO assent_inbox_floor (id, message) VALUES (1, x'')",
        """CREATE TABLE IF NOT EXISTS assent_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent TEXT NOT NULL,
    dedup TEXT NOT NULL,
    subject TEXT NOT NULL,
    body BLOB NOT NULL,
    content_type TEXT NOT NULL,
    options TEXT NOT NULL,
    lineage BLOB NOT NULL,
    seal BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    refused TEXT,
    UNIQUE (agent, dedup)
)""",
        *_INDEXES,
    ),
    standing=(
        "SELECT (SELECT max(token) FROM assent_inbox WHERE message = ? AND consumer = ?),"
        " (SELECT message FROM assent_inbox_floor), ''"
    ),
)
POSTGRES: Final = Dialect(
    name="PostgreSQL",
    tables=(
        # Two that make a table at the same time: one of them fails without it.
        "SELECT pg_advisory_xact_lock(4702111234474983745)",
        """CREATE TABLE IF NOT EXISTS assent_inbox (
    message BYTEA NOT NULL,
    consumer TEXT NOT NULL,
    token BIGINT NOT NULL,
    PRIMARY KEY (message, consumer)
)""",
        """CREATE TABLE IF NOT EXISTS assent_inbox_floor (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    message BYTEA NOT NULL
)""",
        "INSERT INTO assent_inbox_floor (id, message) VALUES (1, '') ON CONFLICT DO NOTHING",
        """CREATE TABLE IF NOT EXISTS assent_outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent TEXT NOT NULL,
    dedup TEXT NOT NULL,
    subject TEXT NOT NULL,
    body BYTEA NOT NULL,
    content_type TEXT NOT NULL,
    options TEXT NOT NULL,
    lineage BYTEA NOT NULL,
    seal BYTEA NOT NULL,
    created_ns BIGINT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    refused TEXT,
    UNIQUE (agent, dedup)
)""",
        *_INDEXES,
    ),
    standing=(
        "SELECT (SELECT max(token) FROM assent_inbox WHERE message = ? AND consumer = ?),"
        " (SELECT message FROM assent_inbox_floor),"
        " current_setting('transaction_isolation')"
    ),
)
