"""PostgreSQL whose own disk is full or read-only: requests are refused within a bounded time, and nothing is lost."""

import asyncio
import contextlib
import random
import shutil
import subprocess
import time

import psycopg
import pytest

from forebay.core.errors import Unavailable
from forebay.store.commands import PeekMessages
from forebay.store.postgres import open_postgres
from tests import postgres as servers
from tests.contract.store.samples import counts, send
from tests.fault.store_writer import THINGS, Thing

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")

# The server cannot make it smaller.
BODY = random.Random(7).randbytes(50_000).hex()
WAIT_SECONDS = 1.0
# What a loaded machine may add to that.
PATIENCE_SECONDS = 20.0


@pytest.fixture
def small_disk(tmp_path):
    """Mount a small file system that the server's user may write, with ballast to throw off."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (folder / "ballast").write_bytes(b"x" * 2_000_000)
        inner = folder / "server"
        inner.mkdir()
        # The server's user must be able to get there.
        for parent in (folder, *list(folder.parents)[:4]):
            if parent.owner() == "root" and parent.stat().st_mode & 0o777 == 0o700:
                parent.chmod(0o711)
        yield inner
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def running(**options):
    server = servers.PostgresServer(**options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def own(folder):
    user = servers._unprivileged()
    if user:
        shutil.chown(folder, user, user)


async def names_in(store, queue):
    return [one.message_id for one in await store.ask(PeekMessages(queue, 0, 100_000))]


async def send_until_refused(store):
    acknowledged = []
    with pytest.raises(Unavailable):
        await _send_on(store, acknowledged)
    return acknowledged


async def _send_on(store, acknowledged):
    for number in range(10_000):
        await send(store, 1, f"m{number}", body=BODY)
        acknowledged.append(f"m{number}")


async def expect_refusals(store):
    """Send and put, from several callers at once, and see each refused in time."""
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(_expect_unavailable(send(store, 1, f"lost{number}", body=BODY)))
        put = store.transact(lambda transaction: transaction.records.put(THINGS, "lost", Thing(BODY * 30)))
        group.create_task(_expect_unavailable(put))
    assert time.monotonic() - begin < WAIT_SECONDS + PATIENCE_SECONDS


async def _expect_unavailable(awaitable):
    with pytest.raises(Unavailable):
        await awaitable


async def check_nothing_is_lost(store, acknowledged):
    assert await names_in(store, 1) == acknowledged
    await send(store, 1, "again")
    assert await names_in(store, 1) == [*acknowledged, "again"]
    assert await counts(store, 1) == (len(acknowledged) + 1, 0, 0)
    assert await store.view(lambda view: view.records.find(THINGS, "lost")) is None


def test_full_disk_of_tables_refuses_what_is_new(small_disk):
    own(small_disk)

    async def test(url):
        store = await open_postgres(url, wait_seconds=WAIT_SECONDS)
        acknowledged = await send_until_refused(store)
        assert len(acknowledged) > 10
        await expect_refusals(store)
        # Reading goes on.
        assert await names_in(store, 1) == acknowledged
        (small_disk.parent / "ballast").unlink()
        await check_nothing_is_lost(store, acknowledged)
        await store.close()

    with running() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
            connection.execute("CREATE DATABASE small TABLESPACE small")
        asyncio.run(test(server.url.replace("/postgres?", "/small?")))


def test_full_disk_of_the_log_takes_the_server_down_and_loses_nothing(small_disk):
    own(small_disk)

    async def test(server):
        store = await open_postgres(server.url, wait_seconds=WAIT_SECONDS)
        acknowledged = await send_until_refused(store)
        assert len(acknowledged) > 10
        await expect_refusals(store)
        (small_disk.parent / "ballast").unlink()
        if (server.data / "postmaster.pid").exists():
            await asyncio.to_thread(server.stop, "immediate")
        await asyncio.to_thread(server.start)
        found = await names_in(store, 1)
        # What was refused with the server's last breath may be there: its commit was asked for.
        assert found[: len(acknowledged)] == acknowledged
        assert set(found) - set(acknowledged) <= {f"m{len(acknowledged)}"}
        await send(store, 1, "again")
        assert await names_in(store, 1) == [*found, "again"]
        await store.close()

    # The log of a checkpoint stays on the disk for long.
    settings = {"checkpoint_timeout": "1h", "max_wal_size": "1GB", "min_wal_size": "2MB"}
    with running(wal_folder=small_disk / "wal", **settings) as server:
        asyncio.run(test(server))


def test_read_only_server_refuses_what_is_new():
    async def test(server, execute):
        store = await open_postgres(server.url, wait_seconds=WAIT_SECONDS)
        await send(store, 1, "m")
        execute("ALTER SYSTEM SET default_transaction_read_only = on")
        execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await _is_refused(store):
                await asyncio.sleep(0.01)
        acknowledged = await names_in(store, 1)
        await expect_refusals(store)
        assert await names_in(store, 1) == acknowledged
        execute("SET default_transaction_read_only = off")
        execute("ALTER SYSTEM RESET default_transaction_read_only")
        execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await _is_refused(store):
                await asyncio.sleep(0.01)
        await send(store, 1, "again")
        assert (await names_in(store, 1))[-1] == "again"
        await store.close()

    with running() as server, psycopg.connect(server.url, autocommit=True) as connection:
        asyncio.run(test(server, connection.execute))


async def _is_refused(store):
    try:
        await send(store, 1, "try")
    except Unavailable:
        return True
    return False
