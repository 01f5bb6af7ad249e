"""Copies of a data folder that a node may be writing to: the database as it is at one moment, and its blobs.

The database is copied page by page inside one reading transaction, so nobody waits for it and memory is bounded; the
log only grows meanwhile. A blob is durable before a record names it and goes after the record, so those that are there
before and after the transaction begins are all that the database can name. Where one goes in between, the copy begins
anew. A backup gets its name when it is whole and on disk; a restore is marked until it is.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from forebay.core.errors import ConfigError
from forebay.store.sqlite.connection import DATABASE_NAME, DirectoryLock, open_reader, sync_directory
from forebay.store.sqlite.schema import newest_version

BLOBS_NAME = "blobs"
MANIFEST_NAME = "backup.json"
RESTORING_NAME = "restore-unfinished"

# A mebibyte a step.
_PAGES_AT_ONCE = 256
_CHUNK_BYTES = 1024 * 1024
_ATTEMPTS = 5

# Numbers that were given after the backup was made are in use elsewhere (receipt handles, ids of queues): a restored
# store goes on far behind them.
_POSITIONS_SKIPPED = 1_000_000_000
_NUMBERS_SKIPPED = 1_000

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, in bytes of the database."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself."""

    format: int
    schema_version: int
    created_at: float
    database_bytes: int
    database_sha256: str
    blobs: int


class _Moved(Exception):
    """A blob went while it was being copied."""


def back_up(data: Path, target: Path, now: float, progress: Progress) -> Manifest:
    """Copy a data folder to the new folder `target`, which appears when the copy is whole.

    Raises:
        ConfigError: there is nothing to copy, `target` is taken, or the disk is full or failing.
    """
    database = data / DATABASE_NAME
    if not database.exists():
        raise ConfigError(f"There is no store in {data}.")
    if (data / RESTORING_NAME).exists():
        raise ConfigError(f"{data} is what an interrupted restore has left; restore it again first.")
    if target.exists():
        raise ConfigError(f"{target} is there already; a backup is not written over anything.")
    partial = target.with_name(f".{target.name}.partial")
    try:
        for _ in range(_ATTEMPTS):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            try:
                manifest = _copy(data, partial, now, progress)
            except _Moved:
                continue
            partial.rename(target)
            sync_directory(target.parent)
            return manifest
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ConfigError(f"The backup of {data} failed, nothing is left of it: {error}") from error
    shutil.rmtree(partial, ignore_errors=True)
    raise ConfigError(f"Code or objects in {data} were deleted again and again during the backup; try once more.")


def restore(backup: Path, data: Path, *, is_replacing: bool, progress: Progress) -> Manifest:
    """Make `data` what the folder `backup` holds, after checking that the backup is whole.

    Raises:
        ConfigError: the backup is damaged or too new, a node runs on `data`, or it holds a store and `is_replacing` is
            not set.
    """
    manifest = check(backup)
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = DirectoryLock(data)
    except OSError as error:
        raise ConfigError(f"The data folder {data} cannot be used: {error}") from error
    try:
        is_unfinished = (data / RESTORING_NAME).exists()
        if (data / DATABASE_NAME).exists() and not is_unfinished and not is_replacing:
            raise ConfigError(f"{data} holds a store already; with --replace it is replaced, and lost.")
        _put_in_place(backup, data, manifest, progress)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"The restore to {data} failed and must be done again: {error}") from error
    finally:
        lock.release()
    return manifest


def check(backup: Path) -> Manifest:
    """Check that a backup is whole, and that this version can read it.

    Raises:
        ConfigError: it is not, or cannot.
    """
    try:
        manifest = msgspec.json.decode((backup / MANIFEST_NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{backup} is no backup of Forebay: {error}") from error
    if manifest.format != 1 or manifest.schema_version > newest_version():
        raise ConfigError(f"{backup} was written by a newer Forebay; restore it with one at least that new.")
    try:
        is_whole = _digest(backup / DATABASE_NAME) == manifest.database_sha256
        names = _blob_names(backup)
        is_whole = is_whole and len(names) == manifest.blobs
        is_whole = is_whole and all(_digest(_blob_path(backup, name)) == name for name in names)
    except OSError as error:
        raise ConfigError(f"{backup} cannot be read: {error}") from error
    if not is_whole:
        raise ConfigError(f"{backup} is damaged: its contents do not have the digests that were written with it.")
    return manifest


def move_into_place(partial: Path, target: Path) -> None:
    """Give a file its name when it is on disk."""
    _sync(partial)
    partial.rename(target)
    sync_directory(target.parent)


def _copy(data: Path, partial: Path, now: float, progress: Progress) -> Manifest:
    before = _blob_names(data)
    with closing(open_reader(data / DATABASE_NAME)) as source:
        source.execute("BEGIN")
        (version,) = source.execute("PRAGMA user_version").fetchone()
        # The first read is the moment that is copied.
        source.execute("SELECT count(*) FROM meta").fetchone()
        after = _blob_names(data)
        if before - after:
            raise _Moved
        for name in after:
            _copy_blob(data, partial, name)
        _copy_database(source, partial / DATABASE_NAME, progress)
    for directory in (*(partial / BLOBS_NAME).glob("*"), partial / BLOBS_NAME):
        if directory.exists():
            sync_directory(directory)
    digest = _digest(partial / DATABASE_NAME)
    size = (partial / DATABASE_NAME).stat().st_size
    manifest = Manifest(1, version, now, size, digest, len(after))
    _write(partial / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest)))
    sync_directory(partial)
    return manifest


def _copy_database(source: sqlite3.Connection, path: Path, progress: Progress) -> None:
    (page_bytes,) = source.execute("PRAGMA page_size").fetchone()
    with closing(sqlite3.connect(path)) as copy:
        # It is not there before it is whole, so it needs no journal; one fsync at the end is enough.
        copy.execute("PRAGMA synchronous = OFF").close()
        source.backup(
            copy,
            pages=_PAGES_AT_ONCE,
            progress=lambda _, left, total: progress((total - left) * page_bytes, total * page_bytes),
        )
    _sync(path)


def _copy_blob(data: Path, partial: Path, name: str) -> None:
    source, copy = _blob_path(data, name), _blob_path(partial, name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, copy)
    except FileNotFoundError:
        raise _Moved from None
    _sync(copy)


def _put_in_place(backup: Path, data: Path, manifest: Manifest, progress: Progress) -> None:
    marker = data / RESTORING_NAME
    _write(marker, b"The store in this folder is not whole until `forebay restore` has ended.\n")
    sync_directory(data)
    for suffix in ("", "-wal", "-shm", "-journal"):
        (data / f"{DATABASE_NAME}{suffix}").unlink(missing_ok=True)
    shutil.rmtree(data / BLOBS_NAME, ignore_errors=True)
    done = 0
    with (backup / DATABASE_NAME).open("rb") as source, (data / DATABASE_NAME).open("wb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            copy.write(chunk)
            done += len(chunk)
            progress(done, manifest.database_bytes)
    _skip_numbers(data / DATABASE_NAME)
    _sync(data / DATABASE_NAME)
    for name in _blob_names(backup):
        copied = _blob_path(data, name)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_blob_path(backup, name), copied)
        _sync(copied)
        sync_directory(copied.parent)
    if (data / BLOBS_NAME).exists():
        sync_directory(data / BLOBS_NAME)
    sync_directory(data)
    marker.unlink()
    sync_directory(data)


def _skip_numbers(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        # One transaction, and no log that would stay beside the file.
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.execute("BEGIN")
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('positions', 1)")
        connection.execute("UPDATE meta SET value = value + ? WHERE name = 'positions'", (_POSITIONS_SKIPPED,))
        connection.execute("UPDATE sequence SET value = value + ?", (_NUMBERS_SKIPPED,))
        connection.execute("COMMIT")


def _blob_names(directory: Path) -> frozenset[str]:
    found = (directory / BLOBS_NAME).glob("??/*")
    # What begins with a dot is being written.
    return frozenset(path.parent.name + path.name for path in found if not path.name.startswith("."))


def _blob_path(directory: Path, name: str) -> Path:
    return directory / BLOBS_NAME / name[:2] / name[2:]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
