"""The log of an instance: bytes from its pipes to log events, the platform's own lines, and the tail of 4 KB.

Lambda's runtimes write either lines to stdout and stderr, or frames to a telemetry descriptor that keep the lines
of one log event together (the format is described in awslambdaric's `FramedTelemetryLogSink`).
"""

import math
from datetime import UTC, datetime

# CloudWatch Logs took events of 256 KB when Lambda's line splitting was defined.
LINE_BYTES_MAX = 262_144
# Invoke's LogResult is "the last 4 KB of the execution log".
TAIL_BYTES_MAX = 4096

_FRAME_HEADER_BYTES = 16
_FRAME_MAGIC = b"\xa5\x5a\x00"


class LineSplitter:
    """Cuts a stream of bytes into lines, holding back at most one unfinished line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes; over-long ones are cut at `LINE_BYTES_MAX`."""
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) >= LINE_BYTES_MAX:
            lines.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest
        return [text for line in lines for text in _cut(line)]

    def finish(self) -> list[str]:
        """Return the unfinished line, if there is one."""
        rest, self._rest = self._rest, b""
        return _cut(rest) if rest else []


class FrameSplitter:
    """Cuts the telemetry stream into log events; what is no frame is passed on as text, never lost."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the log events that `data` completes."""
        self._buffer += data
        events: list[str] = []
        while len(self._buffer) >= _FRAME_HEADER_BYTES:
            length = int.from_bytes(self._buffer[4:8], "big")
            if not self._buffer.startswith(_FRAME_MAGIC) or length > 4 * LINE_BYTES_MAX:
                return events + self.finish()
            end = _FRAME_HEADER_BYTES + length
            if len(self._buffer) < end:
                break
            events += _cut(self._buffer[_FRAME_HEADER_BYTES:end].removesuffix(b"\n"))
            self._buffer = self._buffer[end:]
        return events

    def finish(self) -> list[str]:
        """Return what is left and cannot be a frame any more."""
        rest, self._buffer = self._buffer, b""
        return _cut(rest) if rest else []


class LogTail:
    """Keeps the last 4 KB of one invocation's log."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, text: str) -> None:
        """Append one log event."""
        self._data += text.encode(errors="replace") + b"\n"
        if len(self._data) > 4 * TAIL_BYTES_MAX:
            del self._data[:-TAIL_BYTES_MAX]

    def read(self) -> bytes:
        """Return the tail."""
        return bytes(self._data[-TAIL_BYTES_MAX:])


def format_report(
    request_id: str,
    *,
    duration_ms: float,
    memory_mb: int,
    memory_used_mb: int,
    init_ms: float | None,
    failure: str = "",
) -> str:
    """Write Lambda's REPORT line; `failure` is `Status: timeout` or `Status: error<TAB>Error Type: X`."""
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {billed_ms(duration_ms, init_ms)} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {memory_used_mb} MB",
    ]
    if init_ms is not None:
        fields.append(f"Init Duration: {init_ms:.2f} ms")
    if failure:
        fields.append(failure)
    return "\t".join(fields) + "\t"


def format_init_report(init_ms: float, phase: str, failure: str) -> str:
    """Write the INIT_REPORT line of an init phase that failed."""
    return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: {phase}\t{failure}"


def billed_ms(duration_ms: float, init_ms: float | None) -> int:
    """Return billed milliseconds: rounded up, the init phase included (as AWS bills since August 2025)."""
    return math.ceil(duration_ms + (init_ms or 0.0))


def format_instant(at: float) -> str:
    """Write a time as the platform's lines do: `2024-01-01T00:00:00.000Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_stream_name(at: float, version: str, instance_id: str) -> str:
    """Name an instance's log stream: `2024/01/01/[$LATEST]<32 hex digits>`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y/%m/%d}/[{version}]{instance_id}"


def _cut(line: bytes) -> list[str]:
    pieces = [line[start : start + LINE_BYTES_MAX] for start in range(0, len(line), LINE_BYTES_MAX)] or [b""]
    return [piece.decode(errors="replace").removesuffix("\r") for piece in pieces]
