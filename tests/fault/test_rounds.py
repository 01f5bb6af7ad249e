"""A few rounds of faults; `python -m tests.fault.rounds` runs as many as one likes."""

import os

import pytest

from tests import postgres as servers
from tests.fault.disk import can_mount
from tests.fault.rounds import PostgresWorld, SqliteWorld, run_rounds

ROUNDS = int(os.environ.get("FOREBAY_FAULT_ROUNDS", "2"))
SEED = int(os.environ.get("FOREBAY_FAULT_SEED", "7"))


@pytest.fixture
def sqlite_world(tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("a disk of its own needs root and a loop device")
    world = SqliteWorld(tmp_path)
    yield world
    world.close()


@pytest.fixture
def postgres_world(tmp_path):
    if servers.binaries() is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    # The path of a Unix socket is at most 107 bytes long.
    world = PostgresWorld(tmp_path)
    yield world
    world.close()


@pytest.mark.timeout(600)
def test_rounds_on_the_embedded_store(sqlite_world):
    # Functions of tests that run beside this one have copies of its mounts, for as long as they stay warm.
    ledger = run_rounds(sqlite_world, ROUNDS, SEED, print, without=SqliteWorld.remounting)
    assert ledger.sent
    assert ledger.deleted


@pytest.mark.timeout(600)
def test_rounds_on_postgresql(postgres_world):
    ledger = run_rounds(postgres_world, ROUNDS, SEED, print)
    assert ledger.sent
    assert ledger.deleted


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_ledger_notices_a_store_that_does_not_sync(sqlite_world, monkeypatch):
    monkeypatch.setenv("FAULT_LIES", "1")
    with pytest.raises(AssertionError, match=r"lost|came back|before|twice|hold|does not exist"):
        run_rounds(sqlite_world, 10, SEED, print, only="power")
