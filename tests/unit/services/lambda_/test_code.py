"""Archives: what is refused, and how they are unpacked."""

import asyncio
import io
import stat
import zipfile
from pathlib import Path

import pytest

from forebay.api import lambda_ as api
from forebay.core.ids import Ids
from forebay.services.lambda_ import limits
from forebay.services.lambda_.code import CodeStore, check_archive
from forebay.store.blobs import MemoryBlobs

BAD = "Could not unzip uploaded file. Please check your file, then try to upload again."


def archive(*entries: tuple[str, str, int]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text, mode in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            opened.writestr(info, text)
    return data.getvalue()


LINK = stat.S_IFLNK | 0o777

HOSTILE = [
    ("parent", archive(("../evil", "x", 0o644))),
    ("inner parent", archive(("a/../../evil", "x", 0o644))),
    ("absolute", archive(("/etc/evil", "x", 0o644))),
    ("backslash", archive(("..\\evil", "x", 0o644))),
    ("link out", archive(("link", "../..", LINK))),
    ("link absolute", archive(("link", "/etc", LINK))),
    ("text", b"this is no archive"),
    ("empty", b""),
]


@pytest.mark.parametrize("data", [case[1] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_hostile_archives_are_refused(data: bytes):
    with pytest.raises(api.InvalidParameterValueException) as caught:
        check_archive(data)
    assert caught.value.message == BAD


def test_truncated_archives_are_refused():
    whole = archive(("app.py", "x = 1\n" * 1000, 0o644), ("b.py", "y", 0o644))
    for length in range(0, len(whole), 7):
        with pytest.raises(api.InvalidParameterValueException):
            check_archive(whole[:length])


def test_archives_that_unfold_too_far_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "UNZIPPED_BYTES_MAX", 1000)
    with pytest.raises(api.InvalidParameterValueException) as caught:
        check_archive(archive(("big", "x" * 1001, 0o644)))
    assert caught.value.message == "Unzipped size must be smaller than 1000 bytes"


def test_files_are_unpacked_with_their_modes(tmp_path: Path):
    async def run() -> None:
        code = CodeStore(tmp_path / "functions", MemoryBlobs(), Ids(1))
        sha256 = await code.keep(
            archive(
                ("bootstrap", "#!/bin/sh\n", 0o755),
                ("lib/app.py", "x = 1\n", 0),
                ("secret", "s", 0o600),
                ("lib/link", "app.py", LINK),
            )
        )
        folder = await code.folder(sha256)
        assert (folder / "bootstrap").stat().st_mode & 0o111
        assert (folder / "lib" / "app.py").read_text() == "x = 1\n"
        assert (folder / "secret").stat().st_mode & 0o444 == 0o444
        assert (folder / "lib" / "link").resolve() == (folder / "lib" / "app.py").resolve()
        assert [path.name for path in folder.parent.iterdir()] == [sha256]

    asyncio.run(run())


def test_link_to_a_folder_is_not_written_through(tmp_path: Path):
    async def run() -> None:
        code = CodeStore(tmp_path / "functions", MemoryBlobs(), Ids(1))
        data = archive(("a/b", "lib", LINK), ("a/b/evil", "x", LINK), ("lib/x", "1", 0o644))
        with pytest.raises((api.InvalidParameterValueException, OSError)):
            await code.keep(data)

    asyncio.run(run())


def test_folders_come_back_after_they_are_gone(tmp_path: Path):
    async def run() -> None:
        blobs = MemoryBlobs()
        first = CodeStore(tmp_path / "functions", blobs, Ids(1))
        sha256 = await first.keep(archive(("app.py", "x = 1\n", 0o644)))
        await first.empty()
        assert not (tmp_path / "functions").exists()
        second = CodeStore(tmp_path / "functions", blobs, Ids(2))
        async with asyncio.TaskGroup() as group:
            folders = [group.create_task(second.folder(sha256)) for _ in range(8)]
        assert {(task.result() / "app.py").read_text() for task in folders} == {"x = 1\n"}

    asyncio.run(run())
