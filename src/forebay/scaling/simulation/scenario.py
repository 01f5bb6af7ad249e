"""What is simulated: manifests of one setting, and what its workers and machines are like.

Manifests say when pods are made, not how long their work takes. That comes from options, or from annotations on the
Deployment so that a setting can carry it: `simulation.forebay.dev/message-seconds` and its like.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from forebay.scaling.manifests.documents import Manifest, Read, read_paths
from forebay.scaling.manifests.hpa import HorizontalPodAutoscaler
from forebay.scaling.manifests.karpenter import EC2NodeClass, KWOKNodeClass, NodePool
from forebay.scaling.manifests.keda import ScaledJob, ScaledObject, Trigger
from forebay.scaling.manifests.pods import PodTemplate
from forebay.scaling.manifests.problem import InvalidManifest, Problem
from forebay.scaling.manifests.quantity import parse_duration
from forebay.scaling.manifests.workloads import Deployment, PodDisruptionBudget, PriorityClass
from forebay.scaling.policies.demand import Demand, read_demand
from forebay.scaling.policies.disruption import protection_seconds
from forebay.scaling.policies.instance_types import InstanceType, kwok_instance_types, with_kubelet
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.sqs_metric import SqsTrigger, metric_name, read_sqs_trigger
from forebay.scaling.policies.unix_cron import UnixCron, parse_cron

PREFIX = "simulation.forebay.dev/"
# How long EC2 takes from the call to a node that takes pods, by Karpenter's maintainers (30 to 40 s).
_EC2_REGISTRATION_SECONDS = 35.0

_CLASSES = 20
_RANGE = re.compile(r"([0-9.]+)\s*-\s*([0-9.]+)")
_QUANTILES = re.compile(r"p50=([0-9.]+)\s+p95=([0-9.]+)")

T = TypeVar("T")


class WorkTime(msgspec.Struct, frozen=True):
    """How long a message takes: equally likely classes of seconds."""

    classes: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The average."""
        return statistics.fmean(self.classes)


def parse_work_time(text: str) -> WorkTime:
    """Read `2`, a range `1-5`, or quantiles `p50=2 p95=30` (log-normal between and beyond).

    Raises:
        InvalidManifest: it is none of them.
    """
    spread = _RANGE.fullmatch(text.strip())
    quantiles = _QUANTILES.fullmatch(text.strip())
    middles = [(place + 0.5) / _CLASSES for place in range(_CLASSES)]
    try:
        if spread is not None:
            low, high = float(spread[1]), float(spread[2])
            return WorkTime(_shuffled([low + (high - low) * middle for middle in middles]))
        if quantiles is not None:
            median, high = float(quantiles[1]), float(quantiles[2])
            # 1.6449 deviations above the median lies the 95th percentile.
            deviation = math.log(high / median) / 1.6449
            normal = statistics.NormalDist(math.log(median), deviation)
            return WorkTime(_shuffled([math.exp(normal.inv_cdf(middle)) for middle in middles]))
        seconds = float(text)
    except (ValueError, ZeroDivisionError, statistics.StatisticsError):
        raise InvalidManifest(f"{text!r} is no time of work such as '2', '1-5' or 'p50=2 p95=30'") from None
    if seconds <= 0:
        raise InvalidManifest(f"{text!r}: work takes more than 0 seconds")
    return WorkTime((seconds,))


def _shuffled(values: list[float]) -> tuple[float, ...]:
    # Seven steps at a time through twenty classes: neighbours in time are far apart in length, and always the same.
    return tuple(values[place * 7 % len(values)] for place in range(len(values)))


class Workers(msgspec.Struct, frozen=True):
    """What a workload's pods are like."""

    work_time: WorkTime = WorkTime((1.0,))
    # Messages that a pod works on at once.
    concurrency: int = 1
    # From being bound to a node to receiving: image, process, first poll.
    start_seconds: float = 3.0
    # Whether SIGTERM lets a pod finish what it has in hand, within its grace period.
    drains: bool = True
    # Whether busy pods raise their pod-deletion-cost, as `forebay.worker` does.
    marks_busy: bool = True
    visibility_timeout_seconds: float = 30.0
    grace_seconds: float = 30.0


class CronTrigger(msgspec.Struct, frozen=True):
    """KEDA's `cron` trigger: a number of replicas between two times."""

    start: UnixCron
    end: UnixCron
    zone: str
    desired: int

    def is_active(self, now: float) -> bool:
        """Tell whether the next end comes before the next start."""
        # KEDA compares the next occurrences, so a window that runs over midnight is one.
        moment = datetime.fromtimestamp(now, ZoneInfo(self.zone))
        start, end = self.start.next_after(moment), self.end.next_after(moment)
        return start is not None and end is not None and end < start


class QueueTrigger(msgspec.Struct, frozen=True):
    """A trigger over a queue; a pushed one wakes the workload without waiting for a poll."""

    sqs: SqsTrigger
    is_pushed: bool = False


class ResourceTrigger(msgspec.Struct, frozen=True):
    """A cpu or memory trigger: always active; what pods use is not simulated, so it asks for one replica."""

    resource: str


class NamedTrigger(msgspec.Struct, frozen=True):
    """A trigger that the simulation knows, with its metric's name."""

    metric_name: str
    name: str
    trigger: QueueTrigger | CronTrigger | ResourceTrigger
    is_cached: bool = False


class WorkloadPlan(msgspec.Struct, frozen=True):
    """One Deployment with what scales it."""

    name: str
    namespace: str
    queue: str
    demand: Demand
    replicas: int
    workers: Workers
    scaled_object: ScaledObject | None = None
    hpa: HorizontalPodAutoscaler | None = None
    scaled_job: ScaledJob | None = None
    triggers: tuple[NamedTrigger, ...] = ()
    # How long a pod is not to be disrupted from its start.
    protection_seconds: float = 0.0


class Scenario(msgspec.Struct, frozen=True):
    """A setting, read."""

    name: str
    workloads: tuple[WorkloadPlan, ...]
    pools: tuple[Pool, ...]
    registration_seconds: Mapping[str, float]
    budgets: tuple[PodDisruptionBudget, ...]
    problems: tuple[Problem, ...]


class Options(msgspec.Struct, frozen=True):
    """What the command line adds to manifests; None leaves what annotations and defaults say."""

    message_seconds: str | None = None
    concurrency: int | None = None
    start_seconds: float | None = None
    node_seconds: float | None = None
    instance_types: tuple[InstanceType, ...] = ()


def read_scenario(paths: Sequence[Path], options: Options = Options(), name: str = "") -> Scenario:  # noqa: B008 - frozen
    """Read a setting from files and folders.

    Raises:
        InvalidManifest: there is nothing to scale in it, or something that the simulation does not know.
    """
    reads, problems = read_paths(paths)
    return scenario_of(reads, problems, options, name or (paths[0].stem if paths else "setting"))


def scenario_of(reads: Sequence[Read], problems: Iterable[Problem], options: Options, name: str) -> Scenario:
    """Make a scenario of manifests that have been read; what comes later takes the place of what has the same name."""
    by_name = {
        (m.kind, m.metadata.namespace or "default", m.metadata.name): m for m in (read.manifest for read in reads)
    }
    found = list(by_name.values())
    priorities = {item.metadata.name: item for item in _all(found, PriorityClass)}
    scaled = _all(found, ScaledObject)
    plans = [_plan_of_object(item, found, priorities, options) for item in scaled]
    owned = {item.spec.scale_target_ref.name for item in scaled}
    plans += [
        _plan_of_hpa(item, found, priorities, options)
        for item in _all(found, HorizontalPodAutoscaler)
        if item.spec.scale_target_ref.name not in owned
    ]
    plans += [_plan_of_job(item, priorities, options) for item in _all(found, ScaledJob)]
    if not plans:
        raise InvalidManifest(f"{name}: there is no ScaledObject, ScaledJob or HorizontalPodAutoscaler")
    pools = tuple(_pool(item, found, options) for item in _all(found, NodePool))
    return Scenario(
        name=name,
        workloads=tuple(plans),
        pools=pools,
        registration_seconds={pool.name: _registration_seconds(pool, found, options) for pool in pools},
        budgets=tuple(_all(found, PodDisruptionBudget)),
        problems=(*problems, *(problem for read in reads for problem in read.problems)),
    )


def _all(found: Iterable[Manifest], kind: type[T]) -> list[T]:
    return [item for item in found if isinstance(item, kind)]


def _plan_of_object(
    item: ScaledObject, found: Sequence[Manifest], priorities: Mapping[str, PriorityClass], options: Options
) -> WorkloadPlan:
    target = item.spec.scale_target_ref
    if target.kind != "Deployment":
        raise InvalidManifest(f"{item.metadata.name}: only Deployments are simulated, not {target.kind}")
    deployment = _deployment(target.name, found, item.metadata.name)
    template = deployment.spec.template
    environment = {env.name: env.value or "" for c in template.spec.containers[:1] for env in c.env}
    triggers = _triggers(item.spec.triggers, environment)
    return msgspec.structs.replace(
        _plan(deployment, priorities, options), scaled_object=item, triggers=triggers, queue=_queue_of(triggers)
    )


def _plan_of_hpa(
    item: HorizontalPodAutoscaler, found: Sequence[Manifest], priorities: Mapping[str, PriorityClass], options: Options
) -> WorkloadPlan:
    external = [metric.external for metric in item.spec.metrics if metric.external]
    if not external or len(external) < len(item.spec.metrics):
        raise InvalidManifest(f"{item.metadata.name}: only External metrics are simulated for an HPA of its own")
    deployment = _deployment(item.spec.scale_target_ref.name, found, item.metadata.name)
    queue = external[0].metric.name
    return msgspec.structs.replace(_plan(deployment, priorities, options), hpa=item, queue=queue)


def _plan_of_job(item: ScaledJob, priorities: Mapping[str, PriorityClass], options: Options) -> WorkloadPlan:
    template = item.spec.job_target_ref.template
    environment = {env.name: env.value or "" for c in template.spec.containers[:1] for env in c.env}
    triggers = _triggers(item.spec.triggers, environment)
    marks = {**item.metadata.annotations, **template.metadata.annotations}
    return WorkloadPlan(
        name=item.metadata.name,
        namespace=item.metadata.namespace or "default",
        queue=_queue_of(triggers),
        demand=_demand(template, item.metadata.namespace, priorities),
        replicas=0,
        workers=_workers(marks, template, options),
        scaled_job=item,
        triggers=triggers,
        protection_seconds=protection_seconds(template.metadata.annotations.get("karpenter.sh/do-not-disrupt")),
    )


def _deployment(name: str, found: Iterable[Manifest], owner: str) -> Deployment:
    for item in _all(found, Deployment):
        if item.metadata.name == name:
            return item
    raise InvalidManifest(f"{owner}: its target Deployment {name} is not among the manifests")


def _plan(deployment: Deployment, priorities: Mapping[str, PriorityClass], options: Options) -> WorkloadPlan:
    template = deployment.spec.template
    marks = {**deployment.metadata.annotations, **template.metadata.annotations}
    return WorkloadPlan(
        name=deployment.metadata.name,
        namespace=deployment.metadata.namespace or "default",
        queue="",
        demand=_demand(template, deployment.metadata.namespace, priorities),
        replicas=1 if deployment.spec.replicas is None else deployment.spec.replicas,
        workers=_workers(marks, template, options),
        protection_seconds=protection_seconds(template.metadata.annotations.get("karpenter.sh/do-not-disrupt")),
    )


def _demand(template: PodTemplate, namespace: str | None, priorities: Mapping[str, PriorityClass]) -> Demand:
    default = next((item for item in priorities.values() if item.global_default), None)
    chosen = priorities.get(template.spec.priority_class_name, default)
    spec = template.spec
    if chosen is not None:
        spec = msgspec.structs.replace(spec, preemption_policy=chosen.preemption_policy)
    priority = None if chosen is None else chosen.value
    return read_demand(spec, template.metadata.labels, namespace or "default", priority)


def _workers(marks: Mapping[str, str], template: PodTemplate, options: Options) -> Workers:
    def own(name: str, read: Callable[[str], T], given: T | None, default: T) -> T:
        text = marks.get(PREFIX + name)
        return given if given is not None else default if text is None else read(text)

    default = Workers()
    given = None if options.message_seconds is None else parse_work_time(options.message_seconds)
    return Workers(
        work_time=own("message-seconds", parse_work_time, given, default.work_time),
        concurrency=own("concurrency", int, options.concurrency, default.concurrency),
        start_seconds=own("start-seconds", float, options.start_seconds, default.start_seconds),
        drains=own("drains", _is_true, None, default.drains),
        marks_busy=own("marks-busy", _is_true, None, default.marks_busy),
        visibility_timeout_seconds=own("visibility-timeout-seconds", float, None, default.visibility_timeout_seconds),
        grace_seconds=float(template.spec.termination_grace_period_seconds),
    )


def _is_true(text: str) -> bool:
    return text == "true"


def _triggers(triggers: Sequence[Trigger], environment: Mapping[str, str]) -> tuple[NamedTrigger, ...]:
    return tuple(_trigger(index, trigger, environment) for index, trigger in enumerate(triggers))


def _trigger(index: int, trigger: Trigger, environment: Mapping[str, str]) -> NamedTrigger:
    if trigger.metric_type == "Value":
        raise InvalidManifest(f"trigger {trigger.type}: metricType Value is not simulated")
    match trigger.type:
        case "aws-sqs-queue":
            sqs = read_sqs_trigger(trigger.metadata, environment)
            return NamedTrigger(
                sqs.metric_name(index), trigger.name, QueueTrigger(sqs), is_cached=trigger.use_cached_metrics
            )
        case "external" | "external-push":
            queue = next(
                (trigger.metadata[key] for key in ("queueURL", "queueName", "queue") if key in trigger.metadata), ""
            )
            sqs = read_sqs_trigger({**trigger.metadata, "queueURL": queue}, environment)
            pushed = QueueTrigger(sqs, is_pushed=trigger.type == "external-push")
            return NamedTrigger(sqs.metric_name(index), trigger.name, pushed, is_cached=trigger.use_cached_metrics)
        case "cron":
            cron = _cron(trigger)
            return NamedTrigger(metric_name(index, f"cron-{cron.zone}"), trigger.name, cron)
        case "cpu" | "memory":
            return NamedTrigger(trigger.type, trigger.name, ResourceTrigger(trigger.type))
        case _:
            known = "aws-sqs-queue, external, external-push, cron, cpu and memory are"
            raise InvalidManifest(f"trigger {trigger.type} is not simulated: {known}")


def _cron(trigger: Trigger) -> CronTrigger:
    data = trigger.metadata
    missing = [key for key in ("timezone", "start", "end", "desiredReplicas") if not data.get(key)]
    if missing:
        raise InvalidManifest(f"trigger cron: {missing[0]} is required")
    try:
        ZoneInfo(data["timezone"])
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidManifest(f"trigger cron: unknown timezone {data['timezone']}") from None
    return CronTrigger(
        parse_cron(data["start"]), parse_cron(data["end"]), data["timezone"], int(data["desiredReplicas"])
    )


def _queue_of(triggers: Sequence[NamedTrigger]) -> str:
    names = [t.trigger.sqs.queue_name for t in triggers if isinstance(t.trigger, QueueTrigger)]
    return names[0] if names else ""


def _pool(item: NodePool, found: Sequence[Manifest], options: Options) -> Pool:
    types = options.instance_types or kwok_instance_types()
    reference = item.spec.template.spec.node_class_ref
    for node_class in _all(found, EC2NodeClass):
        if reference.kind == "EC2NodeClass" and node_class.metadata.name == reference.name:
            types = tuple(with_kubelet(kind, node_class.spec.kubelet) for kind in types)
    return Pool(item, types)


def _registration_seconds(pool: Pool, found: Sequence[Manifest], options: Options) -> float:
    if options.node_seconds is not None:
        return options.node_seconds
    reference = pool.manifest.spec.template.spec.node_class_ref
    for node_class in _all(found, KWOKNodeClass):
        if reference.kind == "KWOKNodeClass" and node_class.metadata.name == reference.name:
            return parse_duration(node_class.spec.node_registration_delay or "0s")
    return 0.0 if reference.kind == "KWOKNodeClass" else _EC2_REGISTRATION_SECONDS


def parse_start(text: str) -> float:
    """Read the moment at which a simulation begins.

    Raises:
        InvalidManifest: it is no ISO 8601 date and time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidManifest(f"{text!r} is no date and time such as 2026-01-05T00:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
