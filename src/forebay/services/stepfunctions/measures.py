"""The AWS/States metrics of CloudWatch: counted in memory as executions start and end, written once a minute.

Source: developer guide, "Monitoring Step Functions metrics using Amazon CloudWatch".
"""

from collections.abc import Sequence

from forebay.api import stepfunctions as api
from forebay.core.clock import Clock
from forebay.operations.measures import MINUTE_MS, DataPoint, MetricName, keep_points
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
        self._points: dict[MetricName, DataPoint] = {}
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
        self._minute_ms = self._this_minute_ms()
        points, self._points = list(self._points.items()), {}
        for start in range(0, len(points), _WRITTEN_AT_ONCE):
            some = {name: [point] for name, point in points[start : start + _WRITTEN_AT_ONCE]}
            await self._store.transact(lambda transaction, some=some: keep_points(transaction, some))

    def _add(self, execution: Execution, metric: str, value: float, unit: str) -> None:
        arn = execution.machine.base().arn()
        name = MetricName(
            execution.name.account, execution.name.region, "AWS/States", metric, (("StateMachineArn", arn),)
        )
        kept = self._points.get(name)
        if kept is None:
            self._points[name] = DataPoint(self._minute_ms, 1, value, value, value, unit)
        else:
            low, high = min(kept.minimum, value), max(kept.maximum, value)
            self._points[name] = DataPoint(kept.at_ms, kept.count + 1, kept.sum + value, low, high, unit)

    def _this_minute_ms(self) -> int:
        return int(self._clock.now() // 60) * MINUTE_MS
