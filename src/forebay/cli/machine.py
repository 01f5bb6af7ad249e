"""What this machine offers to a node, as findings: versions, disk, interpreters, limits. `forebay doctor` shows them.

Each look is a function that returns findings and changes nothing but a file of a few kilobytes that it removes again.
"""

import importlib.metadata
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Literal, get_args

import msgspec

import forebay
from forebay.config import Config
from forebay.core.errors import RuntimeFailure
from forebay.runtimes.interpreters import Interpreter, Interpreters
from forebay.runtimes.processes import ProcessActuator

Status = Literal["ok", "note", "problem"]

# RETURNING, which the store's statements use.
_SQLITE_MIN = (3, 35, 0)
_PROBE_WRITES = 16
_PROBE_BYTES = 4096
# A disk that takes longer than this for one fsync makes each lone request wait as long.
_FSYNC_SLOW_SECONDS = 0.02
_FREE_BYTES_MIN = 256 * 1024 * 1024
# Besides connections: the store's files, pipes of functions, sockets of their runtime API.
_OPEN_FILES_SPARE = 256
_OPEN_FILES_MIN = 1024
_MEGABYTE = 1024 * 1024


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing found: `status` is `ok`, `note` (works, but know this) or `problem` (a node does not work like this).

    `advice` says what to do; `value` is for scripts.
    """

    section: str
    name: str
    status: Status
    text: str
    advice: str = ""
    value: object = None


def look_at_versions() -> list[Finding]:
    """Return what runs here: Forebay, Python, the system, SQLite, and the runtime interface client."""
    section = "Versions"
    python = platform.python_version()
    system = f"{_system_name()} on {platform.machine()}, kernel {platform.release()}"
    sqlite = sqlite3.sqlite_version
    found = [
        Finding(section, "forebay", "ok", forebay.__version__, value=forebay.__version__),
        Finding(
            section, "python", "ok", f"{python} ({platform.python_implementation()}, {sys.executable})", value=python
        ),
        Finding(section, "system", "ok", system, value=platform.system()),
    ]
    if sqlite3.sqlite_version_info < _SQLITE_MIN:
        advice = "Use a Python that is built with SQLite 3.35 or newer."
        found.append(Finding(section, "sqlite", "problem", f"{sqlite} is too old for the store", advice, sqlite))
    else:
        found.append(Finding(section, "sqlite", "ok", sqlite, value=sqlite))
    return [*found, *(_package(section, name) for name in ("uvloop", "awslambdaric", "boto3", "aws-sam-translator"))]


def _system_name() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return platform.system()


def _package(section: str, name: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        advice = "Install Forebay anew: `pip install --force-reinstall forebay`."
        return Finding(section, name, "problem", "not installed, though Forebay depends on it", advice)
    return Finding(section, name, "ok", version, value=version)


def look_at_data(config: Config) -> list[Finding]:
    """Return whether the data folder can be written, what room it has, and how long its disk takes for an fsync."""
    section = "Store"
    if config.store not in (None, "") and not str(config.store).startswith("sqlite:"):
        return [Finding(section, "store", "note", f"{config.store}: not the embedded store; no disk to look at")]
    folder = config.data.absolute()
    where = next(path for path in (folder, *folder.parents) if path.is_dir())
    kind = "exists" if where == folder else "will be created"
    try:
        seconds = _fsync_seconds(where)
    except OSError as error:
        advice = f"Give --data a folder that you may write to, or change the rights of {where}."
        return [Finding(section, "data", "problem", f"{folder} cannot be written: {error.strerror}", advice)]
    return [
        Finding(section, "data", "ok", f"{folder} ({kind})", value=str(folder)),
        _fsync_finding(section, seconds),
        _room_finding(section, where),
    ]


def _fsync_seconds(folder: Path) -> list[float]:
    """Return how long each of some small appends took until the disk had it."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".forebay-doctor-", buffering=0) as file:
        taken: list[float] = []
        for _ in range(_PROBE_WRITES):
            started = perf_counter()
            file.write(b"\0" * _PROBE_BYTES)
            os.fsync(file.fileno())
            taken.append(perf_counter() - started)
        return taken


def _fsync_finding(section: str, seconds: Sequence[float]) -> Finding:
    median, worst = statistics.median(seconds), max(seconds)
    text = f"{median * 1000:.2f} ms in the middle, {worst * 1000:.2f} ms at worst (of {len(seconds)})"
    value = {"median_seconds": median, "max_seconds": worst}
    if median > _FSYNC_SLOW_SECONDS:
        advice = "Every lone request waits that long; put --data on a local SSD. Requests side by side share an fsync."
        return Finding(section, "fsync", "note", text, advice, value)
    return Finding(section, "fsync", "ok", text, value=value)


def _room_finding(section: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1024**3:.1f} GB free"
    if free < _FREE_BYTES_MIN:
        return Finding(section, "room", "problem", text, "A full disk refuses every change; make room.", free)
    return Finding(section, "room", "ok", text, value=free)


def look_at_runtimes(config: Config) -> list[Finding]:
    """Return for each of Lambda's runtimes what would run its functions here, and how they are kept apart."""
    from forebay.api.lambda_ import Runtime  # noqa: PLC0415 - a large module for one list

    interpreters = Interpreters()
    found: list[Finding] = []
    for family, title in (("python3.", "Python"), ("nodejs", "Node.js")):
        names = sorted((name for name in get_args(Runtime) if _is_offered(name, family)), key=_version)
        found.append(_family_finding(title, names, interpreters, strict=config.runtime_match == "exact"))
    found.append(Finding("Runtimes", "provided", "ok", "provided.* functions bring their own bootstrap", value=[]))
    others = "java*, dotnet*, ruby* and container images do not run here yet"
    found.append(Finding("Runtimes", "others", "note", others, value=[]))
    return [*found, _isolation_finding()]


def _is_offered(name: str, family: str) -> bool:
    """Return whether AWS still takes new functions of a runtime, as far as its number tells."""
    least = {"python3.": 9, "nodejs": 18}[family]
    return name.startswith(family) and "-" not in name and _version(name) >= least


def _version(runtime: str) -> int:
    digits = runtime.removeprefix("python3.").removeprefix("nodejs").partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


def _family_finding(title: str, runtimes: Sequence[str], interpreters: Interpreters, *, strict: bool) -> Finding:
    exact: list[str] = []
    nearest: dict[str, Interpreter] = {}
    for runtime in runtimes:
        try:
            interpreter = interpreters.find(runtime)
        except RuntimeFailure:
            advice = f"Install {title}, or do without functions that need it."
            return Finding("Runtimes", title, "note", f"no {title} here: {', '.join(runtimes)} cannot run", advice, {})
        if interpreter.exact:
            exact.append(runtime)
        else:
            nearest[runtime] = interpreter
    value = {"exact": exact, "nearest": {name: found.version for name, found in nearest.items()}}
    text = f"exactly: {', '.join(exact) or 'none'}"
    if not nearest:
        return Finding("Runtimes", title, "ok", text, value=value)
    if strict:
        text = f"{text}; refused (runtime-match is exact): {', '.join(nearest)}"
    else:
        text = f"{text}; on the nearest: {_nearest_text(nearest)}"
    return Finding("Runtimes", title, "ok" if exact else "note", text, value=value)


def _nearest_text(nearest: dict[str, Interpreter]) -> str:
    by_version: dict[str, list[str]] = {}
    for runtime, interpreter in nearest.items():
        by_version.setdefault(interpreter.version, []).append(runtime)
    return "; ".join(f"{', '.join(names)} (run by {version})" for version, names in by_version.items())


def _isolation_finding() -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        text = ProcessActuator(Path(folder)).describe()
    if "namespaces" in text:
        return Finding("Runtimes", "isolation", "ok", f"functions run in {text}", value=text)
    advice = "Functions share /tmp and can see each other's processes; allow user namespaces to keep them apart."
    return Finding("Runtimes", "isolation", "note", f"functions run as {text}", advice, text)


def look_at_limits(config: Config) -> list[Finding]:
    """Return the processors, memory and open files that a node may use here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_mb = _memory_mb()
    functions_mb = config.function_memory_mb_max or memory_mb * 3 // 4
    return [
        Finding("Limits", "cores", "ok", str(cores), value=cores),
        Finding(
            "Limits",
            "memory",
            "ok",
            f"{memory_mb} MB, of which functions get at most {functions_mb} MB",
            value=memory_mb,
        ),
        _open_files_finding(config),
    ]


def _memory_mb() -> int:
    """Return the memory of the machine, or of the control group that bounds this process."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # no such control group, or it says "max"
            total = min(total, int(Path(name).read_text("ascii")))
    return total // _MEGABYTE


def _open_files_finding(config: Config) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Finding("Limits", "open files", "ok", "unlimited", value=soft)
    connections = max(soft - _OPEN_FILES_SPARE, 0)
    if soft < _OPEN_FILES_MIN:
        advice = "Raise it before starting a node: `ulimit -n 65536`."
        return Finding("Limits", "open files", "problem", f"{soft} is too few", advice, soft)
    if connections < config.connections_max:
        text = f"{soft}, enough for about {connections} of the {config.connections_max} connections allowed"
        return Finding(
            "Limits", "open files", "note", text, "For more, `ulimit -n 65536` before starting a node.", soft
        )
    return Finding("Limits", "open files", "ok", str(soft), value=soft)
