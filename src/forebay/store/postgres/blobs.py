"""Blobs: immutable bytes under the SHA-256 of their content, in parts of a mebibyte."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from forebay.store.postgres.connection import Connection, Statement

T = TypeVar("T")

_PART_BYTES = 1024 * 1024

_HAS = Statement("SELECT 1 FROM blob WHERE name = $1::text AND part = 0", "text")
_PUT = Statement(
    "INSERT INTO blob (name, part, data) VALUES ($1::text, $2::int8, $3::bytea) ON CONFLICT DO NOTHING",
    "text",
    "int8",
    "bytea",
)
_GET = Statement("SELECT data FROM blob WHERE name = $1::text ORDER BY part", "text")
_DELETE = Statement("DELETE FROM blob WHERE name = ANY ($1::text[])", "text[]")


class _Run(Protocol):
    """Runs work in a transaction of its own, in another thread; work can be run again."""

    def __call__(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Run it and return its result."""
        ...


class PostgresBlobs:
    """Blobs in the database, so that every node has them."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    async def put(self, data: bytes) -> str:
        """Keep `data` durably and return its name.

        Raises:
            Unavailable: the database cannot be written; nothing is kept.
        """
        return await self._run(lambda connection: _put(connection, bytes(data)))

    async def get(self, name: str) -> bytes:
        """Return the bytes.

        Raises:
            KeyError: there is no such blob.
        """
        return await self._run(lambda connection: _get(connection, name))

    async def delete(self, names: Sequence[str]) -> None:
        """Delete blobs; those that are not there are skipped."""
        await self._run(lambda connection: connection.fetch(_DELETE, sorted(names)))


def _put(connection: Connection, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    # Parts are committed together: who sees the first sees all.
    if not connection.fetch(_HAS, name):
        for part, start in enumerate(range(0, max(len(data), 1), _PART_BYTES)):
            connection.send(_PUT, name, part, data[start : start + _PART_BYTES])
            # One part at a time is on its way, whatever the blob's size.
            connection.wait()
    return name


def _get(connection: Connection, name: str) -> bytes:
    parts = connection.fetch(_GET, name)
    if not parts:
        raise KeyError(name)
    return b"".join([part for (part,) in parts])
