"""The AWS/DynamoDB metrics of CloudWatch: counted in memory as it happens, written once a minute for each busy table.

Source: the developer guide's "DynamoDB metrics and dimensions". Consumed units and failed conditions are kept; what
needs a fleet (throttling, replication) has nothing to count here.
"""

from typing import TYPE_CHECKING

from forebay.core.clock import Clock
from forebay.operations.measures import MINUTE_MS, DataPoint, MetricName, keep_points
from forebay.services.dynamodb.capacity import WRITE_BYTES, read_units, write_units
from forebay.services.dynamodb.layout import Layout
from forebay.services.dynamodb.throttle import TableLimits
from forebay.store.contract import Store, Transaction

if TYPE_CHECKING:
    from forebay.services.dynamodb.writing import Outcome

_READ, _WRITE, _FAILED = "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ConditionalCheckFailedRequests"


class _Sum:
    __slots__ = ("count", "least", "most", "total")

    def __init__(self) -> None:
        self.count, self.total, self.least, self.most = 0, 0.0, float("inf"), 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        if value < self.least:  # noqa: PLR1730  calls would double the cost of this
            self.least = value
        if value > self.most:  # noqa: PLR1730  see above
            self.most = value


class TableMeasures:
    """Counts what tables consume. A `Worker` that writes it down each minute."""

    name = "dynamodb.measures"

    def __init__(self, store: Store, clock: Clock, limits: TableLimits) -> None:
        self._limits = limits
        self._store = store
        self._clock = clock
        self._sums: dict[tuple[str, str, str, str], _Sum] = {}
        self._minute_ms = self._this_minute_ms()

    def read(self, layout: Layout, size: int, *, is_consistent: bool) -> None:
        """Count a read of so many bytes."""
        units = read_units(size, is_consistent=is_consistent)
        self._limits.take(layout, "Read", units)
        self._add(layout, _READ, units)

    def wrote(self, layout: Layout, *outcomes: "Outcome") -> None:
        """Count writes, without what they cost indexes."""
        written = self._sum(layout, _WRITE)
        for outcome in outcomes:
            old, new = outcome.old, outcome.new
            size = new.size if new is not None else 0
            if old is not None and old.size > size:
                size = old.size
            units = 1.0 if size <= WRITE_BYTES else write_units(size)
            self._limits.take(layout, "Write", units)
            written.add(units)

    def failed(self, layout: Layout) -> None:
        """Count a condition that did not hold."""
        self._add(layout, _FAILED, 1.0)

    def _add(self, layout: Layout, metric: str, value: float) -> None:
        self._sum(layout, metric).add(value)

    def _sum(self, layout: Layout, metric: str) -> _Sum:
        table = layout.table
        key = (table.account, table.region, table.name, metric)
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = _Sum()
        return found

    async def run_once(self) -> float:
        """Write the minute that is over, if it is; return how long the present one lasts."""
        now_ms = self._this_minute_ms()
        if now_ms > self._minute_ms:
            await self.flush()
        return (self._minute_ms + MINUTE_MS) / 1000 - self._clock.now()

    async def flush(self) -> None:
        """Write what was counted so far."""
        at_ms, self._minute_ms = self._minute_ms, self._this_minute_ms()
        sums, self._sums = self._sums, {}
        if not sums:
            return
        points: dict[MetricName, list[DataPoint]] = {}
        for (account, region, table, metric), found in sums.items():
            name = MetricName(account, region, "AWS/DynamoDB", metric, (("TableName", table),))
            points[name] = [DataPoint(at_ms, found.count, found.total, found.least, found.most, "Count")]

        def write(transaction: Transaction) -> None:
            keep_points(transaction, points)

        await self._store.transact(write)

    def _this_minute_ms(self) -> int:
        return int(self._clock.now() // 60) * MINUTE_MS
