"""Executions that something happens to just now, kept in memory so that a transition need not read what it wrote.

Nothing here is truth: whoever writes shows the number of the change that it saw, and reads again if that is an old one.
"""

from collections import OrderedDict

import msgspec

from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.execution import Execution, Progress
from forebay.services.stepfunctions.machines import Compiled


class Hot(msgspec.Struct, frozen=True):
    """An execution as of a change; `size` is about the bytes that it takes."""

    execution: Execution
    progress: Progress
    version: int
    compiled: Compiled
    size: int


class HotExecutions:
    """The executions of late, as many as fit."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Hot] = OrderedDict()
        self._bytes = 0

    def find(self, key: str) -> Hot | None:
        """Return an execution if it is kept."""
        hot = self._kept.get(key)
        if hot is not None:
            self._kept.move_to_end(key)
        return hot

    def keep(self, hot: Hot) -> None:
        """Keep an execution, and let go of those that nothing has happened to for longest."""
        self.drop(hot.execution.key)
        self._kept[hot.execution.key] = hot
        self._bytes += hot.size
        while len(self._kept) > limits.HOT_EXECUTIONS_MAX or self._bytes > limits.HOT_BYTES_MAX:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size

    def clear(self) -> None:
        """Let go of all executions."""
        self._kept.clear()
        self._bytes = 0

    def drop(self, key: str) -> None:
        """Let go of an execution."""
        hot = self._kept.pop(key, None)
        if hot is not None:
            self._bytes -= hot.size
