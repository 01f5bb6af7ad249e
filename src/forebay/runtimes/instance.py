"""One running copy of a function: from its start over its events, one at a time, to its end.

The instance stands between its Runtime API listener (`RuntimeApiHandler`), its actuator (`InstanceEvents`) and the
pool. Timeouts of users' code are measured in real time, also under a stepped clock: the process outside knows
nothing of ours. Result texts and log lines are those of the current service, as its logs show them.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from forebay.core.clock import Clock, monotonic, wall_seconds
from forebay.runtimes.contract import (
    Exit,
    FunctionSpec,
    Invocation,
    InvocationResult,
    LogLine,
    LogSink,
    PoolLimits,
    RunningInstance,
)
from forebay.runtimes.logs import LogTail, billed_ms, format_init_report, format_instant, format_report
from forebay.runtimes.runtime_api import Listener, Poll, Posted, Reply, header_text


class Answered(msgspec.Struct, frozen=True):
    """The handler returned."""

    payload: bytes
    content_type: str


class Failed(msgspec.Struct, frozen=True):
    """The handler, its import, or the platform failed; `lines` tell it in the log, `status` in the REPORT line."""

    payload: bytes
    error_type: str
    lines: tuple[str, ...] = ()
    status: str = ""


Outcome = Answered | Failed


@dataclass(eq=False)
class _Work:
    invocation: Invocation
    done: asyncio.Future[InvocationResult]
    began: float
    is_delivered: bool = False
    outcome: Outcome | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])


class Instance:
    """The state of one instance. `on_idle` and `on_gone` tell the pool; `stop` asks the actuator to end it."""

    def __init__(  # noqa: PLR0913 - the pool is its only caller
        self,
        spec: FunctionSpec,
        instance_id: str,
        log_stream: str,
        *,
        clock: Clock,
        limits: PoolLimits,
        sink: LogSink,
        on_idle: Callable[["Instance"], None],
        on_gone: Callable[["Instance"], None],
        stop: Callable[["Instance"], None],
    ) -> None:
        self.spec = spec
        self.id = instance_id
        self.log_stream = log_stream
        self.running: RunningInstance | None = None
        self.listener = Listener(self)
        self.idle_since = 0.0
        self.is_retired = False
        # Whoever had it started gets it first.
        self.is_reserved = True
        self._clock = clock
        self._limits = limits
        self._sink = sink
        self._on_idle = on_idle
        self._on_gone = on_gone
        self._stop = stop
        self._began = monotonic()
        self._ready: asyncio.Future[Failed | Exit | None] = asyncio.get_running_loop().create_future()
        self._init_ms: float | None = None
        self._poll: Poll | None = None
        self._work: _Work | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._tail = LogTail()

    @property
    def is_idle(self) -> bool:
        """Whether the instance waits for an event and may be given one."""
        return self._poll is not None and self._work is None and not (self.is_retired or self.is_reserved)

    def started(self, running: RunningInstance) -> None:
        """Take the process that was started and write INIT_START."""
        self.running = running
        self._began = monotonic()
        digest = hashlib.sha256(running.runtime_version.encode()).hexdigest()
        arn = f"arn:aws:lambda:{self.spec.region}::runtime:{digest}"
        self._log([f"INIT_START Runtime Version: {running.runtime_version}\tRuntime Version ARN: {arn}"])
        running.begin_work()

    def release(self) -> None:
        """Let others have the instance: who had it started does not need it any more."""
        self.is_reserved = False
        if self.is_idle:
            self._on_idle(self)

    async def wait_ready(self) -> Failed | Exit | None:
        """Wait for the end of the init phase; return why it failed. Raises TimeoutError after Lambda's 10 s."""
        async with asyncio.timeout(self._limits.init_seconds_max):
            failure = await asyncio.shield(self._ready)
        if failure:
            status = failure.status if isinstance(failure, Failed) else _exit_document(failure, "").status
            self._log([format_init_report(self._elapsed_ms(), "init", status)])
        return failure

    def init_timed_out(self) -> None:
        """Write the line of an init phase that took too long."""
        self._log([format_init_report(self._elapsed_ms(), "init", "Status: timeout")])

    async def invoke(self, invocation: Invocation, failure: Failed | Exit | None = None) -> InvocationResult:
        """Run one event, or report that the init phase failed; return when the runtime is done with it.

        A caller that gives up does not stop the event: as on Lambda, it runs to its end or its timeout.
        """
        assert self._work is None
        self.is_reserved = False
        loop = asyncio.get_running_loop()
        work = self._work = _Work(invocation, loop.create_future(), monotonic())
        self._log([f"START RequestId: {invocation.request_id} Version: {self.spec.version}"])
        if failure:
            exited = isinstance(failure, Exit)
            self._finish(_exit_document(failure, invocation.request_id) if exited else failure)
        else:
            assert self.running is not None
            self.running.begin_work()
            self._deadline = loop.call_later(self.spec.timeout_seconds, self._on_timeout)
            self._deliver()
        return await work.done

    # The Runtime API's side.

    def on_next(self, poll: Poll) -> None:
        """Take a poll: the init phase or an event is over."""
        if not self._ready.done():
            self._init_ms = self._elapsed_ms()
            self._ready.set_result(None)
        if self._work and self._work.outcome:
            self._finish(self._work.outcome)
        self._poll = poll
        if self._work:
            self._deliver()
            return
        if self._deadline:
            self._deadline.cancel()
        if self.running:
            self.running.end_work()
        if not self.is_reserved:
            self._on_idle(self)

    def on_poll_lost(self, poll: Poll) -> None:
        """Forget a poll whose connection is gone; the exit usually follows."""
        if self._poll is poll:
            self._poll = None

    def on_response(self, request_id: str, posted: Posted) -> Reply:
        """Take what the handler returned."""
        limit = self.body_bytes_max(streamed=posted.streamed)
        if posted.body_bytes > limit:
            sizes = f"({posted.body_bytes} bytes) exceeded maximum allowed payload size ({limit} bytes)"
            text = f"Response payload size {sizes}."
            failed = _error_document("Function.ResponseSizeTooLarge", text)
            return self._settle(request_id, failed, Reply(413, "RequestEntityTooLarge", text))
        if posted.stream_error_type:
            return self._settle(request_id, Failed(posted.body, posted.stream_error_type))
        return self._settle(request_id, Answered(posted.body, posted.content_type))

    def on_error(self, request_id: str, posted: Posted) -> Reply:
        """Take what the handler raised."""
        return self._settle(request_id, Failed(posted.body, _error_type(posted)))

    def on_init_error(self, posted: Posted) -> Reply:
        """Take an error of the init phase; the instance ends."""
        error_type = _error_type(posted)
        failed = Failed(posted.body, error_type, status=f"Status: error\tError Type: {error_type}")
        if self._ready.done():
            return Reply(403, "InvalidStateTransition", "Transition from Ready to InitError is not allowed")
        self._flush()
        self._ready.set_result(failed)
        self.is_retired = True
        if self._work:
            self._finish(failed)
        return Reply()

    def body_bytes_max(self, *, streamed: bool) -> int:
        """Return how large a response may be."""
        return self._limits.streamed_bytes_max if streamed else self._limits.response_bytes_max

    def owns_connection(self, local_port: int, peer_port: int) -> bool | None:
        """Return whether a connection is this instance's own; None while it is being started."""
        return None if self.running is None else self.running.owns_connection(local_port, peer_port)

    # The actuator's side.

    def on_output(self, texts: list[str]) -> None:
        """Pass on what the function wrote."""
        self._log(texts)

    def on_exit(self, how: Exit) -> None:
        """End with the process: what was under way has failed."""
        self.is_retired = True
        self._poll = None
        work = self._work
        failed = _exit_document(how, work.invocation.request_id if work else "")
        if not self._ready.done():
            self._ready.set_result(how)
        if work:
            # A response that was posted before the end still counts; the log tells of both.
            if work.outcome:
                self._log(list(failed.lines))
            self._finish(work.outcome or failed)
        if self._deadline:
            self._deadline.cancel()
        self.listener.close(lambda: self._on_gone(self))

    def _deliver(self) -> None:
        work, poll = self._work, self._poll
        if work is None or poll is None or work.is_delivered:
            return
        self._poll = None
        work.is_delivered = True
        invocation = work.invocation
        # In the process's own time, which does not step with our clock.
        deadline_ms = int((wall_seconds() + self.spec.timeout_seconds - (monotonic() - work.began)) * 1000)
        headers = [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn or self.spec.arn),
        ]
        optional = {
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            "Lambda-Runtime-Client-Context": invocation.client_context_json,
            "Lambda-Runtime-Cognito-Identity": invocation.cognito_identity_json,
        }
        headers += [(name, header_text(value)) for name, value in optional.items() if value]
        poll.answer(headers, invocation.payload)

    def _settle(self, request_id: str, outcome: Outcome, reply: Reply | None = None) -> Reply:
        work = self._work
        if work is None or work.outcome or not work.is_delivered or request_id != work.invocation.request_id:
            return Reply(400, "InvalidRequestID", "Invalid request ID")
        work.outcome = outcome
        # Usually the runtime's next poll ends the work at once; a runtime that lingers does not hold up the caller.
        loop = asyncio.get_running_loop()
        work.timers.append(loop.call_later(self._limits.settle_seconds_max, self._finish, outcome))
        return reply or Reply()

    def _on_timeout(self) -> None:
        self.is_retired = True
        work = self._work
        if work:
            request_id = work.invocation.request_id
            seconds = f"{self.spec.timeout_seconds:.2f}"
            failed = _error_document(
                "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds} seconds"
            )
            line = f"{format_instant(self._clock.now())} {request_id} Task timed out after {seconds} seconds"
            self._flush()
            self._finish(msgspec.structs.replace(failed, lines=(line, ""), status="Status: timeout"))
        self._stop(self)

    def _finish(self, outcome: Outcome) -> None:
        work = self._work
        if work is None:
            return
        self._flush()
        self._work = None
        for timer in work.timers:
            timer.cancel()
        request_id = work.invocation.request_id
        duration_ms = (monotonic() - work.began) * 1000
        memory_used_mb = self.running.memory_peak_mb() if self.running else 0
        init_ms, self._init_ms = self._init_ms, None
        lines, status = (outcome.lines, outcome.status) if isinstance(outcome, Failed) else ((), "")
        report = format_report(
            request_id,
            duration_ms=duration_ms,
            memory_mb=self.spec.memory_mb,
            memory_used_mb=memory_used_mb,
            init_ms=init_ms,
            failure=status,
        )
        self._log([*lines, f"END RequestId: {request_id}", report])
        tail, self._tail = self._tail, LogTail()
        if work.done.done():
            return  # the caller has given up
        work.done.set_result(
            InvocationResult(
                payload=outcome.payload,
                content_type=outcome.content_type if isinstance(outcome, Answered) else "application/json",
                function_error="Unhandled" if isinstance(outcome, Failed) else None,
                error_type=outcome.error_type if isinstance(outcome, Failed) else "",
                log_tail=tail.read(),
                log_stream=self.log_stream,
                init_ms=init_ms,
                duration_ms=duration_ms,
                billed_ms=billed_ms(duration_ms, init_ms),
                memory_used_mb=memory_used_mb,
            )
        )

    def _flush(self) -> None:
        if self.running:
            self.running.flush_output()

    def _log(self, texts: list[str]) -> None:
        if texts:
            now = self._clock.now()
            for text in texts:
                self._tail.add(text)
            self._sink(self.spec, self.log_stream, [LogLine(now, text) for text in texts])

    def _elapsed_ms(self) -> float:
        return (monotonic() - self._began) * 1000


def _error_type(posted: Posted) -> str:
    # The document's own type is what Lambda reports; some clients send only a category in the header.
    try:
        return msgspec.json.decode(posted.body, type=_ErrorDocument).errorType or posted.error_type or "Unhandled"
    except (msgspec.DecodeError, RecursionError):
        return posted.error_type or "Unhandled"


class _ErrorDocument(msgspec.Struct):
    errorType: str = ""  # noqa: N815 - the wire's name


def _error_document(error_type: str, message: str) -> Failed:
    payload = msgspec.json.encode({"errorType": error_type, "errorMessage": message})
    return Failed(payload, error_type, status=f"Status: error\tError Type: {error_type}")


def _exit_document(how: Exit, request_id: str) -> Failed:
    error_type = "Runtime.OutOfMemory" if how.out_of_memory else "Runtime.ExitError"
    reason = "Runtime exited without providing a reason"
    if how.status or how.killed_by:
        reason = f"Runtime exited with error: {how.describe()}"
    message = f"RequestId: {request_id} Error: {reason}"
    return msgspec.structs.replace(_error_document(error_type, message), lines=(message, error_type))
