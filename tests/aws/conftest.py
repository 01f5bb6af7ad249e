"""Fixtures for tests through real clients: one fresh node for each test.

With `FOREBAY_TEST_STORE=postgres` in the environment, every node of these tests stands on a database of its own in one
PostgreSQL server, which is started for the run: `FOREBAY_TEST_STORE=postgres scripts/test tests/aws/sns`. With
`FOREBAY_TEST_STORE=spread` each stands on two databases.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests import postgres as servers
from tests.harness import RunningNode

_DATABASES = {"postgres": 1, "spread": 2}.get(os.environ.get("FOREBAY_TEST_STORE", ""), 0)
_numbers = count(1)


@pytest.fixture(scope="session")
def databases() -> Iterator[servers.PostgresServer | None]:
    """The server that has a database for each test, if they are to run on one."""
    if not _DATABASES:
        yield None
        return
    server = servers.PostgresServer(max_connections=200, max_prepared_transactions=50)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def node(tmp_path: Path, databases: servers.PostgresServer | None) -> Iterator[RunningNode]:
    settings = {}
    if databases is not None:
        urls = [databases.new_database(f"test{next(_numbers)}") for _ in range(_DATABASES)]
        settings["store"] = ",".join(urls)
    running = RunningNode(tmp_path / "data", **settings).start()
    yield running
    running.stop()
