"""Throughput as a bound: what is above a table's units is refused, where the node is told to (`dynamodb_throttling`).

A table may save up five minutes of its units for bursts, and a request is let in as long as any are left, whatever
it then takes ("Burst capacity"). Bounds are the table's provisioned units; on demand, the most it allows itself or,
without that, its warm throughput. Indexes have no bound of their own here.
"""

from typing import Literal

from forebay.api import dynamodb as api
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.layout import Layout
from forebay.services.dynamodb.table import Table, Throughput

Kind = Literal["Read", "Write"]

_BURST_SECONDS = 300
_PROVISIONED = (
    "The level of configured provisioned throughput for the table was exceeded. "
    "Consider increasing your provisioning level with the UpdateTable API."
)
_ON_DEMAND = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly."
)


class TableLimits:
    """Counts what tables have left, by table and kind; nothing while it is switched off."""

    def __init__(self, clock: Clock, *, is_enforced: bool) -> None:
        self._clock = clock
        self.is_enforced = is_enforced
        # What is left, and when that was so.
        self._left: dict[tuple[int, Kind], tuple[float, float]] = {}

    def admit(self, layout: Layout, kind: Kind) -> None:
        """Let a request in while its table has units left.

        Raises:
            ProvisionedThroughputExceededException: a table with provisioned units has none left.
            ThrottlingException: a table on demand has none left.
        """
        if self.is_enforced and self._refilled(layout, kind) <= 0:
            raise _refusal(layout.table, kind)

    def take(self, layout: Layout, kind: Kind, units: float) -> None:
        """Take what a request has consumed."""
        if self.is_enforced:
            left = self._refilled(layout, kind) - units
            self._left[layout.number, kind] = left, self._clock.now()

    def _refilled(self, layout: Layout, kind: Kind) -> float:
        rate = _rate(layout.table, kind)
        now = self._clock.now()
        left, at = self._left.get((layout.number, kind), (float(rate * _BURST_SECONDS), now))
        return min(left + (now - at) * rate, float(rate * _BURST_SECONDS))


def _rate(table: Table, kind: Kind) -> int:
    """Return the units a second that a table has."""
    if table.billing_mode == "PROVISIONED":
        return _of(table.throughput, kind) or 0
    standard = limits.WARM_READ_UNITS if kind == "Read" else limits.WARM_WRITE_UNITS
    warm = max(standard, _of(table.warm, kind) or 0)
    return _of(table.on_demand, kind) or warm


def _of(throughput: Throughput | None, kind: Kind) -> int | None:
    if throughput is None:
        return None
    return throughput.read if kind == "Read" else throughput.write


def _refusal(table: Table, kind: Kind) -> ServiceError:
    if table.billing_mode == "PROVISIONED":
        reason = api.ThrottlingReason(reason=f"Table{kind}ProvisionedThroughputExceeded", resource=table.arn())
        return api.ProvisionedThroughputExceededException(_PROVISIONED, throttling_reasons=[reason])
    which = "MaxOnDemandThroughputExceeded" if _of(table.on_demand, kind) else "AccountLimitExceeded"
    reason = api.ThrottlingReason(reason=f"Table{kind}{which}", resource=table.arn())
    return api.ThrottlingException(_ON_DEMAND, throttling_reasons=[reason])


def is_throttled(error: ServiceError) -> bool:
    """Tell whether an error is one of these, which may be tried again."""
    return isinstance(error, api.ProvisionedThroughputExceededException | api.ThrottlingException)
