"""CloudWatch's metrics as they are kept: any service writes data points, CloudWatch's operations read them.

They stand here, below the services, because these do not know each other. A metric is a record (so that it can be
listed) and a log, an entry for each data point; what was counted in one minute may come in several entries. Metrics of
one thing that are always measured together are a bundle: one record and one log for all of them, an entry a minute.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from forebay.store.commands import AppendLog, LogEntry, ReadLog, StoredEntry
from forebay.store.contract import Transaction
from forebay.store.records import Kind, record_key

MINUTE_MS = 60_000

# CloudWatch keeps data points of a minute for 15 days ("Metrics retention").
_KEPT_MS = 15 * 24 * 3_600_000

# One question reads at most so many data points of one metric.
READ_MAX = 100_800


class MetricName(msgspec.Struct, frozen=True):
    """What tells one metric from all others; dimensions are sorted pairs of name and value."""

    account: str
    region: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    def key(self) -> str:
        """Return the key of the metric's record."""
        texts = [text for pair in self.dimensions for text in pair]
        return record_key(self.account, self.region, self.namespace, self.name, *texts)

    def stream(self) -> str:
        """Return the name of the log with the metric's data points."""
        return f"cloudwatch.metric/{self.key()}"


class Metric(msgspec.Struct, frozen=True):
    """A metric that has (or had) data points; with `bundled` all metrics of a bundle, of which `metric` has no name."""

    metric: MetricName
    # Names and units, in the order in which entries have their values; it only ever grows at its end.
    bundled: tuple[tuple[str, str], ...] = ()

    def names(self) -> tuple[MetricName, ...]:
        """Return the names of all metrics that this stands for."""
        if not self.bundled:
            return (self.metric,)
        return tuple(msgspec.structs.replace(self.metric, name=name) for name, _ in self.bundled)


METRIC = Kind("cloudwatch.metric", Metric)


class DataPoint(msgspec.Struct, frozen=True, array_like=True):
    """What was measured at a moment: how many samples, their sum, the least and the greatest.

    `samples` are values with how often each was seen, where they are known: percentiles need them.
    """

    at_ms: int
    count: float
    sum: float
    minimum: float
    maximum: float
    unit: str = "None"
    samples: tuple[tuple[float, float], ...] = ()


# What one entry of a bundle has of each metric: a single value; or count, sum, least and greatest; or nothing.
BundledValue = float | tuple[float, float, float, float] | None

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DataPoint).decode
_decode_bundle = msgspec.msgpack.Decoder(tuple[BundledValue, ...]).decode


def one_value(at_ms: int, value: float, unit: str) -> DataPoint:
    """Return a data point of a single sample."""
    return DataPoint(at_ms, 1, value, value, value, unit, ((value, 1),))


def keep_points(transaction: Transaction, points: Mapping[MetricName, Sequence[DataPoint]]) -> None:
    """Keep data points, and make metrics known that are new."""
    for name, of_metric in points.items():
        entries = tuple(LogEntry(point.at_ms, _encode(point), point.at_ms + _KEPT_MS) for point in of_metric)
        transaction.apply(AppendLog(name.stream(), entries))
        if transaction.records.find(METRIC, name.key()) is None:
            transaction.records.put(METRIC, name.key(), Metric(name))


def bundle_entry(bundle: MetricName, at_ms: int, values: Sequence[BundledValue]) -> AppendLog:
    """Return the command that keeps one minute of a bundle's metrics; the bundle's record must be there."""
    entry = LogEntry(at_ms, _encode(values), at_ms + _KEPT_MS)
    return AppendLog(bundle.stream(), (entry,))


def read_points(
    ask: Callable[[ReadLog], Sequence[StoredEntry]],
    find: Callable[[str], Metric | None],
    name: MetricName,
    from_ms: int,
    until_ms: int,
) -> Iterable[DataPoint]:
    """Return a metric's data points of a time; `find` looks for the record with a key."""
    query = ReadLog(name.stream(), READ_MAX, from_ms=from_ms, until_ms=until_ms)
    points = [_decode(entry.data) for entry in ask(query)]
    bundle = msgspec.structs.replace(name, name="")
    known = find(bundle.key())
    units = {} if known is None else dict(known.bundled)
    if known is None or name.name not in units:
        return points
    index = [of_bundle for of_bundle, _ in known.bundled].index(name.name)
    for entry in ask(msgspec.structs.replace(query, stream=bundle.stream())):
        values = _decode_bundle(entry.data)
        # An entry from before the bundle had the metric is shorter.
        value = values[index] if index < len(values) else None
        if value is not None:
            points.append(_unbundled(entry.at_ms, value, units[name.name]))
    return points


def _unbundled(at_ms: int, value: float | tuple[float, float, float, float], unit: str) -> DataPoint:
    return DataPoint(at_ms, *value, unit) if isinstance(value, tuple) else one_value(at_ms, value, unit)
