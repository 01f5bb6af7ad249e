"""Public queues with SQS's API to measure against: how each is had from its registry, started and stopped.

They are black boxes behind HTTP. Each is installed once into a folder of its own, never into the project's environment:
`FOREBAY_PEERS_DIR`, or `forebay-peers` in the system's folder for temporary files.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_INSTALL_SECONDS = 600
# npm's packages as of this day: a peer's newest dependencies are at times not all in the registry yet. Move it on when
# a peer has a newer version.
_BEFORE = "2026-05-01"


class Unavailable(Exception):
    """A peer that cannot be had here, and why."""


@dataclass(frozen=True)
class Launch:
    """A server's command line, and what it needs in its environment."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """Something to measure. `keeps` says what has happened to a message by the time its sender is answered."""

    name: str
    keeps: str
    # From a port and an empty folder to a command.
    launch: Callable[[int, Path], Launch]

    @property
    def is_durable(self) -> bool:
        """Whether its answer means that the message is on the disk."""
        return self.keeps == "synced"


def forebay(port: int, data: Path) -> Launch:
    """Return this project's node as everyone gets it."""
    command = [sys.executable, "-m", "forebay", "serve", "--data", str(data), "--port", str(port)]
    return Launch([*command, "--log-level", "warning"])


def forebay_verifying(port: int, data: Path) -> Launch:
    """Return a node that knows the benchmark's key, so that it computes the signature of every request."""
    from tests.bench.sqs_requests import ACCESS_KEY, SECRET_KEY

    credentials = data / "credentials"
    credentials.write_text(f"{ACCESS_KEY} {SECRET_KEY} {ACCESS_KEY}\n")
    launch = forebay(port, data / "store")
    return Launch([*launch.command, "--credentials", str(credentials)])


def _fauxqs(port: int, _data: Path) -> Launch:
    node, script = _npm("fauxqs")
    return Launch([node, script], {"FAUXQS_PORT": str(port), "FAUXQS_LOGGER": "false"})


def _fauxqs_persistent(port: int, data: Path) -> Launch:
    launch = _fauxqs(port, data)
    return Launch(launch.command, {**launch.environment, "FAUXQS_DATA_DIR": str(data), "FAUXQS_PERSISTENCE": "true"})


def _roto(port: int, data: Path, *options: str) -> Launch:
    return Launch([_pip("roto-aws", "roto-server"), "--port", str(port), "--data-dir", str(data), *options])


def _ministack(port: int, data: Path) -> Launch:
    return Launch([_pip("ministack", "ministack")], {"GATEWAY_PORT": str(port), "HOME": str(data)})


OURS = (
    System("forebay", "synced", forebay),
    System("forebay, verifying signatures", "synced", forebay_verifying),
)
PEERS = (
    System("fauxqs", "memory", _fauxqs),
    System("fauxqs, persistent", "written", _fauxqs_persistent),
    System("roto-aws, --ephemeral", "memory", lambda port, data: _roto(port, data, "--ephemeral")),
    System("roto-aws", "written", _roto),
    System("roto-aws, --durable", "synced", lambda port, data: _roto(port, data, "--durable")),
    System("ministack", "memory", _ministack),
)


def _pip(package: str, script: str) -> str:
    """Return a script of a PyPI package, installed into an environment of its own."""
    folder = _folder() / package
    path = folder / "bin" / script
    if not path.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", package])
    return str(path)


def _npm(package: str) -> tuple[str, str]:
    """Return a Node.js that is new enough and a script of an npm package; both come from the registry."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"{package} needs npm, which is not on this machine")
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    runtime = f"node-linux-{machine}"
    folder = _folder() / package
    modules = folder / "node_modules"
    if not (modules / ".bin" / package).exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--no-audit", "--no-fund", "--engine-strict=false", f"--before={_BEFORE}"]
        _run([npm, "install", *options, "--prefix", str(folder), runtime, package])
    return str(modules / runtime / "bin" / "node"), str((modules / ".bin" / package).resolve())


def _folder() -> Path:
    return Path(os.environ.get("FOREBAY_PEERS_DIR") or Path(tempfile.gettempdir()) / "forebay-peers")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
