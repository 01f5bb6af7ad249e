"""How many replicas a metric asks for: the HPA's replica calculator.

Pods that are starting, missing or going away are weighed as Kubernetes weighs them
(`pkg/controller/podautoscaler/replica_calculator.go`), including its whole-number divisions.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

_INT32_MAX = 2**31 - 1


class MetricError(ValueError):
    """A metric has no answer; the text is Kubernetes'."""


class Tolerance(msgspec.Struct, frozen=True):
    """How far from its target a metric may be without anything happening."""

    up: float = 0.1
    down: float = 0.1

    def holds(self, ratio: float) -> bool:
        """Tell whether a ratio of metric to target is near enough to 1."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class PodTimes(msgspec.Struct, frozen=True):
    """How long CPU metrics of a starting pod are disregarded (`--horizontal-pod-autoscaler-*`)."""

    cpu_initialization_seconds: float = 300.0
    initial_readiness_seconds: float = 30.0


class PodState(msgspec.Struct, frozen=True):
    """What the HPA looks at in a pod. `is_ready` is None where there is no Ready condition."""

    name: str
    phase: str = "Running"
    is_ready: bool | None = True
    ready_changed_at: float = 0.0
    started_at: float | None = 0.0
    is_deleting: bool = False
    # Container -> request of the resource in question in milli-units; None where it has none.
    requests_milli: Mapping[str, int | None] = {}


class Sample(msgspec.Struct, frozen=True):
    """What was measured of a pod: one value, or one for each container, in milli-units."""

    values_milli: Mapping[str, int]
    at: float = 0.0
    window_seconds: float = 60.0


class Usage(msgspec.Struct, frozen=True):
    """Replicas that a metric asks for, and what it stands at: a percentage of the request and milli-units."""

    replicas: int
    milli: int = 0
    percent: int | None = None


class _Groups(msgspec.Struct, frozen=True):
    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def external_average(total_milli: int, target_milli: int, status_replicas: int, tolerance: Tolerance) -> Usage:
    """An external or object metric shared out over the pods that the status counts, ready or not."""
    wanted = math.ceil(total_milli / target_milli)
    if status_replicas == 0:
        return Usage(_clamped(wanted), total_milli)
    ratio = total_milli / (target_milli * status_replicas)
    replicas = status_replicas if tolerance.holds(ratio) else wanted
    return Usage(_clamped(replicas), math.ceil(total_milli / status_replicas))


def external_value(
    total_milli: int, target_milli: int, current_replicas: int, pods: Sequence[PodState], tolerance: Tolerance
) -> Usage:
    """An external or object metric as a whole, which more ready pods bring down.

    Raises:
        MetricError: there are no pods.
    """
    ratio = total_milli / target_milli
    if current_replicas == 0:
        return Usage(_clamped(math.ceil(ratio)), total_milli)
    if tolerance.holds(ratio):
        return Usage(current_replicas, total_milli)
    if not pods:
        raise MetricError(
            "unable to calculate ready pods: no pods returned by selector while calculating replica count"
        )
    ready = sum(1 for pod in pods if pod.phase == "Running" and pod.is_ready)
    return Usage(_clamped(math.ceil(ratio * ready)), total_milli)


class PodsMetric(msgspec.Struct, frozen=True):
    """A metric of every pod, and everything that weighs it."""

    pods: Sequence[PodState]
    samples: Mapping[str, Sample]
    current_replicas: int
    now: float
    tolerance: Tolerance = Tolerance()
    times: PodTimes = PodTimes()
    # `cpu`, `memory`, or empty for a custom metric: starting pods matter for CPU only.
    resource: str = ""
    # The one container that a ContainerResource metric is about.
    container: str = ""
    namespace: str = "default"


def average_value(metric: PodsMetric, target_milli: int) -> Usage:
    """Hold the average over pods at a value.

    Raises:
        MetricError: nothing usable was measured.
    """
    values, groups = _usable(metric)
    milli = sum(values.values()) // len(values)

    def ratio(found: Mapping[str, int]) -> float:
        # The average is cut to a whole number before it is compared (GetMetricUsageRatio).
        return (sum(found.values()) // len(found)) / target_milli

    # Missing pods of a metric that is below its target are taken to be at the target.
    at_most = dict.fromkeys(groups.missing, target_milli)
    replicas = _weighed(metric, values, groups, ratio, at_most)
    return Usage(_clamped(replicas), milli)


def average_utilization(metric: PodsMetric, target_percent: int) -> Usage:
    """Hold the usage of a resource at a percentage of what pods request.

    Raises:
        MetricError: nothing usable was measured, or a container requests none of it.
    """
    values, groups = _usable(metric)
    requests = _requests(metric)
    percent, milli = _utilization(values, requests)

    def ratio(found: Mapping[str, int]) -> float:
        return _utilization(found, requests)[0] / target_percent

    # Missing pods are taken to use all they request, or the target where it is above that.
    share = max(100, target_percent)
    at_most = {name: requests.get(name, 0) * share // 100 for name in groups.missing}
    replicas = _weighed(metric, values, groups, ratio, at_most)
    return Usage(_clamped(replicas), milli, percent)


def _usable(metric: PodsMetric) -> tuple[dict[str, int], _Groups]:
    """Return the values that count, and how the pods stand."""
    if not metric.samples:
        name = metric.resource or "custom"
        raise MetricError(f"unable to get metrics for resource {name}: no metrics returned from resource metrics API")
    values = {name: _value(metric, name, sample) for name, sample in metric.samples.items()}
    if not metric.pods:
        raise MetricError("no pods returned by selector while calculating replica count")
    groups = _grouped(metric)
    for name in groups.ignored | groups.unready:
        values.pop(name, None)
    _requests(metric)
    if not values:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return values, groups


def _value(metric: PodsMetric, name: str, sample: Sample) -> int:
    if not metric.container:
        return sum(sample.values_milli.values())
    if metric.container not in sample.values_milli:
        raise MetricError(f"container {metric.container} not present in metrics for pod {metric.namespace}/{name}")
    return sample.values_milli[metric.container]


def _grouped(metric: PodsMetric) -> _Groups:
    ready, unready, missing, ignored = 0, set[str](), set[str](), set[str]()
    for pod in metric.pods:
        sample = metric.samples.get(pod.name)
        if pod.is_deleting or pod.phase == "Failed":
            ignored.add(pod.name)
        elif pod.phase == "Pending":
            unready.add(pod.name)
        elif sample is None:
            missing.add(pod.name)
        elif metric.resource == "cpu" and _is_starting(metric, pod, sample):
            unready.add(pod.name)
        else:
            ready += 1
    return _Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_starting(metric: PodsMetric, pod: PodState, sample: Sample) -> bool:
    """Tell whether a pod's CPU says nothing yet: it is initialising, or has never been ready."""
    if pod.is_ready is None or pod.started_at is None:
        return True
    if pod.started_at + metric.times.cpu_initialization_seconds > metric.now:
        return not pod.is_ready or sample.at < pod.ready_changed_at + sample.window_seconds
    return not pod.is_ready and pod.started_at + metric.times.initial_readiness_seconds > pod.ready_changed_at


def _requests(metric: PodsMetric) -> dict[str, int]:
    if not metric.resource:
        return {}
    found: dict[str, int] = {}
    for pod in metric.pods:
        total = 0
        for container, request in pod.requests_milli.items():
            if metric.container and container != metric.container:
                continue
            if request is None:
                raise MetricError(f"missing request for {metric.resource} in container {container} of Pod {pod.name}")
            total += request
        found[pod.name] = total
    return found


def _utilization(values: Mapping[str, int], requests: Mapping[str, int]) -> tuple[int, int]:
    used = sum(value for name, value in values.items() if name in requests)
    asked = sum(requests[name] for name in values if name in requests)
    if asked == 0:
        raise MetricError("no metrics returned matched known pods")
    count = sum(1 for name in values if name in requests)
    return used * 100 // asked, used // count


def _weighed(
    metric: PodsMetric,
    values: dict[str, int],
    groups: _Groups,
    ratio_of: Callable[[Mapping[str, int]], float],
    at_most: Mapping[str, int],
) -> int:
    ratio, current = ratio_of(values), metric.current_replicas
    rebalances = bool(groups.unready) and ratio > 1.0
    if not rebalances and not groups.missing:
        return current if metric.tolerance.holds(ratio) else math.ceil(ratio * groups.ready)
    weighed = dict(values)
    if ratio < 1.0:
        weighed.update(at_most)
    elif ratio > 1.0:
        weighed.update(dict.fromkeys(groups.missing, 0))
    if rebalances:
        weighed.update(dict.fromkeys(groups.unready, 0))
    again = ratio_of(weighed)
    if metric.tolerance.holds(again) or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current
    replicas = math.ceil(again * len(weighed))
    turns = (again < 1.0 and replicas > current) or (again > 1.0 and replicas < current)
    return current if turns else replicas


def _clamped(replicas: float) -> int:
    return int(min(replicas, _INT32_MAX))
