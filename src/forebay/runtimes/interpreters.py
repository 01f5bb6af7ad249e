"""Which program of this machine runs a requested runtime: the exact version, or the nearest with a note saying so.

A template asks for `python3.12`; the machine has what it has. Candidates are looked for on PATH and where pyenv
and nvm keep theirs, each is run once to learn its true version, and the answers are kept.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from forebay.core.errors import RuntimeFailure

# What awslambdaric supports of Python; what ES module hooks need of Node.
_PYTHON_MINORS = range(9, 20)
_NODE_MAJOR_MIN = 18
_PROBE_SECONDS_MAX = 20.0


class Interpreter(Struct, frozen=True):
    """A program that runs functions. `exact` tells whether it is the requested version; `note` says what differs."""

    path: Path
    version: str
    exact: bool
    note: str = ""


class Interpreters:
    """Finds interpreters and remembers them. Looking for one runs programs, so call it off the event loop."""

    def __init__(self, *, home: Path | None = None, search_path: str | None = None) -> None:
        self._home = Path.home() if home is None else home
        # None is the PATH of this process.
        self._search_path = search_path
        self._pythons: dict[int, tuple[Path, str]] | None = None
        self._nodes: dict[int, tuple[Path, str]] | None = None

    def find(self, runtime: str, *, strict: bool = False) -> Interpreter:
        """Return what runs `runtime`. Raises RuntimeFailure: none at all, or with `strict` none of that version."""
        if match := re.fullmatch(r"python3\.(\d+)", runtime):
            self._pythons = self._pythons or self._list_pythons()
            return _nearest(runtime, int(match[1]), self._pythons, strict=strict)
        # Before 10 the minor version was part of the name: nodejs8.10.
        if match := re.fullmatch(r"nodejs(\d+)\.(?:x|\d+)", runtime):
            self._nodes = self._nodes or self._list_nodes()
            return _nearest(runtime, int(match[1]), self._nodes, strict=strict)
        raise RuntimeFailure(f"There is no interpreter to look for: {runtime} is not a Python or Node.js runtime.")

    def _list_pythons(self) -> dict[int, tuple[Path, str]]:
        # Our own interpreter always serves, and the native part of awslambdaric is built for it.
        own = Path(getattr(sys, "_base_executable", sys.executable))
        version = ".".join(map(str, sys.version_info[:3]))
        found = {sys.version_info.minor: (own, version)}
        for minor in _PYTHON_MINORS:
            if minor not in found and (hit := _first_working(self._python_paths(minor), _PYTHON_PROBE, f"3.{minor}.")):
                found[minor] = hit
        return found

    def _python_paths(self, minor: int) -> Iterable[Path]:
        # pyenv's own builds first: what it puts on PATH is a script that fails when the version is not selected.
        yield from sorted(self._home.glob(f".pyenv/versions/3.{minor}.*/bin/python3"), reverse=True)
        if on_path := shutil.which(f"python3.{minor}", path=self._search_path):
            yield Path(on_path)

    def _list_nodes(self) -> dict[int, tuple[Path, str]]:
        paths = [Path(on_path)] if (on_path := shutil.which("node", path=self._search_path)) else []
        paths += sorted(self._home.glob(".nvm/versions/node/v*/bin/node"), reverse=True)
        found: dict[int, tuple[Path, str]] = {}
        for path in paths:
            if hit := _first_working([path], _NODE_PROBE, ""):
                found.setdefault(int(hit[1].split(".")[0]), hit)
        return {major: hit for major, hit in found.items() if major >= _NODE_MAJOR_MIN}


_PYTHON_PROBE = (
    "-I",
    "-S",
    "-c",
    "import sys; print('.'.join(map(str, sys.version_info[:3])), getattr(sys, '_base_executable', sys.executable))",
)
_NODE_PROBE = ("-p", "process.versions.node + ' ' + process.execPath")


def _first_working(paths: Iterable[Path], probe: tuple[str, ...], prefix: str) -> tuple[Path, str] | None:
    for path in paths:
        try:
            answer = subprocess.run(  # noqa: S603 - an interpreter that the machine's owner installed
                [str(path), *probe], capture_output=True, text=True, timeout=_PROBE_SECONDS_MAX, check=True
            ).stdout
            version, real_path = answer.strip().split(" ", 1)
        except (OSError, subprocess.SubprocessError, ValueError):
            continue  # not a working interpreter; the next candidate may be one
        if version.startswith(prefix):
            return Path(real_path), version
    return None


def _nearest(runtime: str, wanted: int, found: dict[int, tuple[Path, str]], *, strict: bool) -> Interpreter:
    if not found:
        raise RuntimeFailure(f"Runtime {runtime} needs Node.js {_NODE_MAJOR_MIN} or newer, and there is none on PATH.")
    # On a tie the newer one: code written for a version rarely breaks on the next.
    best = min(found, key=lambda number: (abs(number - wanted), -number))
    path, version = found[best]
    if best == wanted:
        return Interpreter(path, version, exact=True)
    note = f"{runtime} is not installed here; {path} (version {version}) runs it instead."
    if strict:
        raise RuntimeFailure(f"{note} This is refused because exact runtimes are required.")
    return Interpreter(path, version, exact=False, note=note)
