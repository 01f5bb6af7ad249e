"""Fixtures for tests through real clients: one fresh node for each test.

With `FOREBAY_TEST_STORE=postgres` in the environment, every node of these tests stands on a database of its own in one
PostgreSQL server, which is started for the run: `FOREBAY_TEST_STORE=postgres scripts/test tests/aws/sns`.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests import postgres as servers
from tests.harness import RunningNode

_ON_POSTGRES = os.environ.get("FOREBAY_TEST_STORE") == "postgres"
_numbers = count(1)


@pytest.fixture(scope="session")
def databases() -> Iterator[servers.PostgresServer | None]:
    """The server that has a database for each test, if they are to run on one."""
    if not _ON_POSTGRES:
        yield None
        return
    server = servers.PostgresServer(max_connections=200)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def node(tmp_path: Path, databases: servers.PostgresServer | None) -> Iterator[RunningNode]:
    settings = {} if databases is None else {"store": databases.new_database(f"test{next(_numbers)}")}
    running = RunningNode(tmp_path / "data", **settings).start()
    yield running
    running.stop()
