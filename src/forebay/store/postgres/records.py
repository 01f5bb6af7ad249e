"""Records: typed values under keys, and sequences of numbers. Changed only under the control lock (`Session`)."""

from collections.abc import Sequence
from typing import TypeVar

from forebay.store.postgres.connection import Connection, Row, Statement
from forebay.store.postgres.session import Session
from forebay.store.records import Kind, prefix_end

T = TypeVar("T")
_LIMIT_MAX = (1 << 63) - 1

# All changes of a commit bear the version that the commit will have.
_NEXT_VERSION = "(SELECT version + 1 FROM control)"

_FIND = Statement(
    "SELECT value FROM record WHERE kind = $1::text AND key = $2::text AND value IS NOT NULL", "text", "text"
)
_LIST = Statement(
    "SELECT key, value FROM record WHERE kind = $1::text AND key >= $2::text AND key > $3::text"
    " AND value IS NOT NULL ORDER BY key LIMIT $4::int8",
    *["text"] * 3,
    "int8",
)
_LIST_BELOW = Statement(
    "SELECT key, value FROM record WHERE kind = $1::text AND key >= $2::text AND key > $3::text AND key < $5::text"
    " AND value IS NOT NULL ORDER BY key LIMIT $4::int8",
    *["text"] * 3,
    "int8",
    "text",
)
_PUT = Statement(
    "INSERT INTO record (kind, key, value, version, node) VALUES ($1::text, $2::text, $3::bytea,"  # noqa: S608
    f" {_NEXT_VERSION}, $4::int8) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value,"
    " version = excluded.version, node = excluded.node, deleted_at = NULL",
    "text",
    "text",
    "bytea",
    "int8",
)
_DELETE = Statement(
    f"UPDATE record SET value = NULL, version = {_NEXT_VERSION}, node = $3::int8, deleted_at = now()"  # noqa: S608
    " WHERE kind = $1::text AND key = $2::text AND value IS NOT NULL RETURNING 1",
    "text",
    "text",
    "int8",
)
_NUMBER = Statement(
    "INSERT INTO sequence AS kept VALUES ($1::text, 1) ON CONFLICT (name) DO UPDATE SET value = kept.value + 1"
    " RETURNING value",
    "text",
)
_ADVANCE = Statement("UPDATE control SET version = version + 1")
# What other nodes have changed since a version, in order; one row without a record when there is nothing.
_CHANGED = Statement(
    "SELECT control.version, control.forgotten_version, record.kind, record.key, record.value FROM control"
    " LEFT JOIN record ON record.version > $1::int8 AND record.node <> $2::int8 ORDER BY record.version, record.key",
    "int8",
    "int8",
)
_LIST_KIND = Statement("SELECT key, value FROM record WHERE kind = $1::text AND value IS NOT NULL ORDER BY key", "text")
# Nodes that were away for longer read everything anew.
_FORGET = Statement(
    "WITH gone AS (DELETE FROM record WHERE value IS NULL AND deleted_at < now() - interval '1 day' RETURNING version)"
    " UPDATE control SET forgotten_version = greatest(forgotten_version, (SELECT max(version) FROM gone))"
    " WHERE EXISTS (SELECT FROM gone)"
)


class PostgresRecordReader:
    """Reads records through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._fetch = connection.fetch

    def find(self, kind: Kind[T], key: str) -> T | None:
        """Return the record under `key`, or None."""
        rows = self._fetch(_FIND, kind.name, stored_key(key))
        return kind.decode(rows[0][0]) if rows else None

    def list(
        self, kind: Kind[T], prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[tuple[str, T]]:
        """Return keys and values in key order."""
        end = prefix_end(prefix)
        bounds = (kind.name, stored_key(prefix), stored_key(after), _LIMIT_MAX if limit is None else limit)
        rows = self._fetch(_LIST, *bounds) if end is None else self._fetch(_LIST_BELOW, *bounds, stored_key(end))
        return [(given_key(key), kind.decode(value)) for key, value in rows]


class PostgresRecords(PostgresRecordReader):
    """Reads and changes records inside a writer's transaction, which holds the control lock."""

    def __init__(self, session: Session, node: int) -> None:
        super().__init__(session.connection)
        self._session = session
        self._node = node

    def put(self, kind: Kind[T], key: str, value: T) -> None:
        """Create the record or replace it."""
        self._session.change(_PUT, kind.name, stored_key(key), kind.encode(value), self._node)
        self._session.changes.append((kind.name, key, value))

    def delete(self, kind: Kind[T], key: str) -> bool:
        """Delete the record; return whether it was there."""
        rows = self._session.fetch_changed(_DELETE, kind.name, stored_key(key), self._node)
        if rows:
            self._session.changes.append((kind.name, key, None))
        return bool(rows)

    def next_number(self, sequence: str) -> int:
        """Return the next number of a sequence."""
        return self._session.fetch_changed(_NUMBER, sequence)[0][0]

    def advance(self) -> None:
        """Give the commit its version."""
        self._session.change(_ADVANCE)


def changed_since(connection: Connection, version: int, node: int) -> tuple[int, int, list[Row]]:
    """Return the present version, the version before which deletions are forgotten, and others' changes since."""
    rows = connection.fetch(_CHANGED, version, node)
    changes: list[Row] = [(row[2], given_key(row[3]), row[4]) for row in rows if row[2] is not None]
    return rows[0][0], rows[0][1], changes


def list_kind(connection: Connection, kind: str) -> list[Row]:
    """Return keys and encoded values of all records of a kind."""
    return [(given_key(key), value) for key, value in connection.fetch(_LIST_KIND, kind)]


def forget_deleted(session: Session) -> None:
    """Let go of records that were deleted long ago."""
    session.change(_FORGET)


def stored_key(key: str) -> str:
    """Return a key as PostgreSQL can hold it, which knows no U+0000 in texts; the order of keys stays theirs."""
    if "\0" not in key and "\1" not in key:
        return key
    return key.replace("\1", "\1\2").replace("\0", "\1\1")


def given_key(stored: str) -> str:
    """Return the key that is stored like this."""
    if "\1" not in stored:
        return stored
    return stored.replace("\1\1", "\0").replace("\1\2", "\1")
