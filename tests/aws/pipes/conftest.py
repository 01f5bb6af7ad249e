"""What the tests of pipes share."""

from typing import Any

import pytest

from tests.aws.pipes.test_pipes import World
from tests.harness import RunningNode


@pytest.fixture
def pipes(node: RunningNode) -> Any:
    return node.client("pipes")


@pytest.fixture
def world(node: RunningNode, pipes: Any) -> World:
    return World(node, pipes)
