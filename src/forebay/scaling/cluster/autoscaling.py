"""The HPA controller: every 15 seconds for each autoscaler, from its metrics to a scale, with what it remembers.

The arithmetic is in `policies`. What an autoscaler remembers is stored beside it, so that a restart of the node forgets
no stabilisation window (a real controller keeps it in memory only).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from forebay.scaling.cluster.authentication import scaled_resource
from forebay.scaling.cluster.keda import Keda, scale
from forebay.scaling.cluster.kinds import AUTOSCALERS, EMPTY, PODS, Object, Resource
from forebay.scaling.cluster.meters import Meters
from forebay.scaling.cluster.objects import (
    instant,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    parse_instant,
    uid_of,
)
from forebay.scaling.cluster.replica_sets import phase_of
from forebay.scaling.cluster.selectors import matches_labels
from forebay.scaling.cluster.subject import TriggerFailed
from forebay.scaling.cluster.world import World, condition_of, set_conditions
from forebay.scaling.manifests.documents import read_manifest
from forebay.scaling.manifests.hpa import ExternalMetric, HorizontalPodAutoscaler, HpaSpec, MetricSpec
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import format_bytes, format_milli, parse_milli
from forebay.scaling.policies.hpa import (
    Failure,
    Flags,
    HpaDecision,
    Proposal,
    decide,
    external_metric_name,
    metrics_of,
    tolerance_of,
)
from forebay.scaling.policies.hpa_replicas import (
    MetricError,
    PodsMetric,
    PodState,
    Sample,
    Usage,
    average_utilization,
    average_value,
    external_average,
    external_value,
)
from forebay.scaling.policies.hpa_shaping import HpaHistory
from forebay.scaling.policies.outcome import Condition, Event
from forebay.store.records import Kind

_COMPONENT = "horizontal-pod-autoscaler"
_SELECTOR = "scaledobject.keda.sh/name"


class Memory(msgspec.Struct, frozen=True):
    """What an autoscaler remembers, and when it is looked at next."""

    uid: str
    due_at: float
    history: HpaHistory = HpaHistory()


MEMORY = Kind("kubernetes.hpa_memory", Memory)


class Autoscalers:
    """Syncs autoscalers. A `Worker`."""

    name = "kubernetes.autoscalers"

    def __init__(self, world: World, keda: Keda, meters: Meters) -> None:
        self._world = world
        self._keda = keda
        self._meters = meters
        config = world.platform.config
        self._interval = config.hpa_sync_seconds
        self._flags = Flags(config.hpa_downscale_stabilization_seconds)
        self._memories: dict[str, Memory] | None = None

    async def run_once(self) -> float:
        """Sync what is due."""
        memories = await self._load()
        now, due = self._world.now(), float("inf")
        present: set[str] = set()
        for thing in self._world.index.all(AUTOSCALERS):
            if is_deleting(thing):
                continue
            uid = uid_of(thing)
            present.add(uid)
            memory = memories.get(uid)
            if memory is None:
                # A new one is looked at after the first interval (the controller's queue is rate limited by it).
                memory = Memory(uid, now + self._interval)
                await self._remember(memory)
            elif memory.due_at <= now:
                memory = await self._sync(thing, memory)
            due = min(due, memory.due_at)
        for uid in set(memories) - present:
            await self._forget(uid)
        return max(0.0, due - self._world.now())

    async def _load(self) -> dict[str, Memory]:
        if self._memories is None:
            stored = await self._world.platform.store.view(lambda view: view.records.list(MEMORY))
            self._memories = dict(stored)
        return self._memories

    async def _remember(self, memory: Memory) -> None:
        assert self._memories is not None
        self._memories[memory.uid] = memory
        await self._world.platform.store.transact(lambda tx: tx.records.put(MEMORY, memory.uid, memory))

    async def _forget(self, uid: str) -> None:
        assert self._memories is not None
        del self._memories[uid]
        await self._world.platform.store.transact(lambda tx: tx.records.delete(MEMORY, uid))

    async def _sync(self, thing: Object, memory: Memory) -> Memory:
        now = self._world.now()
        # The rhythm is kept: a sync that comes late does not move those that follow, unless the clock has jumped.
        following = memory.due_at + self._interval
        following = following if following > now else now + self._interval
        try:
            read = cast("HorizontalPodAutoscaler", read_manifest(thing).manifest)
        except InvalidManifest as problem:
            condition = Condition("ScalingActive", "False", "InvalidSpec", str(problem))
            await self._tell(thing, None, [condition], [])
            memory = Memory(memory.uid, following, memory.history)
            await self._remember(memory)
            return memory
        target = self._target(thing, read.spec)
        if target is None:
            reference = read.spec.scale_target_ref
            text = (
                "the HPA controller was unable to get the target's current scale: "
                f'{reference.kind} "{reference.name}" not found'
            )
            event = Event("Warning", "FailedGetScale", text)
            await self._tell(thing, None, [Condition("AbleToScale", "False", "FailedGetScale", text)], [event])
        else:
            memory = Memory(memory.uid, memory.due_at, await self._scale(thing, read.spec, target, memory.history))
        memory = Memory(memory.uid, following, memory.history)
        await self._remember(memory)
        return memory

    def _target(self, thing: Object, spec: HpaSpec) -> tuple[Resource, Object] | None:
        reference = spec.scale_target_ref
        resource = scaled_resource(reference.api_version, reference.kind)
        found = self._world.index.find(resource, namespace_of(thing), reference.name) if resource else None
        return None if resource is None or found is None else (resource, found)

    async def _scale(
        self, thing: Object, spec: HpaSpec, target: tuple[Resource, Object], history: HpaHistory
    ) -> HpaHistory:
        resource, workload = target
        current = int(workload["spec"].get("replicas", 1))
        proposals: list[Proposal | Failure] = []
        if not (current == 0 and spec.min_replicas != 0) and spec.min_replicas <= current <= spec.max_replicas:
            proposals += [await self._propose(thing, spec, metric, workload) for metric in metrics_of(spec)]
        decision = decide(spec, current, proposals, history, self._world.now(), self._flags)
        if decision.is_rescaled and decision.replicas != current:
            await scale(self._world, resource, workload, decision.replicas, "kube-controller-manager")
        await self._tell_scaled(thing, workload, spec, decision, proposals)
        return decision.history

    # --- metrics ---

    async def _propose(self, thing: Object, spec: HpaSpec, metric: MetricSpec, workload: Object) -> Proposal | Failure:
        if metric.type == "External" and metric.external is not None:
            return await self._external(thing, spec, metric.external, workload)
        if metric.type in {"Resource", "ContainerResource"}:
            return self._resource(spec, metric, workload)
        text = f"metrics of type {metric.type} have no source here"
        return Failure(f"FailedGet{metric.type}Metric", text)

    async def _external(
        self, thing: Object, spec: HpaSpec, metric: ExternalMetric, workload: Object
    ) -> Proposal | Failure:
        name = external_metric_name(metric)
        labels = metric.metric.selector.match_labels if metric.metric.selector else {}
        try:
            value = await self._keda.metric(namespace_of(thing), labels.get(_SELECTOR, ""), metric.metric.name)
        except TriggerFailed as problem:
            text = f"unable to get external metric {namespace_of(thing)}/{metric.metric.name}: {problem}"
            return Failure("FailedGetExternalMetric", text)
        total, tolerance = round(value * 1000), tolerance_of(spec.behavior, self._flags)
        status = cast("Object", workload.get("status") or EMPTY)
        if metric.target.average_value is not None:
            target = parse_milli(metric.target.average_value)
            return Proposal(name, external_average(total, target, int(status.get("replicas", 0)), tolerance))
        current = int(workload["spec"].get("replicas", 1))
        try:
            pods = self._pods(workload, "")
            return Proposal(
                name, external_value(total, parse_milli(metric.target.value or 0), current, pods, tolerance)
            )
        except MetricError as problem:
            return Failure("FailedGetExternalMetric", str(problem))

    def _resource(self, spec: HpaSpec, metric: MetricSpec, workload: Object) -> Proposal | Failure:
        source = metric.resource or metric.container_resource
        assert source is not None
        container = metric.container_resource.container if metric.container_resource else ""
        current = int(workload["spec"].get("replicas", 1))
        measured = PodsMetric(
            self._pods(workload, source.name),
            self._samples(workload, source.name),
            current,
            self._world.now(),
            tolerance_of(spec.behavior, self._flags),
            resource=source.name,
            container=container,
            namespace=namespace_of(workload),
        )
        try:
            if source.target.average_utilization is not None:
                usage = average_utilization(measured, source.target.average_utilization)
                name = f"{source.name} resource utilization (percentage of request)"
            else:
                usage = average_value(measured, parse_milli(source.target.average_value or 0))
                name = f"{source.name} resource"
        except MetricError as problem:
            text = f"failed to get {source.name} utilization: {problem}"
            return Failure("FailedGetResourceMetric", text)
        return Proposal(name, usage)

    def _selected(self, workload: Object) -> list[Object]:
        selector = workload["spec"].get("selector")
        pods = self._world.index.all(PODS, namespace_of(workload))
        return [pod for pod in pods if matches_labels(selector, labels_of(pod))]

    def _pods(self, workload: Object, resource: str) -> list[PodState]:
        found: list[PodState] = []
        for pod in self._selected(workload):
            ready = condition_of(pod, "Ready")
            status = cast("Object", pod.get("status") or EMPTY)
            found.append(
                PodState(
                    name_of(pod),
                    phase=phase_of(pod),
                    is_ready=None if not ready else ready.get("status") == "True",
                    ready_changed_at=parse_instant(ready.get("lastTransitionTime")) or 0.0,
                    started_at=parse_instant(status.get("startTime")),
                    is_deleting=is_deleting(pod),
                    requests_milli=_requests(pod, resource) if resource else {},
                )
            )
        return found

    def _samples(self, workload: Object, resource: str) -> Mapping[str, Sample]:
        found: dict[str, Sample] = {}
        for pod in self._selected(workload):
            samples = self._meters.samples.get(uid_of(pod))
            if samples:
                values = {
                    name: each.cpu_milli if resource == "cpu" else each.memory_bytes * 1000
                    for name, each in samples.items()
                }
                newest = max(samples.values(), key=lambda each: each.at)
                found[name_of(pod)] = Sample(values, newest.at, newest.window_seconds)
        return found

    # --- telling ---

    async def _tell_scaled(
        self,
        thing: Object,
        workload: Object,
        spec: HpaSpec,
        decision: HpaDecision,
        proposals: Sequence[Proposal | Failure],
    ) -> None:
        current = int(cast("Object", workload.get("status") or EMPTY).get("replicas", 0))
        metrics = [
            shown
            for metric, proposal in zip(metrics_of(spec), proposals, strict=False)
            if isinstance(proposal, Proposal) and (shown := _current(metric, proposal.usage))
        ]
        status: Object = {
            "observedGeneration": thing["metadata"].get("generation", 1),
            "currentReplicas": current,
            "desiredReplicas": decision.replicas,
        }
        if metrics:
            status["currentMetrics"] = metrics
        elif proposals and "currentMetrics" in (thing.get("status") or EMPTY):
            status["currentMetrics"] = thing["status"]["currentMetrics"]
        if decision.is_rescaled:
            status["lastScaleTime"] = instant(self._world.now())
        await self._tell(thing, status, decision.conditions, decision.events)

    async def _tell(
        self, thing: Object, status: Object | None, conditions: Sequence[Condition], events: Sequence[Event]
    ) -> None:
        now = self._world.now()

        def change(each: Object) -> None:
            old = cast("Object", each.get("status") or EMPTY)
            kept = {name: old[name] for name in ("lastScaleTime", "conditions") if name in old}
            each["status"] = {"currentReplicas": 0, "desiredReplicas": 0, **(old if status is None else {})}
            each["status"] |= copy.deepcopy(kept) | (status or EMPTY)
            set_conditions(each["status"], conditions, now)

        await self._world.objects.change(AUTOSCALERS, thing, change)
        await self._world.recorder.record(AUTOSCALERS, thing, events, _COMPONENT)


def _requests(pod: Object, resource: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for container in cast("list[Object]", pod["spec"]["containers"]):
        asked = ((container.get("resources") or EMPTY).get("requests") or EMPTY).get(resource)
        found[container["name"]] = None if asked is None else parse_milli(asked)
    return found


def _current(metric: MetricSpec, usage: Usage) -> Object:
    """Return a metric's current value as the status shows it."""
    if metric.external is not None:
        identity = cast("Object", msgspec.to_builtins(metric.external.metric))
        identity = {name: value for name, value in identity.items() if value}
        if "selector" in identity:
            identity["selector"] = {"matchLabels": identity["selector"]["matchLabels"]}
        name = "averageValue" if metric.external.target.average_value is not None else "value"
        return {"type": "External", "external": {"metric": identity, "current": {name: format_milli(usage.milli)}}}
    source = metric.resource or metric.container_resource
    if source is None:
        return {}
    is_memory = source.name == "memory"
    current: Object = {"averageValue": format_bytes(usage.milli // 1000) if is_memory else format_milli(usage.milli)}
    if usage.percent is not None:
        current["averageUtilization"] = usage.percent
    if metric.resource is not None:
        return {"type": "Resource", "resource": {"name": source.name, "current": current}}
    container = metric.container_resource.container if metric.container_resource else ""
    shown = {"name": source.name, "container": container, "current": current}
    return {"type": "ContainerResource", "containerResource": shown}
