"""A full disk, a folder that cannot be written, a schema from the future, a second process: said clearly, survived."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from forebay.core.errors import ConfigError, Unavailable
from forebay.store.commands import CountMessages, DeleteMessages, NewMessage, PeekMessages, Receipt, SendMessages
from forebay.store.sqlite import open_sqlite
from forebay.store.sqlite.connection import DATABASE_NAME

BODY = "b" * 10_000


def send(name, body=BODY):
    return (SendMessages(1, (NewMessage(name, body, b"", 0, 0, 10**12),)),)


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def fill(store, acknowledged):
    for number in range(10_000):
        await store.submit(send(f"m{number}"))
        acknowledged.append(f"m{number}")


async def check_full_disk(folder):
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    store = await open_sqlite(folder)
    acknowledged = []
    with pytest.raises(Unavailable):
        await fill(store, acknowledged)
    assert len(acknowledged) > 10
    with pytest.raises(Unavailable):
        await store.transact(lambda transaction: transaction.apply(send("lost")[0]))
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(_expect_unavailable(store, f"lost{number}"))
    # Reading goes on, and what was acknowledged is there, nothing else.
    assert [
        one.message_id for one in await store.view(lambda view: view.ask(PeekMessages(1, 0, 10_000)))
    ] == acknowledged
    ballast.unlink()
    await store.submit(send("again"))
    counted, found = await store.submit((CountMessages(1, 0), PeekMessages(1, 0, 10_000)))
    assert [one.message_id for one in found] == [*acknowledged, "again"]
    assert counted.visible == len(found)
    await store.submit((DeleteMessages(1, tuple(Receipt(one.position, 0) for one in found[:-1])),))
    await store.close()
    store = await open_sqlite(folder)
    (found,) = await store.submit((PeekMessages(1, 0, 10),))
    assert [one.message_id for one in found] == ["again"]
    await store.close()


async def _expect_unavailable(store, name):
    with pytest.raises(Unavailable):
        await store.submit(send(name))


def test_full_disk_refuses_what_it_cannot_keep_and_recovers(tmp_path):
    with small_disk(tmp_path / "disk", "6m") as folder:
        asyncio.run(check_full_disk(folder))


def test_full_disk_refuses_blobs_and_leaves_no_rest(tmp_path):
    async def check(folder):
        store = await open_sqlite(folder)
        with pytest.raises(Unavailable):
            await store.blobs.put(b"x" * 5_000_000)
        name = await store.blobs.put(b"small")
        assert await store.blobs.get(name) == b"small"
        await store.close()

    with small_disk(tmp_path / "disk", "4m") as folder:
        asyncio.run(check(folder))
        assert len([file for file in (folder / "blobs").rglob("*") if file.is_file()]) == 1


def test_full_disk_at_start_is_a_clear_error(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as folder:
        with contextlib.suppress(OSError):
            (folder / "ballast").write_bytes(b"x" * 2_000_000)
        with pytest.raises(ConfigError, match="cannot be used"):
            asyncio.run(open_sqlite(folder))


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="cannot be used"):
        asyncio.run(open_sqlite(tmp_path / "file" / "data"))
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(ConfigError, match="cannot be used"):
            asyncio.run(open_sqlite(tmp_path / "locked"))


def test_read_only_file_system_is_refused(tmp_path):
    async def once(folder):
        await (await open_sqlite(folder)).close()

    with small_disk(tmp_path / "disk", "6m") as folder:
        asyncio.run(once(folder))
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with pytest.raises(ConfigError, match="cannot be used"):
            asyncio.run(open_sqlite(folder))


def test_database_that_is_none_is_refused_and_kept(tmp_path):
    (tmp_path / DATABASE_NAME).write_bytes(b"something else" * 1000)
    with pytest.raises(ConfigError, match="cannot be used"):
        asyncio.run(open_sqlite(tmp_path))
    assert (tmp_path / DATABASE_NAME).read_bytes() == b"something else" * 1000


def test_newer_schema_is_refused_naming_both_versions(tmp_path):
    async def once():
        await (await open_sqlite(tmp_path)).close()

    asyncio.run(once())
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(ConfigError, match=rf"version 999.* up to {version}"):
        asyncio.run(once())
    # A refused start lets go of the folder.
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    asyncio.run(once())


_HOLDER = """
import asyncio, sys
from pathlib import Path
from forebay.store.sqlite import open_sqlite
async def main():
    store = await open_sqlite(Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.readline()
    await store.close()
asyncio.run(main())
"""


def test_second_process_is_refused_until_the_first_is_gone(tmp_path):
    async def once():
        await (await open_sqlite(tmp_path)).close()

    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(ConfigError, match=rf"in use by another Forebay \(process {holder.pid}\)"):
            asyncio.run(once())
        holder.stdin.close()
    asyncio.run(once())


def test_second_store_in_the_same_process_is_refused(tmp_path):
    async def check():
        store = await open_sqlite(tmp_path)
        with pytest.raises(ConfigError, match="in use"):
            await open_sqlite(tmp_path)
        await store.close()

    asyncio.run(check())
