"""A real node, and its control API as Python sees it."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import RunningNode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "data").start()
    yield running
    running.stop()


class Control:
    """Calls `/_forebay/...`; returns status and what was answered."""

    def __init__(self, running: RunningNode) -> None:
        self._running = running

    def __call__(self, method, name, body=None, *, headers=None, **query):
        url = f"{self._running.url}/_forebay/{name}?{urllib.parse.urlencode(query)}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def control(node: RunningNode) -> Control:
    return Control(node)
