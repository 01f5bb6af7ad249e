"""The AWS/States metrics of CloudWatch: counted in memory as executions start and end, written once a minute.

Source: developer guide, "Monitoring Step Functions metrics using Amazon CloudWatch".
"""

from collections.abc import Sequence

from forebay.api import stepfunctions as api
from forebay.core.clock import Clock
from forebay.operations.measures import MINUTE_MS, DataPoint, MetricName, keep_points
from forebay.services.stepfunctions.address import MachineName
from forebay.services.stepfunctions.execution import Execution
from forebay.store.contract import Store

_NAMES = {
    "ExecutionStarted": "ExecutionsStarted",
    "ExecutionSucceeded": "ExecutionsSucceeded",
    "ExecutionFailed": "ExecutionsFailed",
    "ExecutionTimedOut": "ExecutionsTimedOut",
    "ExecutionAborted": "ExecutionsAborted",
    "ExecutionRedriven": "ExecutionsRedriven",
}
_WRITTEN_AT_ONCE = 20


class Measures:
    """Counts executions. A `Worker` that writes it down each minute."""

    name = "stepfunctions.measures"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts: dict[tuple[MachineName, str, str], _Count] = {}
        self._minute_ms = self._this_minute_ms()

    def take(self, execution: Execution, history: Sequence[api.HistoryEvent]) -> None:
        """Count what events say of an execution."""
        for event in history:
            name = _NAMES.get(event.type)
            if name is None:
                continue
            self._add(execution, name, 1.0, "Count")
            if execution.stopped_at is not None and event.type not in {"ExecutionStarted", "ExecutionRedriven"}:
                took_ms = (execution.stopped_at - execution.started_at) * 1000
                self._add(execution, "ExecutionTime", took_ms, "Milliseconds")

    async def run_once(self) -> float:
        """Write the minute that is over, if it is; return how long the present one lasts."""
        now_ms = self._this_minute_ms()
        if now_ms > self._minute_ms:
            await self.flush()
        return (self._minute_ms + MINUTE_MS) / 1000 - self._clock.now()

    async def flush(self) -> None:
        """Write what was counted so far."""
        at_ms, self._minute_ms = self._minute_ms, self._this_minute_ms()
        counts, self._counts = list(self._counts.items()), {}
        points = [(_metric(machine, name), count.point(at_ms, unit)) for (machine, name, unit), count in counts]
        for start in range(0, len(points), _WRITTEN_AT_ONCE):
            some = {name: [point] for name, point in points[start : start + _WRITTEN_AT_ONCE]}
            await self._store.transact(lambda transaction, some=some: keep_points(transaction, some))

    def _add(self, execution: Execution, metric: str, value: float, unit: str) -> None:
        key = (execution.machine, metric, unit)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count()
        count.add(value)

    def _this_minute_ms(self) -> int:
        return int(self._clock.now() // 60) * MINUTE_MS


class _Count:
    """What one metric has seen since it was last written."""

    __slots__ = ("count", "least", "most", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.least = float("inf")
        self.most = float("-inf")

    def add(self, value: float) -> None:
        """Count a value."""
        self.count += 1
        self.sum += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)

    def point(self, at_ms: int, unit: str) -> DataPoint:
        """Return what was counted."""
        return DataPoint(at_ms, self.count, self.sum, self.least, self.most, unit)


def _metric(machine: MachineName, name: str) -> MetricName:
    dimensions = (("StateMachineArn", machine.base().arn()),)
    return MetricName(machine.account, machine.region, "AWS/States", name, dimensions)
