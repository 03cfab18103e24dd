"""The file of credentials: hashes of tokens, who is quarantined, what was cut off.

Rule: no secret is ever in here, and nobody but its owner may open the file. Every change
is on disk when its call returns. All of it blocks; call it from a thread.
"""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bus.core.edgeerrors import ConflictError
from bus.core.edgelimits import TOKENS_BUSY_S, TOKENS_ENDED_KEPT_S, TOKENS_MAX
from bus.core.errors import (
    ConfigurationError,
    LimitExceededError,
    StoreUnavailableError,
)

_VERSION: Final = 1
_OWNER_ONLY: Final = 0o600
_NS_PER_S: Final = 1_000_000_000
_SCHEMA: Final = """
CREATE TABLE tokens (
  id TEXT PRIMARY KEY, digest BLOB NOT NULL, agent TEXT NOT NULL, tenant TEXT NOT NULL,
  roles TEXT NOT NULL, scope TEXT NOT NULL, label TEXT NOT NULL, made_by TEXT NOT NULL,
  created_ns INTEGER NOT NULL, expires_ns INTEGER, revoked_ns INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
  agent TEXT PRIMARY KEY, by TEXT NOT NULL, reason TEXT NOT NULL,
  since_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE cut (agent TEXT PRIMARY KEY, before_ns INTEGER NOT NULL)
STRICT, WITHOUT ROWID;
"""
_COLUMNS: Final = (
    "id, digest, agent, tenant, roles, scope, label, made_by, created_ns, expires_ns, "
    "revoked_ns"
)


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept. Times are nanoseconds since the epoch."""

    id: str
    digest: bytes
    agent: str
    tenant: str
    roles: tuple[str, ...]
    scope: str
    label: str
    made_by: str
    created_ns: int
    expires_ns: int | None = None
    revoked_ns: int | None = None


class QuarantineRow(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is let in by no credential, until it is lifted."""

    agent: str
    by: str
    reason: str
    since_ns: int


class Held(msgspec.Struct, frozen=True):
    """All that the file holds. `cut` has the time up to which issued tokens are void."""

    tokens: dict[str, TokenRow]
    quarantine: dict[str, QuarantineRow]
    cut: dict[str, int]


class TokenFile:
    """The file at `path`, made where it is not there; in memory where `path` is None.

    Raises:
        ConfigurationError: it cannot be used, is somebody else's, or others may read it.
        StoreUnavailableError: of every method: the file cannot be read or written now.
    """

    def __init__(self, path: Path | None) -> None:
        self._place = ":memory:" if path is None else str(path)
        self._lock = threading.Lock()
        if path is not None:
            _make_sure(path)
        try:
            self._line = sqlite3.connect(
                self._place,
                timeout=TOKENS_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._open()
            except BaseException:
                self._line.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(f"tokens {self._place}: {error}") from error

    def _open(self) -> None:
        self._line.execute("PRAGMA synchronous = FULL")
        self._line.execute("BEGIN IMMEDIATE")
        (version,) = self._line.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                self._line.execute(statement)
            self._line.execute(f"PRAGMA user_version = {_VERSION}")
        self._line.execute("COMMIT")
        if version not in {0, _VERSION}:
            raise ConfigurationError(
                f"tokens {self._place}: version {version}; this one reads {_VERSION}"
            )

    def version(self) -> int:
        """Return a number that changes whenever another process changed the file."""
        with self._reading() as line:
            (number,) = line.execute("PRAGMA data_version").fetchone()
            return int(number)

    def read(self) -> Held:
        """Return all of it, as it stands at one moment."""
        with self._changing() as line:
            return Held(
                {row.id: row for row in map(_token, line.execute(_select()))},
                {
                    row[0]: QuarantineRow(
                        agent=row[0], by=row[1], reason=row[2], since_ns=row[3]
                    )
                    for row in line.execute(
                        "SELECT agent, by, reason, since_ns FROM quarantine"
                    )
                },
                dict(line.execute("SELECT agent, before_ns FROM cut")),
            )

    def token(self, token_id: str) -> TokenRow | None:
        """Return a token by its id, or None."""
        with self._reading() as line:
            row = line.execute(_select("WHERE id = ?"), (token_id,)).fetchone()
            return None if row is None else _token(row)

    def add(self, row: TokenRow, *, first: bool = False) -> bool:
        """Keep a token; with `first` only where there is none yet. Tell whether it did.

        Raises:
            LimitExceededError: TOKENS_MAX are there, not counting long ended ones.
            ConflictError: the id is taken.
        """
        with self._changing() as line:
            _forget_ended(line, row.created_ns)
            (count,) = line.execute("SELECT count(*) FROM tokens").fetchone()
            if first and count:
                return False
            if count >= TOKENS_MAX:
                raise LimitExceededError("tokens", actual=count + 1, allowed=TOKENS_MAX)
            values = [getattr(row, name) for name in _COLUMNS.split(", ")]
            values[4] = "\n".join(row.roles)
            marks = ", ".join("?" * len(values))
            try:
                line.execute(
                    f"INSERT INTO tokens ({_COLUMNS}) VALUES ({marks})",  # noqa: S608 - names of our own
                    values,
                )
            except sqlite3.IntegrityError:
                raise ConflictError(f"token {row.id} is there already") from None
            return True

    def revoke(self, token_id: str, now_ns: int) -> TokenRow | None:
        """End a token at once, and return it; None if there is none of that id."""
        with self._changing() as line:
            line.execute(
                "UPDATE tokens SET revoked_ns = coalesce(revoked_ns, ?) WHERE id = ?",
                (now_ns, token_id),
            )
            row = line.execute(_select("WHERE id = ?"), (token_id,)).fetchone()
            return None if row is None else _token(row)

    def revoke_all(self, agent: str, now_ns: int) -> list[str]:
        """End all of an agent's tokens, and all that issuers gave it up to now.

        Returns the ids of the tokens that ended.
        """
        with self._changing() as line:
            ended = line.execute(
                "UPDATE tokens SET revoked_ns = ? WHERE agent = ? AND revoked_ns IS NULL "
                "RETURNING id",
                (now_ns, agent),
            ).fetchall()
            line.execute("INSERT OR REPLACE INTO cut VALUES (?, ?)", (agent, now_ns))
            return sorted(token_id for (token_id,) in ended)

    def quarantine(self, row: QuarantineRow) -> None:
        """Let an agent in no more; what was said of it before is replaced."""
        with self._changing() as line:
            line.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)",
                (row.agent, row.by, row.reason, row.since_ns),
            )

    def lift(self, agent: str) -> bool:
        """Let an agent in again; tell whether it was quarantined."""
        with self._changing() as line:
            done = line.execute("DELETE FROM quarantine WHERE agent = ?", (agent,))
            return done.rowcount > 0

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        with self._lock:
            self._line.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._line
            except sqlite3.Error as error:
                raise StoreUnavailableError(f"tokens {self._place}: {error}") from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as line:
            line.execute("BEGIN IMMEDIATE")
            try:
                yield line
                line.execute("COMMIT")
            except BaseException:
                if line.in_transaction:
                    line.execute("ROLLBACK")
                raise


def _select(where: str = "") -> str:
    return f"SELECT {_COLUMNS} FROM tokens {where}"  # noqa: S608 - names of our own


def _token(row: tuple[object, ...]) -> TokenRow:
    names = _COLUMNS.split(", ")
    fields = dict(zip(names, row, strict=True))
    fields["roles"] = tuple(str(fields["roles"]).split("\n")) if fields["roles"] else ()
    return msgspec.convert(fields, TokenRow)


def _forget_ended(line: sqlite3.Connection, now_ns: int) -> None:
    """Let go of what ended so long ago that nobody asks what it was."""
    before_ns = now_ns - int(TOKENS_ENDED_KEPT_S * _NS_PER_S)
    line.execute(
        "DELETE FROM tokens WHERE min(coalesce(expires_ns, revoked_ns), "
        "coalesce(revoked_ns, expires_ns)) < ?",
        (before_ns,),
    )


def _make_sure(path: Path) -> None:
    """Make an empty file that is its owner's alone, or look whether it is."""
    try:
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            os.close(os.open(path, flags, _OWNER_ONLY))
        except FileExistsError:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(
                    f"node.tokens_file {path}: mode {mode:04o} lets others at the "
                    "credentials; make it 0600"
                ) from None
    except OSError as error:
        raise ConfigurationError(
            f"node.tokens_file {path}: {error.strerror or error}"
        ) from error
