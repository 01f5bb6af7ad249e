"""One node for a module's tests of the API: each test uses names of its own."""

from collections.abc import Iterator

import pytest

from tests.aws.kubernetes.api import Api
from tests.harness import RunningNode


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("shared") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def api(shared: RunningNode) -> Api:
    return Api(shared)
