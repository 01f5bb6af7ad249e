"""Fixtures for tests through real clients: one fresh node for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import RunningNode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "data").start()
    yield running
    running.stop()
