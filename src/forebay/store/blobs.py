"""Blobs: immutable bytes under the SHA-256 of their content, as files or, for tests, in memory."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from forebay.core.errors import Unavailable

_NAME_LENGTH = 64
_HEX_DIGITS = frozenset("0123456789abcdef")


class FileBlobs:
    """Blobs as files `ab/cdef...` below a folder. File work runs off the loop's thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, data: bytes) -> str:
        """Keep `data` durably and return its name.

        Raises:
            Unavailable: the disk is full or failing; nothing is kept.
        """
        return await asyncio.to_thread(self._put, data)

    async def get(self, name: str) -> bytes:
        """Return the bytes.

        Raises:
            KeyError: there is no such blob.
        """
        return await asyncio.to_thread(self._get, name)

    async def delete(self, names: Sequence[str]) -> None:
        """Delete blobs; those that are not there are skipped."""
        await asyncio.to_thread(self._delete, names)

    async def clear(self) -> None:
        """Delete all blobs."""
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def _put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _write(path, data)
            # Also for a blob that is there: whoever put it may have crashed before this.
            for directory in (path.parent, self._directory, self._directory.parent):
                _sync_directory(directory)
        except OSError as error:
            raise Unavailable(f"the blob cannot be written: {error}") from error
        return name

    def _get(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def _delete(self, names: Sequence[str]) -> None:
        for name in names:
            if _is_name(name):
                self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        # What is no name must not lead out of the folder.
        if not _is_name(name):
            raise KeyError(name)
        return self._directory / name[:2] / name[2:]


class MemoryBlobs:
    """Blobs in a dict."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        """Keep `data` and return its name."""
        name = hashlib.sha256(data).hexdigest()
        self._blobs[name] = bytes(data)
        return name

    async def get(self, name: str) -> bytes:
        """Return the bytes, or raise KeyError."""
        return self._blobs[name]

    async def delete(self, names: Sequence[str]) -> None:
        """Delete blobs; those that are not there are skipped."""
        for name in names:
            self._blobs.pop(name, None)

    async def clear(self) -> None:
        """Delete all blobs."""
        self._blobs.clear()


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole and durable, or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_name(name: str) -> bool:
    return len(name) == _NAME_LENGTH and _HEX_DIGITS.issuperset(name)
