"""The SQLite store: what is accepted is on disk before anybody is told so."""

from bus.adapters.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
