"""Function code on this machine: archives from the store, unpacked once each into a folder named by their digest.

The folders are a cache. It is emptied when the node starts, so a power cut never leaves half a folder to be run, and
code that nothing uses any more goes.
"""

import asyncio
import io
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from forebay.core.errors import RuntimeFailure
from forebay.core.ids import Ids
from forebay.services.lambda_ import limits
from forebay.services.lambda_.errors import invalid
from forebay.store.contract import Blobs

_BAD_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
_CHUNK_BYTES = 1024 * 1024
# The value of `create_system` of archives whose attributes are Unix modes.
_UNIX = 3
_LINK_BYTES_MAX = 4096


class CodeStore:
    """Keeps archives as blobs and gives their content as folders."""

    def __init__(self, directory: Path, blobs: Blobs, ids: Ids) -> None:
        self._directory = directory.resolve()
        self._blobs = blobs
        self._ids = ids
        self._ready: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    async def keep(self, archive: bytes) -> str:
        """Check and unpack an archive, keep it durably, and return its SHA-256 in hexadecimal.

        Raises:
            InvalidParameterValueException: it is no zip archive, too large, or leads out of its folder.
        """
        await asyncio.to_thread(check_archive, archive)
        sha256 = await self._blobs.put(archive)
        await self._unpack(sha256, archive)
        return sha256

    async def folder(self, sha256: str) -> Path:
        """Return the folder with an archive's content.

        Raises:
            RuntimeFailure: the archive is gone from the store.
        """
        if sha256 not in self._ready:
            await self._unpack(sha256, None)
        return self._directory / sha256

    async def archive(self, sha256: str) -> bytes:
        """Return an archive as it was uploaded; KeyError where there is none."""
        return await self._blobs.get(sha256)

    async def empty(self) -> None:
        """Forget all folders; done once, before anything runs."""
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        self._ready.clear()

    async def _unpack(self, sha256: str, archive: bytes | None) -> None:
        async with self._locks.setdefault(sha256, asyncio.Lock()):
            if sha256 in self._ready:
                return
            if archive is None:
                try:
                    archive = await self._blobs.get(sha256)
                except KeyError:
                    raise RuntimeFailure(f"The code {sha256} is not in the store any more.") from None
            temporary = self._directory / f".new-{self._ids.hex(16)}"
            await asyncio.to_thread(_unpack_to, archive, temporary, self._directory / sha256)
            self._ready.add(sha256)
        self._locks.pop(sha256, None)


def check_archive(archive: bytes) -> None:
    """Check an archive without unpacking it.

    Raises:
        InvalidParameterValueException: it is no zip archive, too large, or leads out of its folder.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if len(entries) > limits.ZIP_ENTRIES_MAX or sum(entry.file_size for entry in entries) >= (
                limits.UNZIPPED_BYTES_MAX
            ):
                raise invalid(f"Unzipped size must be smaller than {limits.UNZIPPED_BYTES_MAX} bytes")
            for entry in entries:
                _check_entry(opened, entry)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise invalid(_BAD_ZIP) from error


def _check_entry(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename)
    is_outside = path.is_absolute() or ".." in path.parts or "\0" in entry.filename or "\\" in entry.filename
    if is_outside or entry.flag_bits & 1:
        raise invalid(_BAD_ZIP)
    if _is_link(entry):
        if entry.file_size > _LINK_BYTES_MAX:
            raise invalid(_BAD_ZIP)
        target = PurePosixPath(opened.read(entry).decode("utf-8"))
        if target.is_absolute() or not _stays_inside(path.parent / target):
            raise invalid(_BAD_ZIP)


def _stays_inside(path: PurePosixPath) -> bool:
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return entry.create_system == _UNIX and stat.S_ISLNK(entry.external_attr >> 16)


def _unpack_to(archive: bytes, temporary: Path, folder: Path) -> None:
    """Unpack into `temporary` and give it its name at the end, so that a folder is there whole or not at all."""
    if folder.is_dir():
        return
    temporary.mkdir(parents=True)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            _write_entries(opened, temporary)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise invalid(_BAD_ZIP) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_entries(opened: zipfile.ZipFile, root: Path) -> None:
    entries = opened.infolist()
    room = limits.UNZIPPED_BYTES_MAX
    for entry in entries:
        if not _is_link(entry):
            room -= _write_entry(opened, entry, root, room)
    # Last, so that nothing is ever written through a link.
    for entry in entries:
        if _is_link(entry):
            _write_link(opened, entry, root)


def _write_entry(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path, room: int) -> int:
    path = root / entry.filename
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(entry) as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            # Sizes that an archive states of itself are not to be trusted.
            if written > room:
                raise invalid(f"Unzipped size must be smaller than {limits.UNZIPPED_BYTES_MAX} bytes")
            target.write(chunk)
    mode = entry.external_attr >> 16 & 0o777
    # Archives made on Windows state no permissions; what a function cannot read it could not run anywhere.
    path.chmod((mode or 0o644) | 0o444)
    return written


def _write_link(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path) -> None:
    path = root / entry.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    # A link below a linked folder could lead anywhere.
    if not path.parent.resolve().is_relative_to(root.resolve()) or path.exists() or path.is_symlink():
        raise invalid(_BAD_ZIP)
    path.symlink_to(opened.read(entry).decode("utf-8"))
