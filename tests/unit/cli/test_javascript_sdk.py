"""The AWS SDK for JavaScript is installed where a node keeps it, once."""

import json
import os
import stat
from pathlib import Path

import click
import pytest

from forebay.cli.javascript_sdk import provide_sdk


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for npm that keeps its arguments and makes the folders it is asked for."""
    script = tmp_path / "bin" / "npm"
    script.parent.mkdir()
    script.write_text(
        """#!/usr/bin/env python3
import json, os, pathlib, sys
with open(os.environ["NPM_LOG"], "a") as log: log.write(json.dumps(sys.argv[1:]) + "\\n")
if "broken" in sys.argv: sys.exit("it is broken")
prefix = pathlib.Path(sys.argv[sys.argv.index("--prefix") + 1])
for name in sys.argv[7:]:
    at = name.rfind("@")
    (prefix / "node_modules" / (name[:at] if at > 0 else name)).mkdir(parents=True)
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("NPM_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_missing_packages_are_installed_once(tmp_path: Path, npm: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "runtimes"
    assert provide_sdk(["aws-sdk", "@aws-sdk/client-s3"], folder, said.append) is None
    assert (folder / "node_modules" / "@aws-sdk" / "client-s3").is_dir()
    assert (folder / "node_modules" / "aws-sdk").is_dir()
    assert provide_sdk(["aws-sdk"], folder, said.append) is None
    calls = [json.loads(line) for line in npm.read_text().splitlines()]
    assert [call[-2:] for call in calls] == [["@aws-sdk/client-s3", "aws-sdk@2"]]
    assert len(said) == 1


def test_a_node_elsewhere_gets_advice(npm: Path) -> None:
    advice = provide_sdk(["aws-sdk"], None, print)
    assert advice is not None
    assert advice.endswith("npm install --prefix <data folder of the node>/runtimes aws-sdk@2")
    assert not npm.exists()


def test_failing_installation_says_what_npm_said(tmp_path: Path, npm: Path) -> None:
    del npm
    with pytest.raises(click.ClickException, match=r"broken cannot be installed:\nit is broken"):
        provide_sdk(["broken"], tmp_path / "runtimes", lambda _line: None)
