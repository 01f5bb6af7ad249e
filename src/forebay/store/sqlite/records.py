"""Records: typed values under keys, and sequences of numbers."""

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

from forebay.store.records import Kind, prefix_end
from forebay.store.sqlite.session import Session

T = TypeVar("T")


class SqliteRecordReader:
    """Reads records through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def find(self, kind: Kind[T], key: str) -> T | None:
        """Return the record under `key`, or None."""
        row = self._execute("SELECT value FROM record WHERE kind = ? AND key = ?", (kind.name, key)).fetchone()
        return kind.decode(row[0]) if row else None

    def list(
        self, kind: Kind[T], prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[tuple[str, T]]:
        """Return keys and values in key order."""
        end = prefix_end(prefix)
        # What is not bounded above is bounded by a value that is greater than every text: a blob.
        rows = self._execute(
            "SELECT key, value FROM record WHERE kind = ? AND key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
            (kind.name, prefix, after, b"" if end is None else end, -1 if limit is None else limit),
        )
        return [(key, kind.decode(value)) for key, value in rows.fetchall()]


class SqliteRecords(SqliteRecordReader):
    """Reads and changes records inside the writer's transaction."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.connection)
        self._session = session

    def put(self, kind: Kind[T], key: str, value: T) -> None:
        """Create the record or replace it."""
        self._execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind.name, key, kind.encode(value)))
        self._session.changes.append((kind.name, key, value))

    def delete(self, kind: Kind[T], key: str) -> bool:
        """Delete the record; return whether it was there."""
        deleted = self._execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind.name, key)).rowcount
        if deleted:
            self._session.changes.append((kind.name, key, None))
        return bool(deleted)

    def next_number(self, sequence: str) -> int:
        """Return the next number of a sequence."""
        row = self._execute(
            "INSERT INTO sequence VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
            (sequence,),
        ).fetchone()
        return row[0]
