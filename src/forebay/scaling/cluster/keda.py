"""KEDA's operator: polls triggers, wakes workloads and puts them to sleep, writes the HPA, and tells it the metrics.

What it decides is in `policies`; here are the reading, the writing and the clock. A poll's time is kept in memory only:
after a restart every object is polled at once, as after a restart of KEDA.
"""

import asyncio
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from forebay.core.errors import ForebayError
from forebay.scaling.cluster.authentication import parameters_of, scaled_resource, workload_environment
from forebay.scaling.cluster.hpa_objects import hpa_object
from forebay.scaling.cluster.kinds import AUTOSCALERS, EMPTY, SCALED_OBJECTS, Object, Resource
from forebay.scaling.cluster.objects import instant, is_deleting, name_of, namespace_of, parse_instant, uid_of
from forebay.scaling.cluster.ownership import Manager, record
from forebay.scaling.cluster.subject import Subject, TriggerFailed
from forebay.scaling.cluster.triggers import Reading, Scaler, Triggers
from forebay.scaling.cluster.world import World, set_conditions
from forebay.scaling.manifests.documents import read_manifest
from forebay.scaling.manifests.keda import ScaledObject
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.expression import InvalidFormula
from forebay.scaling.policies.fallback import (
    Health,
    Target,
    fallback_condition,
    fallback_value,
    is_falling_back,
)
from forebay.scaling.policies.keda_hpa import COMPOSITE_METRIC, hpa_name, hpa_of
from forebay.scaling.policies.outcome import Condition, Event
from forebay.scaling.policies.scaled_object import (
    Poll,
    ScaledObjectDecision,
    decide,
)
from forebay.scaling.policies.scaling_modifiers import read_modifiers

log = structlog.get_logger()

COMPONENT = "keda-operator"
_FINALIZER = "finalizer.keda.sh"


@dataclass
class Watched:
    """A scaled object under way: its scalers, when it is due, and what was read last."""

    generation: int
    environment_version: str
    manifest: ScaledObject
    scalers: list[Scaler]
    due_at: float
    cached: dict[str, float] = field(default_factory=dict[str, float])
    health: dict[str, Health] = field(default_factory=dict[str, Health])
    # Set when other scalers have taken the place of these, or none.
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    was_failing: bool = False


class Keda:
    """Polls scaled objects. A `Worker`."""

    name = "kubernetes.keda"

    def __init__(self, world: World, triggers: Triggers) -> None:
        self._world = world
        self._triggers = triggers
        self._watched: dict[str, Watched] = {}
        self.wake: Any = lambda: None

    async def run_once(self) -> float:
        """Poll what is due."""
        due = float("inf")
        present: set[str] = set()
        for thing in self._world.index.all(SCALED_OBJECTS):
            if is_deleting(thing):
                await self._release(thing)
                continue
            present.add(uid_of(thing))
            due = min(due, await self._attend(thing))
        for uid in set(self._watched) - present:
            self._forget(uid)
        return max(0.0, due - self._world.now())

    async def _attend(self, thing: Object) -> float:
        now = self._world.now()
        watched = self._watched.get(uid_of(thing))
        version = self._version(thing)
        is_changed = watched is None or watched.environment_version != version
        if watched is not None and not is_changed and watched.due_at > now:
            return watched.due_at
        if is_changed:
            self._forget(uid_of(thing))
            watched = await self._prepare(thing, version)
        if watched is None:
            # What is wrong may be mended elsewhere (a secret, a target), so it is looked at again at the usual pace.
            interval = float(thing["spec"].get("pollingInterval") or 30)
            return now + interval
        self._watched[uid_of(thing)] = watched
        watched.due_at = now + watched.manifest.spec.polling_interval
        await self._poll(thing, watched)
        return watched.due_at

    def end_following(self) -> None:
        """Follow no scaler's pushes any more: the node is about to stop."""
        for watched in self._watched.values():
            watched.ended.set()

    def _forget(self, uid: str) -> None:
        watched = self._watched.pop(uid, None)
        if watched is not None:
            watched.ended.set()

    def _version(self, thing: Object) -> str:
        """Return a text that changes when what scalers are made of does."""
        spec, annotations = thing["spec"], thing["metadata"].get("annotations") or EMPTY
        target = self._target(thing)
        template = target[1]["spec"].get("template") if target else None
        marks = {name: value for name, value in annotations.items() if "keda.sh/" in name}
        return repr((spec, marks, template))

    def _target(self, thing: Object) -> tuple[Resource, Object] | None:
        reference = thing["spec"]["scaleTargetRef"]
        resource = scaled_resource(reference.get("apiVersion") or "", reference.get("kind") or "")
        if resource is None:
            return None
        found = self._world.index.find(resource, namespace_of(thing), reference["name"])
        return None if found is None else (resource, found)

    async def _prepare(self, thing: Object, version: str) -> Watched | None:
        """Make the scalers and the HPA of an object; what is wrong is told in its status."""
        try:
            manifest = cast("ScaledObject", read_manifest(thing).manifest)
            target = self._target(thing)
            if target is None:
                reference = manifest.spec.scale_target_ref
                raise InvalidManifest(
                    f"ScaledObject doesn't have correct scaleTargetRef specification: {reference.kind} "
                    f"{reference.name} not found"
                )
            read_modifiers(manifest)
            scalers = await self._scalers(thing, manifest, target[1])
            await self._write_hpa(thing, manifest, scalers)
        except (InvalidManifest, TriggerFailed) as problem:
            await self._tell_wrong(thing, str(problem))
            return None
        generation = int(thing["metadata"].get("generation", 1))
        watched = Watched(generation, version, manifest, scalers, 0.0)
        watched.health = _stored_health(thing)
        if "originalReplicaCount" not in (thing.get("status") or EMPTY):
            await self._tell_start(thing, manifest, scalers, target)
        for scaler in scalers:
            if scaler.trigger.type == "external-push":
                self._world.platform.spawn(self._follow(uid_of(thing), watched, scaler, thing))
        return watched

    async def _scalers(self, thing: Object, manifest: ScaledObject, target: Object) -> list[Scaler]:
        namespace = namespace_of(thing)
        container = manifest.spec.scale_target_ref.env_source_container_name
        environment = workload_environment(self._world.index, namespace, target["spec"]["template"], container)
        subject = Subject(namespace, name_of(thing), environment)
        made: list[Scaler] = []
        for index, trigger in enumerate(manifest.spec.triggers):
            parameters = parameters_of(self._world.index, namespace, trigger, environment)
            made.append(await self._triggers.make(index, trigger, subject, parameters))
        return made

    async def _follow(self, uid: str, watched: Watched, scaler: Scaler, thing: Object) -> None:
        """Poll an object at once whenever a scaler pushes that there is work, as long as the scaler is in use."""

        def wake() -> None:
            if self._watched.get(uid) is watched:
                watched.due_at = 0.0
                self.wake()

        subject = Subject(namespace_of(thing), name_of(thing), {})
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._triggers.follow_pushes(scaler, subject, wake))
            await watched.ended.wait()
            following.cancel()

    # --- polling ---

    async def _poll(self, thing: Object, watched: Watched) -> None:
        target = self._target(thing)
        if target is None:
            self._forget(uid_of(thing))
            return
        resource, workload = target
        readings = await self._read_all(watched)
        problems = [problem for problem in readings.values() if isinstance(problem, str)]
        current = int(workload["spec"].get("replicas", 1))
        is_active, names = self._activity(watched, readings, workload)
        poll = Poll(
            current,
            is_active=is_active,
            is_error=bool(problems),
            created_at=parse_instant(thing["metadata"]["creationTimestamp"]) or 0.0,
            last_active_at=parse_instant((thing.get("status") or EMPTY).get("lastActiveTime")),
            active_triggers=tuple(names),
        )
        decision = decide(watched.manifest, poll, self._world.now())
        if decision.set_replicas is not None and decision.set_replicas != current:
            await scale(self._world, resource, workload, decision.set_replicas, COMPONENT)
        await self._tell(thing, watched, decision, readings)

    async def _read_all(self, watched: Watched) -> dict[str, Reading | str]:
        """Read every trigger: what it says, or what is wrong with it."""
        readings: dict[str, Reading | str] = {}
        for scaler in watched.scalers:
            if scaler.target is None:
                continue
            reading = await self._read(watched, scaler)
            readings[scaler.name] = reading
            if isinstance(reading, Reading):
                watched.cached[scaler.name] = reading.value
        return readings

    async def _read(self, watched: Watched, scaler: Scaler) -> Reading | str:
        health = watched.health.get(scaler.name, Health())
        try:
            reading: Reading | str = await scaler.read()
        except (ForebayError, InvalidManifest) as problem:
            reading = str(problem)
        watched.health[scaler.name] = health.after(is_read=isinstance(reading, Reading))
        return reading

    def _activity(
        self, watched: Watched, readings: Mapping[str, Reading | str], workload: Object
    ) -> tuple[bool, list[str]]:
        spec = watched.manifest.spec
        external = [scaler for scaler in watched.scalers if scaler.target is not None]
        if not external:
            # Objects with cpu and memory only are always active.
            return True, [scaler.name for scaler in watched.scalers]
        composite = read_modifiers(watched.manifest)
        if composite is not None:
            try:
                value = composite.value(self._values_by_trigger(watched, readings, workload))
            except InvalidFormula:
                return False, []
            return composite.is_active(value), [COMPOSITE_METRIC]
        names = [
            scaler.name
            for scaler in external
            if (isinstance(reading := readings[scaler.name], Reading) and reading.is_active)
            or is_falling_back(spec.fallback, watched.health[scaler.name])
        ]
        return bool(names), names

    def _values_by_trigger(
        self, watched: Watched, readings: Mapping[str, Reading | str], workload: Object
    ) -> dict[str, float | None]:
        values: dict[str, float | None] = {}
        for scaler in watched.scalers:
            reading = readings.get(scaler.name)
            if isinstance(reading, Reading):
                values[scaler.trigger.name] = reading.value
            elif is_falling_back(watched.manifest.spec.fallback, watched.health.get(scaler.name, Health())):
                values[scaler.trigger.name] = self._fallback(watched, scaler, workload)
        return values

    def _fallback(self, watched: Watched, scaler: Scaler, workload: Object) -> float | None:
        fallback, target = watched.manifest.spec.fallback, scaler.target
        assert fallback is not None
        assert target is not None
        status = cast("Object", workload.get("status") or EMPTY)
        return fallback_value(
            fallback,
            Target(target.target, target.type),
            current_replicas=int(workload["spec"].get("replicas", 0)),
            ready_replicas=int(status.get("readyReplicas", 0)),
        )

    # --- metrics for the HPA ---

    async def metric(self, namespace: str, name: str, metric: str) -> float:
        """Return the value of an object's metric, as KEDA's metrics adapter tells the HPA.

        Raises:
            TriggerFailed: it cannot be read, and no fallback stands in.
        """
        thing = self._world.index.find(SCALED_OBJECTS, namespace, name)
        watched = self._watched.get(uid_of(thing)) if thing is not None else None
        if thing is None or watched is None:
            raise TriggerFailed(f"no matching metrics found for {metric}")
        target = self._target(thing)
        workload: Object = target[1] if target else {"spec": EMPTY, "metadata": EMPTY}
        if metric == COMPOSITE_METRIC:
            return await self._composite(watched, workload)
        scaler = next((each for each in watched.scalers if each.name == metric), None)
        if scaler is None:
            raise TriggerFailed(f"no matching metrics found for {metric}")
        return await self._value(watched, scaler, workload)

    async def _value(self, watched: Watched, scaler: Scaler, workload: Object) -> float:
        if scaler.trigger.use_cached_metrics and scaler.name in watched.cached:
            return watched.cached[scaler.name]
        reading = await self._read(watched, scaler)
        if isinstance(reading, Reading):
            # What is negative or not finite is reported as 0.
            return reading.value if 0 <= reading.value < float("inf") else 0.0
        if is_falling_back(watched.manifest.spec.fallback, watched.health[scaler.name]):
            value = self._fallback(watched, scaler, workload)
            if value is not None:
                return value
        raise TriggerFailed(reading)

    async def _composite(self, watched: Watched, workload: Object) -> float:
        composite = read_modifiers(watched.manifest)
        assert composite is not None
        readings = {each.name: await self._read(watched, each) for each in watched.scalers if each.target is not None}
        failed = [text for text in readings.values() if isinstance(text, str)]
        values = self._values_by_trigger(watched, readings, workload)
        if failed and len(values) < len(readings):
            raise TriggerFailed(failed[0])
        try:
            return composite.value(values)
        except InvalidFormula as problem:
            raise TriggerFailed(str(problem)) from None

    # --- writing ---

    async def _write_hpa(self, thing: Object, manifest: ScaledObject, scalers: Sequence[Scaler]) -> None:
        wanted = hpa_object(hpa_of(manifest, [scaler.target for scaler in scalers]))
        name = hpa_name(manifest)
        for other in self._world.index.owned(AUTOSCALERS, thing):
            if name_of(other) != name:
                await self._world.objects.delete(AUTOSCALERS, other)
        found = self._world.index.find(AUTOSCALERS, namespace_of(thing), name)
        if found is None:
            wanted["metadata"]["namespace"] = namespace_of(thing)
            await self._world.objects.create(AUTOSCALERS, [wanted])
            return

        def change(each: Object) -> None:
            each["spec"] = copy.deepcopy(wanted["spec"])
            each["metadata"]["labels"] = {**(each["metadata"].get("labels") or EMPTY), **wanted["metadata"]["labels"]}

        await self._world.objects.change(AUTOSCALERS, found, change)

    async def _tell_start(
        self, thing: Object, manifest: ScaledObject, scalers: Sequence[Scaler], target: tuple[Resource, Object]
    ) -> None:
        resource, workload = target
        types = [scaler.trigger.type for scaler in scalers]
        names = [scaler.name for scaler in scalers if scaler.target is not None]
        references = [each.authentication_ref.name for each in manifest.spec.triggers if each.authentication_ref]
        status: Object = {
            "originalReplicaCount": int(workload["spec"].get("replicas", 1)),
            "scaleTargetKind": f"{resource.api_version}.{resource.kind}",
            "scaleTargetGVKR": {
                "group": resource.group,
                "version": resource.version,
                "kind": resource.kind,
                "resource": resource.plural,
            },
            "externalMetricNames": names,
            "hpaName": hpa_name(manifest),
            "triggersTypes": ",".join(dict.fromkeys(types)),
        }
        if references:
            status["authenticationsTypes"] = ",".join(dict.fromkeys(references))

        def change(each: Object) -> None:
            each.setdefault("status", {}).update(status)
            each["metadata"]["labels"] = (each["metadata"].get("labels") or EMPTY) | {
                "scaledobject.keda.sh/name": name_of(each)
            }
            each["metadata"]["finalizers"] = sorted({*(each["metadata"].get("finalizers") or ()), _FINALIZER})

        await self._world.objects.change(SCALED_OBJECTS, thing, change)
        event = Event("Normal", "ScaledObjectReady", "ScaledObject is ready for scaling")
        started = Event("Normal", "KEDAScalersStarted", "Started scalers watch")
        await self._world.recorder.record(SCALED_OBJECTS, thing, [started, event], COMPONENT)

    async def _tell(
        self,
        thing: Object,
        watched: Watched,
        decision: ScaledObjectDecision,
        readings: Mapping[str, Reading | str],
    ) -> None:
        now, fallback = self._world.now(), watched.manifest.spec.fallback
        falling = any(is_falling_back(fallback, health) for health in watched.health.values())
        conditions = [*decision.conditions, fallback_condition(is_falling_back=falling)]
        if not any(each.type == "Paused" for each in conditions):
            conditions.append(
                Condition("Paused", "False", "ScaledObjectUnpaused", "pause annotation removed for ScaledObject")
            )
        activity = {name: {"isActive": isinstance(each, Reading) and each.is_active} for name, each in readings.items()}
        health = {
            name: {"numberOfFailures": each.failures, "status": each.status} for name, each in watched.health.items()
        }

        def change(each: Object) -> None:
            status = cast("Object", each.setdefault("status", {}))
            if decision.last_active_at is not None:
                status["lastActiveTime"] = instant(decision.last_active_at)
            status["triggersActivity"] = activity
            if fallback is not None or any(one["numberOfFailures"] for one in health.values()):
                status["health"] = health
            set_conditions(status, conditions, now)

        await self._world.objects.change(SCALED_OBJECTS, thing, change)
        problems = [text for text in readings.values() if isinstance(text, str)]
        events = [*decision.events]
        if problems and not watched.was_failing:
            events += [Event("Warning", "KEDAScalerFailed", text) for text in problems]
        watched.was_failing = bool(problems)
        await self._world.recorder.record(SCALED_OBJECTS, thing, events, COMPONENT)

    async def _tell_wrong(self, thing: Object, text: str) -> None:
        now = self._world.now()
        condition = Condition("Ready", "False", "ScaledObjectCheckFailed", text)
        paused = Condition("Active", "Unknown", "UnkownState", "Failed to ensure ScaledObject is correctly created")
        is_new = (thing.get("status") or EMPTY).get("conditions") is None or not any(
            each.get("message") == text for each in thing["status"]["conditions"]
        )

        def change(each: Object) -> None:
            set_conditions(cast("Object", each.setdefault("status", {})), [condition, paused], now)

        await self._world.objects.change(SCALED_OBJECTS, thing, change)
        if is_new:
            event = Event("Warning", "ScaledObjectCheckFailed", text)
            await self._world.recorder.record(SCALED_OBJECTS, thing, [event], COMPONENT)

    async def _release(self, thing: Object) -> None:
        """Let a deleted object go: its workload gets its old size back where that is wanted."""
        if _FINALIZER not in (thing["metadata"].get("finalizers") or ()):
            return
        restores = (thing["spec"].get("advanced") or EMPTY).get("restoreToOriginalReplicaCount")
        target, original = self._target(thing), (thing.get("status") or EMPTY).get("originalReplicaCount")
        if restores and target is not None and original is not None:
            await scale(self._world, target[0], target[1], int(original), COMPONENT)

        def change(each: Object) -> None:
            each["metadata"]["finalizers"] = [one for one in each["metadata"]["finalizers"] if one != _FINALIZER]

        await self._world.objects.change(SCALED_OBJECTS, thing, change)


async def scale(world: World, resource: Resource, workload: Object, replicas: int, manager: str) -> None:
    """Write a workload's number of replicas, through its scale."""
    at = instant(world.now())

    def change(thing: Object) -> None:
        before = copy.deepcopy(thing)
        thing["spec"]["replicas"] = replicas
        record(resource, before, thing, Manager(manager, "Update", "scale", at))

    await world.objects.change(resource, workload, change)


def _stored_health(thing: Object) -> dict[str, Health]:
    stored = cast("Mapping[str, Object]", (thing.get("status") or EMPTY).get("health") or EMPTY)
    return {name: Health(int(each.get("numberOfFailures") or 0)) for name, each in stored.items()}
