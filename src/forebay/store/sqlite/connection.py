"""Connections to the database file: how they are set up, the lock on a data folder, and which errors mean what."""

import fcntl
import os
import sqlite3
from pathlib import Path

from forebay.core.errors import ConfigError

DATABASE_NAME = "store.db"

# RETURNING (3.35) and UPDATE ... FROM (3.33) are used throughout.
_SQLITE_MIN = (3, 35, 0)

# How many statements stay compiled: multi-row statements come in up to 64 sizes each.
_STATEMENTS_MAX = 512

_WRITER_PRAGMAS = (
    # The log is appended and synced on each commit: one fsync, and readers never wait.
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    # The writer checkpoints by itself, after it has answered (writer.py says why).
    "PRAGMA wal_autocheckpoint = 0",
    # A log that once grew is cut back to this when it starts anew.
    "PRAGMA journal_size_limit = 33554432",
    # 32 MiB bound the memory; a queue of millions of messages is touched only at its ends.
    "PRAGMA cache_size = -32768",
    # No mmap: an I/O error would be a SIGBUS instead of an error code.
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    # Debian compiles overwriting of deleted content in; it costs a third of the writes.
    "PRAGMA secure_delete = OFF",
    "PRAGMA busy_timeout = 2000",
)

_READER_PRAGMAS = (
    "PRAGMA query_only = ON",
    "PRAGMA cache_size = -4096",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA busy_timeout = 2000",
)

# Primary result codes that say that the machine, not the statement, is at fault.
_UNAVAILABLE_CODES = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


def is_unavailable(error: BaseException) -> bool:
    """Return whether an error is the machine's (disk full, I/O error) and would hit any other work too."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _UNAVAILABLE_CODES


def open_writer(database: Path) -> sqlite3.Connection:
    """Open the one connection that writes."""
    if sqlite3.sqlite_version_info < _SQLITE_MIN:
        raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old; Forebay needs 3.35 or newer.")
    return _open(database, _WRITER_PRAGMAS)


def open_reader(database: Path) -> sqlite3.Connection:
    """Open a connection that only reads."""
    return _open(database, _READER_PRAGMAS)


def _open(database: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    # One thread at a time uses a connection, though not the one that opened it.
    connection = sqlite3.connect(
        database, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS_MAX
    )
    try:
        for pragma in pragmas:
            connection.execute(pragma).close()
    except BaseException:
        connection.close()
        raise
    return connection


class DirectoryLock:
    """Holds a data folder for this process, until `release` or the process's end, however it ends."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._take(directory)
        except BaseException:
            os.close(self._file)
            raise

    def release(self) -> None:
        """Let go of the folder."""
        os.close(self._file)

    def _take(self, directory: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise ConfigError(
                f"The data folder {directory} is in use by another Forebay (process {holder}); "
                "stop that one or choose another folder."
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)


def sync_directory(directory: Path) -> None:
    """Make the creation and renaming of files in a folder durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
