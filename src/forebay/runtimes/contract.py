"""The words of this room: what a function is, what an invocation asks and gets, and what an actuator must do.

`services/lambda` fills in a `FunctionSpec` and an `Invocation` and is given an `InvocationResult`; it never sees a
process. An `Actuator` starts and stops instances: local processes today, containers and pods through the same
three methods, because the Lambda Runtime API is the only contract with users' code.
"""

import signal
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from forebay.core.errors import RuntimeFailure

# Lambda's synchronous quota is 6 MB; the exact number is the one in its own error text.
RESPONSE_BYTES_MAX = 6_291_556


class FunctionSpec(Struct, frozen=True, kw_only=True):
    """One published or latest version of a function, with its code unpacked on this machine.

    `arn` is the ARN that invocations name (it reaches the handler's context). `revision` changes whenever code or
    configuration does; instances of another revision of the same ARN are drained. `environment` holds the
    function's own variables and whatever the service adds for it (`AWS_ENDPOINT_URL`, credentials).
    """

    arn: str
    name: str
    runtime: str
    handler: str
    code_dir: Path
    revision: str
    region: str
    account: str
    version: str = "$LATEST"
    layer_dirs: tuple[Path, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    timeout_seconds: float = 3.0
    memory_mb: int = 128
    ephemeral_storage_mb: int = 512
    log_group: str = ""
    log_format: Literal["Text", "JSON"] = "Text"
    log_level: str = ""

    @property
    def log_group_name(self) -> str:
        """The log group, which is `/aws/lambda/<name>` unless the function names another."""
        return self.log_group or f"/aws/lambda/{self.name}"


class Invocation(Struct, frozen=True, kw_only=True):
    """One event for a function. `payload` is what the handler gets; the JSON texts go to its context as they are.

    `function_arn` is the ARN that the caller named (an alias, no qualifier), where that is not the version's own.
    """

    request_id: str
    payload: bytes
    trace_id: str = ""
    client_context_json: str = ""
    cognito_identity_json: str = ""
    function_arn: str = ""


class InvocationResult(Struct, frozen=True, kw_only=True):
    """What came of an invocation; `function_error` is set when `payload` is an error document.

    AWS answers `Unhandled` for everything a runtime reports today; `Handled` is kept for callers that match on it.
    """

    payload: bytes
    content_type: str = "application/json"
    function_error: Literal["Handled", "Unhandled"] | None = None
    error_type: str = ""
    log_tail: bytes = b""
    log_stream: str = ""
    init_ms: float | None = None
    duration_ms: float = 0.0
    billed_ms: int = 0
    memory_used_mb: int = 0


class LogLine(NamedTuple):
    """One log event: the time in seconds since the epoch, and the text without its line end."""

    at: float
    text: str


class LogSink(Protocol):
    """Receives everything an instance writes, and the platform's own lines, in order and at once.

    Must not block: it is called on the event loop, up to once per read of a pipe.
    """

    def __call__(self, spec: FunctionSpec, log_stream: str, lines: list[LogLine]) -> None:
        """Take log events of one instance."""
        ...


class PoolLimits(Struct, frozen=True, kw_only=True):
    """Bounds of one node's pool.

    `memory_mb_max` bounds the sum of the running functions' memory sizes. `init_seconds_max` is Lambda's own limit
    on the init phase. `settle_seconds_max` is how long a caller waits, after the response, for the runtime to be done.
    """

    instances_max: int = 100
    memory_mb_max: int = 16_384
    idle_seconds_max: float = 300.0
    init_seconds_max: float = 10.0
    settle_seconds_max: float = 0.1
    response_bytes_max: int = RESPONSE_BYTES_MAX
    # AWS streams up to 200 MB; here a stream is held in memory until it ends, so the bound is lower.
    streamed_bytes_max: int = 20 * 1024 * 1024


class TooManyInstances(RuntimeFailure):
    """The node has no room for another instance; the caller may retry when one has become free."""


class Exit(Struct, frozen=True):
    """How an instance ended: an exit status, or the signal that killed it."""

    status: int = 0
    killed_by: int = 0
    out_of_memory: bool = False

    def describe(self) -> str:
        """Return the ending in Lambda's words: `exit status 1`, `signal: killed`."""
        if self.killed_by:
            return f"signal: {_SIGNAL_WORDS.get(self.killed_by, f'signal {self.killed_by}')}"
        return f"exit status {self.status}"


# Lambda's supervisor is written in Go, and these are Go's words for them.
_SIGNAL_WORDS: dict[int, str] = {
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGHUP: "hangup",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGPIPE: "broken pipe",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
    signal.SIGTRAP: "trace/breakpoint trap",
}


class Launch(Struct, frozen=True):
    """What an actuator needs to start one instance. `api_address` is the instance's own `host:port`."""

    spec: FunctionSpec
    instance_id: str
    log_stream: str
    api_address: str


class InstanceEvents(Protocol):
    """Told by an actuator what happens to an instance; called on the event loop."""

    def on_output(self, texts: list[str]) -> None:
        """Take log events that the instance wrote, oldest first."""
        ...

    def on_exit(self, how: Exit) -> None:
        """Learn, once, that the instance and everything it started has ended."""
        ...


class RunningInstance(Protocol):
    """One started instance, as its actuator knows it."""

    @property
    def runtime_version(self) -> str:
        """The version that runs the code, as `python:3.12.1`."""
        ...

    def flush_output(self) -> None:
        """Hand everything written so far to `on_output`."""
        ...

    def memory_peak_mb(self) -> int:
        """Return the most memory the instance has used, in MB."""
        ...

    def begin_work(self) -> None:
        """Watch the memory limit until `end_work`."""
        ...

    def end_work(self) -> None:
        """Stop watching the memory limit."""
        ...

    def owns_connection(self, local_port: int, peer_port: int) -> bool:
        """Return whether a process of this instance opened the loopback connection."""
        ...


class Actuator(Protocol):
    """Starts and stops instances. Stopping is asked for at once; the end is told by `on_exit`."""

    async def start(self, launch: Launch, events: InstanceEvents) -> RunningInstance:
        """Start an instance. Raises RuntimeFailure when nothing here can run the function's runtime."""
        ...

    def stop(self, running: RunningInstance) -> None:
        """Kill an instance and all that it started; harmless when it has ended."""
        ...

    async def check(self, runtime: str) -> str:
        """Return what differs when functions of `runtime` run here, empty if nothing does.

        Raises RuntimeFailure when they cannot run. For a deploy to say so before the first invocation.
        """
        ...

    async def tidy(self) -> None:
        """Remove what ended instances left on disk."""
        ...
