"""Runs instances as processes of this machine: the actuator that needs no Docker.

Where the system allows, an instance gets mount and PID namespaces: its code is read-only, `/tmp` is its own, and
when it or the node dies (even by `kill -9`), everything it started dies with it. Elsewhere it is a plain process of
its own session, its temporary folder is given by `TMPDIR`, and what it leaves behind is looked for and killed.
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from forebay.core.errors import RuntimeFailure
from forebay.runtimes import memory
from forebay.runtimes.contract import Exit, InstanceEvents, Launch, RunningInstance
from forebay.runtimes.environment import function_environment
from forebay.runtimes.families import Command, Machine, check_runtime, command_for
from forebay.runtimes.interpreters import Interpreters
from forebay.runtimes.output import OutputPipe

_HERE = Path(__file__).parent
# What Lambda's Python runtimes bring along, and awslambdaric itself with its compiled part.
_PYTHON_CLIENT_MODULES = (
    *("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"),
)
_DIES_WITH_NODE = ("setpriv", "--pdeathsig", "KILL", "--")
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# Not all signals: runtimes exit by themselves with 128 and 129.
_FATAL_SIGNALS = frozenset(
    {signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM}
)
_MEMORY_CHECK_SECONDS = 0.05
# The watcher kills at the memory size, as Lambda does. This is the backstop against one huge allocation between two
# looks; it has to leave room for thread stacks and allocator arenas, which count as data.
_DATA_LIMIT_SPARE_MB = 1024


class ProcessActuator:
    """Starts and stops local processes. Everything it writes lies in `state_dir`, which one node owns.

    `isolate=False` does without namespaces. `exact_runtimes` refuses a nearest interpreter. `node_modules_dir` may
    hold the AWS SDK for JavaScript, which Lambda's Node runtimes bring along.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        node_modules_dir: Path | None = None,
        exact_runtimes: bool = False,
        isolate: bool = True,
        interpreters: Interpreters | None = None,
    ) -> None:
        self._state_dir = state_dir.resolve()
        self._instances_dir = self._state_dir / "instances"
        self._isolate = isolate
        self._prefix: tuple[str, ...] = ()
        self._has_namespaces = False
        self._prepared = asyncio.Lock()
        self._is_prepared = False
        self._trash: list[Path] = []
        self._machine = Machine(
            interpreters=interpreters or Interpreters(),
            python_client_dir=self._state_dir / "python-client",
            node_modules_dir=node_modules_dir or self._state_dir / "node_modules",
            bytecode_dir=self._state_dir / "bytecode",
            exact_runtimes=exact_runtimes,
        )

    async def start(self, launch: Launch, events: InstanceEvents) -> RunningInstance:
        """Start an instance's process. Raises RuntimeFailure when nothing here can run it."""
        async with self._prepared:
            if not self._is_prepared:
                await asyncio.to_thread(self._prepare)
                self._is_prepared = True
        folder = self._instances_dir / launch.instance_id
        private_tmp = folder / "tmp"
        private_tmp.mkdir(parents=True)
        mode = self._mode(launch)
        environment = function_environment(launch, private_tmp=private_tmp, tmp_is_mounted=mode == "namespace-tmp")
        command = await asyncio.to_thread(command_for, launch.spec, environment, self._machine)
        data_kb = (launch.spec.memory_mb + _DATA_LIMIT_SPARE_MB) * 1024 if command.data_limited else 0
        preparation = [str(_HERE / "launch.sh"), mode, str(private_tmp), str(launch.spec.code_dir), str(data_kb)]
        arguments = [*self._prefix, "/bin/sh", *preparation, *command.arguments]
        running = Process(launch, command, events, in_namespace=self._has_namespaces)
        running.on_gone = lambda: self._trash.append(folder)
        await running.start(arguments)
        return running

    def stop(self, running: RunningInstance) -> None:
        """Kill a process and all it started."""
        assert isinstance(running, Process)
        running.kill()

    async def check(self, runtime: str) -> str:
        """Return what differs from the requested runtime; raises RuntimeFailure when nothing here can run it."""
        return await asyncio.to_thread(check_runtime, runtime, self._machine)

    async def tidy(self) -> None:
        """Remove the folders of ended instances."""
        trash, self._trash = self._trash, []
        if trash:
            await asyncio.to_thread(_remove_all, trash)

    def describe(self) -> str:
        """Say how instances are kept apart on this machine (for `forebay doctor`)."""
        self._find_isolation()
        return "mount and PID namespaces" if self._has_namespaces else "plain processes"

    def _prepare(self) -> None:
        self._find_isolation()
        # What a node that was killed may have left: without namespaces its functions' children live on.
        for pid in memory.processes_with(f"={self._instances_dir}/".encode()):
            _kill(pid)
        shutil.rmtree(self._instances_dir, ignore_errors=True)
        self._instances_dir.mkdir()
        _link_python_client(self._machine.python_client_dir)

    def _find_isolation(self) -> None:
        self._state_dir.mkdir(parents=True, exist_ok=True)
        as_root = os.geteuid() == 0
        user = () if as_root else ("--user", "--map-root-user")
        with_namespaces = (*_DIES_WITH_NODE, *_NAMESPACES, *user)
        mounting = ("/bin/sh", "-c", 'mount --bind "$1" "$1"', "sh", str(self._state_dir))
        if self._isolate and _works([*with_namespaces, *mounting]):
            self._prefix, self._has_namespaces = with_namespaces, True
        elif _works([*_DIES_WITH_NODE, "/bin/true"]):
            self._prefix = _DIES_WITH_NODE

    def _mode(self, launch: Launch) -> str:
        if not self._has_namespaces:
            return "plain"
        # Mounting over /tmp would hide what lies there and is needed.
        needed = [launch.spec.code_dir, *launch.spec.layer_dirs, self._state_dir, _HERE]
        hidden = any(path.resolve().is_relative_to("/tmp") for path in needed)  # noqa: S108 - a question, not a use
        return "namespace" if hidden else "namespace-tmp"


class Process:
    """One instance as a process, its two pipes and its memory."""

    def __init__(self, launch: Launch, command: Command, events: InstanceEvents, *, in_namespace: bool) -> None:
        self.runtime_version = command.runtime_version
        self.note = command.note
        self._launch = launch
        self._environment = command.environment
        self._events = events
        self._in_namespace = in_namespace
        self._transport: asyncio.SubprocessTransport | None = None
        self._pid = 0
        self._main_pid = 0
        self._peak_mb = 0.0
        self._out_of_memory = False
        self._watch: asyncio.TimerHandle | None = None
        self._lines = OutputPipe(events.on_output, framed=False)
        self._frames = OutputPipe(events.on_output, framed=True)
        self.on_gone = lambda: None

    async def start(self, arguments: list[str]) -> None:
        """Start the process. Raises RuntimeFailure when the system refuses."""
        framing = {} if self._launch.spec.runtime.startswith("provided") else self._framing()
        try:
            self._transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: _ExitProtocol(self),
                *arguments,
                stdin=subprocess.DEVNULL,
                stdout=self._lines.write_end,
                stderr=self._lines.write_end,
                pass_fds=(self._frames.write_end,),
                env={**self._environment, **framing},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._lines.close()
            self._frames.close()
            raise RuntimeFailure(f"Function {self._launch.spec.name} cannot be started: {error}") from error
        self._pid = self._transport.get_pid()
        self._lines.open()
        self._frames.open()

    def flush_output(self) -> None:
        """Hand over what was written so far."""
        self._lines.flush()
        self._frames.flush()

    def memory_peak_mb(self) -> int:
        """Return the most the runtime, or it and its children when looked at, has held."""
        if not self._main_pid:
            # In a namespace: unshare, its shell, the runtime.
            tree = memory.process_tree(self._pid)
            self._main_pid = tree[min(2, len(tree) - 1)] if self._in_namespace else self._pid
        self._peak_mb = max(self._peak_mb, memory.peak_resident_mb(self._main_pid))
        return min(round(self._peak_mb), self._launch.spec.memory_mb) if self._out_of_memory else round(self._peak_mb)

    def begin_work(self) -> None:
        """Look at the memory from time to time."""
        if memory.HAS_PROC and self._watch is None:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(_MEMORY_CHECK_SECONDS, self._check_memory)

    def end_work(self) -> None:
        """Stop looking."""
        if self._watch:
            self._watch.cancel()
            self._watch = None

    def owns_connection(self, local_port: int, peer_port: int) -> bool:
        """Return whether a process below this one opened the connection; always true without /proc."""
        if not memory.HAS_PROC:
            return True
        return memory.holds_loopback_socket(memory.process_tree(self._pid), peer_port, local_port)

    def kill(self) -> None:
        """Kill the process and its session; in a namespace the kernel takes the rest."""
        if self._transport is None or self._transport.get_returncode() is not None:
            return
        strays = [] if self._in_namespace else memory.process_tree(self._pid)
        for pid in strays:
            _kill(pid)
        with suppress(ProcessLookupError):  # it may just have ended; on_exit is then on its way
            os.killpg(self._pid, signal.SIGKILL)

    def exited(self) -> None:
        """Settle everything when the process has ended."""
        assert self._transport is not None
        self.end_work()
        if not self._in_namespace:
            self._kill_strays()
        self.flush_output()
        self._lines.close()
        self._frames.close()
        code = self._transport.get_returncode() or 0
        self._transport.close()
        self.on_gone()
        self._events.on_exit(_exit_of(code, out_of_memory=self._out_of_memory))

    def _kill_strays(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # usually no one is left in the session
            os.killpg(self._pid, signal.SIGKILL)
        # Daemons leave the session, but not their environment.
        for pid in memory.processes_with(f"AWS_LAMBDA_RUNTIME_API={self._launch.api_address}\0".encode()):
            _kill(pid)

    def _check_memory(self) -> None:
        self._watch = None
        used_mb = memory.resident_mb(memory.process_tree(self._pid))
        self._peak_mb = max(self._peak_mb, used_mb)
        if used_mb > self._launch.spec.memory_mb:
            self._out_of_memory = True
            self.kill()
        else:
            self.begin_work()

    def _framing(self) -> dict[str, str]:
        return {"_LAMBDA_TELEMETRY_LOG_FD": str(self._frames.write_end)}


class _ExitProtocol(asyncio.SubprocessProtocol):
    def __init__(self, process: Process) -> None:
        self._process = process

    def process_exited(self) -> None:
        self._process.exited()


def _exit_of(code: int, *, out_of_memory: bool) -> Exit:
    if out_of_memory:
        return Exit(killed_by=signal.SIGKILL, out_of_memory=True)
    if code < 0:
        return Exit(killed_by=-code)
    # The shell of a namespace reports a program killed by signal n as 128 + n.
    return Exit(killed_by=code - 128) if code - 128 in _FATAL_SIGNALS else Exit(status=code)


def _works(arguments: list[str]) -> bool:
    if shutil.which(arguments[0]) is None:
        return False
    try:
        done = subprocess.run(arguments, capture_output=True, timeout=10, check=False)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _link_python_client(folder: Path) -> None:
    """Fill `folder` with links to the packages that functions may import, found as this process finds them."""
    folder.mkdir(exist_ok=True)
    for name in _PYTHON_CLIENT_MODULES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        target = origin.parent if origin.name == "__init__.py" else origin
        link = folder / target.name
        if link.is_symlink() and link.readlink() == target:
            continue
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _remove_all(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it may have ended meanwhile
        os.kill(pid, signal.SIGKILL)
