"""A pipe that an instance writes its log into: read without a task, throttled, and emptied on demand.

The node reads the pipe when the loop says so, but also at the end of an invocation, so that everything the handler
wrote is in the log before its REPORT line. A function that writes without end is slowed down by its full pipe.
"""

import asyncio
import os
from collections.abc import Callable

from forebay.runtimes.logs import FrameSplitter, LineSplitter

_READ_BYTES = 16 * 1024
# One flush empties a whole pipe (64 KB on Linux) but does not chase a writer that never stops.
_FLUSH_READS_MAX = 8
_WINDOW_SECONDS = 0.05
# 5 MB/s for each instance, about what one CloudWatch log stream takes.
_WINDOW_BYTES_MAX = 256 * 1024


class OutputPipe:
    """One pipe. `write_end` is for the instance; `open` gives it up and begins to read."""

    def __init__(self, deliver: Callable[[list[str]], None], *, framed: bool) -> None:
        self._deliver = deliver
        self._splitter = FrameSplitter() if framed else LineSplitter()
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._is_open = True
        self._window_bytes = 0
        self._resume: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to read."""
        os.close(self.write_end)
        self.write_end = -1
        self._watch()

    def flush(self) -> None:
        """Deliver what is in the pipe now."""
        for _ in range(_FLUSH_READS_MAX):
            if not self._read():
                return

    def close(self) -> None:
        """Deliver an unfinished line and give up the pipe."""
        if not self._is_open:
            return
        self._is_open = False
        if self.write_end >= 0:
            os.close(self.write_end)
        if self._resume:
            self._resume.cancel()
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        if rest := self._splitter.finish():
            self._deliver(rest)

    def _watch(self) -> None:
        if self._is_open:
            self._window_bytes = 0
            self._resume = None
            asyncio.get_running_loop().add_reader(self._read_end, self._on_readable)

    def _on_readable(self) -> None:
        count = self._read()
        loop = asyncio.get_running_loop()
        if count == 0:
            # Everyone has closed the other end; the exit is told elsewhere.
            loop.remove_reader(self._read_end)
            return
        if self._resume is None:
            self._resume = loop.call_later(_WINDOW_SECONDS, self._watch)
        self._window_bytes += count
        if self._window_bytes > _WINDOW_BYTES_MAX:
            loop.remove_reader(self._read_end)

    def _read(self) -> int:
        if not self._is_open:
            return 0
        try:
            data = os.read(self._read_end, _READ_BYTES)
        except BlockingIOError:
            return 0
        if texts := self._splitter.feed(data):
            self._deliver(texts)
        return len(data)
