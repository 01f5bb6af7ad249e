"""Other people's programs against a node: the environment that they get, run to their end or beside a test."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import ACCOUNT, REGION, RunningNode
from tests.packages import NotInstalled


def installed(install: Callable[..., Path], *packages: str) -> Path:
    """Return what an installer of `tests.packages` returns, or skip the test."""
    try:
        return install(*packages)
    except NotInstalled as error:
        pytest.skip(str(error))


def environment(node: RunningNode, home: Path, **more: str) -> dict[str, str]:
    """Return what a user would export, and a home folder without settings of anyone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return {
        **kept,
        "HOME": str(home),
        "AWS_ENDPOINT_URL": node.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "any",
        **more,
    }


class Programs:
    """Runs programs that know of a node by their environment only; `home` is their home and working folder."""

    def __init__(self, node: RunningNode, home: Path) -> None:
        self._node = node
        self._home = home

    def run(self, *command: str | Path, **more: str) -> str:
        """Run a program to its end; return what it printed. `more` is added to its environment."""
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            timeout=90,
            env=environment(self._node, self._home, **more),
            cwd=self._home,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def beside(self, *command: str | Path, **more: str) -> Iterator[None]:
        """Run a program for the time of a `with` block; its output shows when the block fails."""
        log = self._home / "worker.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(self._node, self._home, **more),
                cwd=self._home,
                start_new_session=True,
            )
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()[-3000:]}") from error
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)
