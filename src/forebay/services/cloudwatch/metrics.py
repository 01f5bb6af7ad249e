"""Operations on metrics: put data points, list metrics, read statistics."""

from collections.abc import Iterable, Sequence
from typing import cast

from forebay.api import cloudwatch as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.measures import METRIC, DataPoint, MetricName, keep_points, read_points
from forebay.operations.pages import decode_token, encode_token
from forebay.operations.service import operation
from forebay.services.cloudwatch.statistic import Bucket, by_period, is_percentile, is_statistic
from forebay.store.records import key_prefix

_LISTED_MAX = 500
_QUERIES_MAX = 500
_DATAPOINTS_MAX = 1_440
_DATA_MAX = 1_000
# Those of high resolution; others are minutes.
_FINE_PERIODS = frozenset({1, 5, 10, 20, 30})


@operation
async def put_metric_data(call: Call, request: api.PutMetricDataInput) -> None:
    """Keep data points of the caller's own metrics.

    Raises:
        MissingParameter, InvalidParameterValue, InvalidParameterCombination: a datum is not complete or contradictory.
    """
    if request.entity_metric_data:
        raise ServiceError.of("NotImplemented", "EntityMetricData of PutMetricData is not implemented by Forebay.", 501)
    data = request.metric_data or []
    if not data:
        raise api.MissingRequiredParameterException("The parameter MetricData is required.")
    if len(data) > _DATA_MAX:
        raise api.InvalidParameterValueException(
            f"The collection MetricData must not have a size greater than {_DATA_MAX}."
        )
    if request.namespace.startswith("AWS/"):
        raise api.InvalidParameterValueException("The value AWS/ for parameter Namespace is invalid.")
    points: dict[MetricName, list[DataPoint]] = {}
    for number, datum in enumerate(data, 1):
        name = _metric_name(call, request.namespace, datum.metric_name, datum.dimensions)
        points.setdefault(name, []).append(_data_point(call, datum, number))
    await call.platform.store.transact(lambda transaction: keep_points(transaction, points))


@operation(readonly=True)
def list_metrics(call: Call, request: api.ListMetricsInput) -> api.ListMetricsOutput:
    """List metrics by namespace, name and dimensions."""
    try:
        after = decode_token(request.next_token) if request.next_token else ""
    except ValueError:
        raise api.InvalidParameterValueException("Invalid nextToken") from None
    found = call.reader.list(METRIC, key_prefix(call.account, call.region))
    # In the order of their keys, in which those of bundles stand among the others.
    named = sorted((metric.key(), metric) for _, known in found for metric in known.names())
    matching = [(key, metric) for key, metric in named if key > after and _matches(metric, request)]
    page = matching[:_LISTED_MAX]
    token = encode_token(page[-1][0]) if len(matching) > _LISTED_MAX else None
    return api.ListMetricsOutput(metrics=[_shown(metric) for _, metric in page], next_token=token)


@operation(readonly=True)
def get_metric_statistics(call: Call, request: api.GetMetricStatisticsInput) -> api.GetMetricStatisticsOutput:
    """Return statistics of one metric, a data point for each period that has data."""
    names = [*(request.statistics or ()), *(request.extended_statistics or ())]
    if not names:
        raise api.InvalidParameterCombinationException("Must specify either Statistics or ExtendedStatistics")
    for name in names:
        _check_statistic(name)
    _check_times(request.start_time, request.end_time)
    _check_period(request.period)
    wanted = (request.end_time - request.start_time) / request.period
    if wanted > _DATAPOINTS_MAX:
        raise api.InvalidParameterCombinationException(
            f"You have requested up to {int(wanted):,} datapoints, which exceeds the limit of {_DATAPOINTS_MAX:,}. You "
            "may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    metric = _metric_name(call, request.namespace, request.metric_name, request.dimensions)
    span = (request.start_time, request.end_time)
    buckets = _read(call, metric, span, request.period, request.unit)
    datapoints = [_datapoint(start, bucket, names) for start, bucket in buckets]
    return api.GetMetricStatisticsOutput(label=request.metric_name, datapoints=datapoints)


@operation(readonly=True)
def get_metric_data(call: Call, request: api.GetMetricDataInput) -> api.GetMetricDataOutput:
    """Return statistics of several metrics, the newest first unless asked otherwise."""
    if len(request.metric_data_queries) > _QUERIES_MAX:
        raise api.ValidationException(
            f"The collection MetricDataQueries must not have a size greater than {_QUERIES_MAX}."
        )
    _check_times(request.start_time, request.end_time)
    ids = [query.id for query in request.metric_data_queries]
    for number, query_id in enumerate(ids):
        if query_id in ids[:number]:
            raise api.ValidationException(
                f"The values for parameter id in MetricDataQueries are not unique: {query_id}"
            )
    span = (request.start_time, request.end_time)
    newest_first = request.scan_by != "TimestampAscending"
    results = [
        _result(call, query, span, newest_first=newest_first)
        for query in request.metric_data_queries
        if query.return_data is not False
    ]
    return api.GetMetricDataOutput(metric_data_results=results, messages=[])


def _result(
    call: Call, query: api.MetricDataQuery, span: tuple[float, float], *, newest_first: bool
) -> api.MetricDataResult:
    stat = query.metric_stat
    if query.expression is not None or stat is None:
        text = f"Expression of GetMetricData (query {query.id}) is not implemented by Forebay."
        raise ServiceError.of("NotImplemented", text, 501)
    _check_statistic(stat.stat)
    _check_period(stat.period)
    metric = stat.metric
    name = _metric_name(call, metric.namespace or "", metric.metric_name or "", metric.dimensions)
    buckets = _read(call, name, span, stat.period, stat.unit)
    if newest_first:
        buckets = buckets[::-1]
    return api.MetricDataResult(
        id=query.id,
        label=query.label or name.name,
        timestamps=[float(start) for start, _ in buckets],
        values=[_value(bucket, stat.stat) for _, bucket in buckets],
        status_code="Complete",
    )


def _read(
    call: Call, metric: MetricName, span: tuple[float, float], period_seconds: int, unit: str | None
) -> Sequence[tuple[int, Bucket]]:
    """Return the periods that have data; the first begins at or before the start, as AWS rounds it down."""
    start_ms = int(span[0] // period_seconds) * period_seconds * 1000
    points = read_points(call.ask, lambda key: call.reader.find(METRIC, key), metric, start_ms, int(span[1] * 1000))
    return list(by_period(points, period_seconds, unit).items())


def _value(bucket: Bucket, name: str) -> float:
    value = bucket.statistic(name)
    if value is None:
        text = f"Statistic {name} of a metric whose single values are not known is not implemented by Forebay."
        raise ServiceError.of("NotImplemented", text, 501)
    return value


def _datapoint(start: int, bucket: Bucket, names: Iterable[str]) -> api.Datapoint:
    values = {name: _value(bucket, name) for name in names}
    return api.Datapoint(
        timestamp=float(start),
        sample_count=values.get("SampleCount"),
        average=values.get("Average"),
        sum=values.get("Sum"),
        minimum=values.get("Minimum"),
        maximum=values.get("Maximum"),
        unit=cast("api.StandardUnit", bucket.unit),
        extended_statistics={name: value for name, value in values.items() if is_percentile(name)} or None,
    )


def _metric_name(call: Call, namespace: str, name: str, dimensions: Iterable[api.Dimension] | None) -> MetricName:
    pairs = tuple(sorted((dimension.name, dimension.value) for dimension in dimensions or ()))
    return MetricName(call.account, call.region, namespace, name, pairs)


def _data_point(call: Call, datum: api.MetricDatum, number: int) -> DataPoint:
    at_ms = int((call.now if datum.timestamp is None else datum.timestamp) * 1000)
    unit = datum.unit or "None"
    whole, member = datum.statistic_values, f"MetricData.member.{number}"
    given = [field is not None for field in (datum.value, datum.values, whole)]
    if sum(given) > 1:
        raise api.InvalidParameterCombinationException(
            f"The parameters {member}.Value and {member}.StatisticValues are mutually exclusive and you have "
            "specified both."
        )
    if whole is not None:
        return DataPoint(at_ms, whole.sample_count, whole.sum, whole.minimum, whole.maximum, unit)
    if datum.value is not None:
        samples = ((datum.value, 1.0),)
    elif datum.values:
        counts = datum.counts or [1.0] * len(datum.values)
        if len(counts) != len(datum.values):
            raise api.InvalidParameterValueException(
                f"The parameters {member}.Values and {member}.Counts must be of the same size."
            )
        samples = tuple(zip(datum.values, counts, strict=True))
    else:
        raise api.MissingRequiredParameterException(
            f"At least one of the parameters {member}.Value, Values or StatisticValues must be specified."
        )
    values = [value for value, _ in samples]
    total = sum(value * times for value, times in samples)
    return DataPoint(at_ms, sum(times for _, times in samples), total, min(values), max(values), unit, samples)


def _matches(metric: MetricName, request: api.ListMetricsInput) -> bool:
    if request.namespace is not None and metric.namespace != request.namespace:
        return False
    if request.metric_name is not None and metric.name != request.metric_name:
        return False
    known = dict(metric.dimensions)
    return all(
        wanted.name in known and wanted.value in (None, known[wanted.name]) for wanted in request.dimensions or ()
    )


def _shown(metric: MetricName) -> api.Metric:
    dimensions = [api.Dimension(name=name, value=value) for name, value in metric.dimensions]
    return api.Metric(namespace=metric.namespace, metric_name=metric.name, dimensions=dimensions)


def _check_statistic(name: str) -> None:
    if not is_statistic(name):
        raise api.InvalidParameterValueException(f"The value {name} for parameter Stat is invalid.")


def _check_times(start: float, end: float) -> None:
    if start >= end:
        raise api.InvalidParameterValueException("The parameter StartTime must be less than the parameter EndTime.")


def _check_period(seconds: int) -> None:
    if seconds not in _FINE_PERIODS and seconds % 60:
        raise api.InvalidParameterValueException("The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60.")
