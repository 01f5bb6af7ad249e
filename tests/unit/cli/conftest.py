"""A real node in this process, and commands that talk to it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from forebay.cli.main import cli
from tests.harness import RunningNode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "data").start()
    yield running
    running.stop()


@pytest.fixture
def forebay(node, monkeypatch):
    """Run a command against the node; a failure is one only where `code` says so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "FOREBAY_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", node.url)

    def call(*arguments, code=0, **options):
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], **options)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def as_json(forebay):
    """Run a command with `--json` and return what it wrote."""
    return lambda *arguments: json.loads(forebay(*arguments, "--json").stdout)
