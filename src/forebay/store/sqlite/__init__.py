"""The embedded engine: one SQLite file, one process, one writer thread.

Reading order: `engine.py` (the store as the loop sees it), `writer.py` (group commit), `handlers.py` (what runs which
command), `session.py` (counters and positions), then the kinds of data: `messages.py`, `receive.py`, `log.py`,
`timers.py`, `items.py` and `item_pages.py`, `records.py`; `quick_reader.py` (small queries on the loop); `schema.py`
with `migrations/`, `connection.py`, `rows.py` and `cache.py` serve them.
"""

import asyncio
import sqlite3
from pathlib import Path

from forebay.core.errors import ConfigError
from forebay.store.contract import Store
from forebay.store.sqlite.backup import RESTORING_NAME
from forebay.store.sqlite.connection import DATABASE_NAME, DirectoryLock, open_writer, sync_directory
from forebay.store.sqlite.engine import SqliteStore
from forebay.store.sqlite.schema import migrate


async def open_sqlite(directory: Path) -> Store:
    """Open the store in a data folder, which is created when it is missing.

    Raises:
        ConfigError: the folder cannot be written, another process holds it, or a newer Forebay wrote it.
    """
    connection, lock = await asyncio.to_thread(_prepare, directory)
    return SqliteStore(directory, connection, lock)


def _prepare(directory: Path) -> tuple[sqlite3.Connection, DirectoryLock]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = DirectoryLock(directory)
    except OSError as error:
        raise ConfigError(f"The data folder {directory} cannot be used: {error}") from error
    try:
        if (directory / RESTORING_NAME).exists():
            raise ConfigError(f"A restore to {directory} was interrupted; run `forebay restore` again.")
        connection = _open_database(directory)
        # A file that was just created is only safe when its name is.
        sync_directory(directory)
        sync_directory(directory.parent)
    except BaseException as error:
        lock.release()
        if isinstance(error, sqlite3.Error | OSError):
            raise ConfigError(f"The data folder {directory} cannot be used: {error}") from error
        raise
    return connection, lock


def _open_database(directory: Path) -> sqlite3.Connection:
    database = directory / DATABASE_NAME
    connection = open_writer(database)
    try:
        migrate(connection, database)
    except BaseException:
        connection.close()
        raise
    return connection
