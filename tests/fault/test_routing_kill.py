"""A node that is killed while it fans out, retries, replays and fires schedules still owes nothing when it is back."""

import os
from pathlib import Path

import pytest

from tests import postgres
from tests.fault.kill import Node
from tests.fault.routing import run_rounds

_ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "1"))


@pytest.mark.timeout(600)
def test_everything_is_delivered_whenever_the_node_is_killed(tmp_path: Path) -> None:
    notes = run_rounds(Node(tmp_path / "data"), _ROUNDS, seed=_ROUNDS, report=print)
    assert notes.published
    assert notes.put
    assert notes.scheduled


@pytest.mark.timeout(600)
@pytest.mark.skipif(postgres.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")
def test_everything_is_delivered_on_postgresql_as_well(tmp_path: Path) -> None:
    server = postgres.PostgresServer()
    try:
        server.start()
        assert run_rounds(Node(tmp_path / "data", server.url), 1, seed=1, report=print).put
    finally:
        server.remove()
