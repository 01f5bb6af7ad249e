"""Public queues and tables with AWS's API to measure against: how each is had from its registry and started.

They are black boxes behind HTTP.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.packages import node_packages, node_runtime, python_packages


@dataclass(frozen=True)
class Launch:
    """A server's command line, and what it needs in its environment."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """Something to measure. `keeps` says what has happened to a message or item by the time its sender is answered."""

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
    node, script = _npm("fauxqs@2")
    return Launch([node, script], {"FAUXQS_PORT": str(port), "FAUXQS_LOGGER": "false"})


def _fauxqs_persistent(port: int, data: Path) -> Launch:
    launch = _fauxqs(port, data)
    return Launch(launch.command, {**launch.environment, "FAUXQS_DATA_DIR": str(data), "FAUXQS_PERSISTENCE": "true"})


def _roto(port: int, data: Path, *options: str) -> Launch:
    return Launch(
        [str(python_packages("roto-aws") / "roto-server"), "--port", str(port), "--data-dir", str(data), *options]
    )


def _ministack(port: int, data: Path) -> Launch:
    return Launch([str(python_packages("ministack") / "ministack")], {"GATEWAY_PORT": str(port), "HOME": str(data)})


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


TABLE_PEERS = (
    System("dynalite, in memory", "memory", lambda port, _data: _dynalite(port)),
    System("dynalite", "written", lambda port, data: _dynalite(port, "--path", str(data / "level"))),
    *[peer for peer in PEERS if peer.name.startswith(("roto", "ministack"))],
)


def _dynalite(port: int, *options: str) -> Launch:
    node, script = _npm("dynalite")
    return Launch([node, script, "--port", str(port), "--createTableMs", "0", *options])


def _npm(package: str) -> tuple[str, str]:
    """Return a Node.js that is new enough and a script of an npm package; both come from the registry."""
    modules = node_packages(node_runtime(), package) / "node_modules"
    return str(modules / node_runtime() / "bin" / "node"), str((modules / ".bin" / package.partition("@")[0]).resolve())
