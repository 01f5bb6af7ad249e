"""Programs of others that tests and benchmarks use, from the registries: each in a folder of its own that is kept.

The folder is `FOREBAY_PACKAGES_DIR`, or `forebay-packages` among the temporary files. The project's own environment
stays as it is.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_INSTALL_SECONDS = 600
# The registry's newest packages at times depend on versions that it does not have yet; those of this day are whole.
# Move it on when a test needs something newer.
_WHOLE_DAY = "2026-05-01"


class NotInstalled(Exception):
    """A package that cannot be had here, and why."""


def python_packages(*packages: str) -> Path:
    """Return the `bin` folder of an environment with packages from PyPI.

    Raises:
        NotInstalled: pip cannot install them.
    """
    with _folder("pip", packages) as folder:
        scripts = folder / "bin"
        if not (folder / "complete").exists():
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            _run([str(scripts / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])
            (folder / "complete").touch()
        return scripts


def python_wheel(package: str) -> Path:
    """Return a package's wheel from PyPI, not installed.

    Raises:
        NotInstalled: pip cannot fetch it.
    """
    with _folder("wheel", (package,)) as folder:
        if not (folder / "complete").exists():
            _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package])
            (folder / "complete").touch()
        return next(folder.glob("*.whl"))


def node_packages(*packages: str) -> Path:
    """Return a folder that has packages from npm in its `node_modules`.

    Raises:
        NotInstalled: there is no npm, or it cannot install them.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("no Node.js with npm on this machine")
    with _folder("npm", packages) as folder:
        if not (folder / "complete").exists():
            command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
            try:
                _run(command)
            except NotInstalled:
                _run([*command, f"--before={_WHOLE_DAY}"])
            (folder / "complete").touch()
        return folder


def node_runtime() -> str:
    """Return the name of npm's package with Node.js itself, for packages that need a newer one than the machine's."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"node-linux-{machine}"


@contextmanager
def _folder(kind: str, packages: Sequence[str]) -> Iterator[Path]:
    """Hold the folder of a set of packages, so that of two who want it one installs it."""
    base = Path(os.environ.get("FOREBAY_PACKAGES_DIR") or Path(tempfile.gettempdir()) / "forebay-packages")
    base.mkdir(parents=True, exist_ok=True)
    name = f"{kind}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = base / name
        folder.mkdir(exist_ok=True)
        yield folder


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        raise NotInstalled(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
