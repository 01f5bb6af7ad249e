"""Nodes of their own processes, on the embedded store and on a PostgreSQL of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.kill import Node
from tests.postgres import PostgresServer


@pytest.fixture
def embedded_node(tmp_path: Path) -> Iterator[Node]:
    """A node on the embedded store, started."""
    node = Node(tmp_path / "data")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def postgres_node(tmp_path: Path) -> Iterator[Node]:
    """A node on a new PostgreSQL, started."""
    server = PostgresServer()
    server.start()
    node = Node(tmp_path / "data", server.url)
    node.start()
    yield node
    node.stop()
    server.remove()
