"""KEDA's scaled jobs: at every poll, as many jobs as the strategy says; and no more finished ones than the history."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from forebay.core.errors import ForebayError
from forebay.scaling.cluster.authentication import parameters_of, workload_environment
from forebay.scaling.cluster.defaults import set_defaults
from forebay.scaling.cluster.jobs import has_ended
from forebay.scaling.cluster.keda import COMPONENT
from forebay.scaling.cluster.kinds import EMPTY, JOBS, PODS, SCALED_JOBS, Object
from forebay.scaling.cluster.objects import (
    Deletion,
    annotations_of,
    instant,
    is_deleting,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from forebay.scaling.cluster.replica_sets import phase_of
from forebay.scaling.cluster.subject import Subject, TriggerFailed
from forebay.scaling.cluster.triggers import Reading, Scaler, Triggers
from forebay.scaling.cluster.world import World, condition_of, is_condition_true, set_conditions
from forebay.scaling.manifests.documents import read_manifest
from forebay.scaling.manifests.keda import ScaledJob
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.outcome import Condition, Event
from forebay.scaling.policies.scaled_job import JobMetric, Jobs, decide
from forebay.scaling.policies.scaled_object import is_paused

_NAME_LABEL = "scaledjob.keda.sh/name"
_GENERATION = "scaledjob.keda.sh/generation"


@dataclass
class Watched:
    """A scaled job under way."""

    generation: int
    manifest: ScaledJob
    scalers: list[Scaler]
    due_at: float = 0.0
    was_failing: bool = False


class ScaledJobs:
    """Polls scaled jobs. A `Worker`."""

    name = "kubernetes.scaled_jobs"

    def __init__(self, world: World, triggers: Triggers) -> None:
        self._world = world
        self._triggers = triggers
        self._watched: dict[str, Watched] = {}

    async def run_once(self) -> float:
        """Poll what is due."""
        due, now = float("inf"), self._world.now()
        present: set[str] = set()
        for thing in self._world.index.all(SCALED_JOBS):
            if is_deleting(thing):
                continue
            present.add(uid_of(thing))
            due = min(due, await self._attend(thing, now))
            await self._trim(thing)
        for uid in set(self._watched) - present:
            del self._watched[uid]
        return max(0.0, due - self._world.now())

    async def _attend(self, thing: Object, now: float) -> float:
        uid, generation = uid_of(thing), int(thing["metadata"].get("generation", 1))
        watched = self._watched.get(uid)
        if watched is None or watched.generation != generation:
            try:
                manifest = cast("ScaledJob", read_manifest(thing).manifest)
                watched = Watched(generation, manifest, await self._scalers(thing, manifest))
            except (InvalidManifest, TriggerFailed) as problem:
                await self._tell_wrong(thing, str(problem))
                return now + float(thing["spec"].get("pollingInterval") or 30)
            self._watched[uid] = watched
            await self._roll_out(thing)
        if watched.due_at <= now:
            watched.due_at = now + watched.manifest.spec.polling_interval
            await self._poll(thing, watched)
        return watched.due_at

    async def _scalers(self, thing: Object, manifest: ScaledJob) -> list[Scaler]:
        namespace, template = namespace_of(thing), thing["spec"]["jobTargetRef"]["template"]
        container = manifest.spec.env_source_container_name
        environment = workload_environment(self._world.index, namespace, template, container)
        subject = Subject(namespace, name_of(thing), environment)
        made: list[Scaler] = []
        for index, trigger in enumerate(manifest.spec.triggers):
            if trigger.type in {"external-push", "cpu", "memory"}:
                raise InvalidManifest(f"trigger {trigger.type} does not work with a ScaledJob")
            parameters = parameters_of(self._world.index, namespace, trigger, environment)
            made.append(await self._triggers.make(index, trigger, subject, parameters))
        return made

    def _jobs(self, thing: Object) -> list[Object]:
        return self._world.index.owned(JOBS, thing)

    async def _roll_out(self, thing: Object) -> None:
        """Delete the jobs of an older version, unless the rollout is gradual."""
        spec = thing["spec"]
        strategy = (spec.get("rollout") or EMPTY).get("strategy") or spec.get("rolloutStrategy") or "default"
        current = str(thing["metadata"].get("generation", 1))
        for job in self._jobs(thing):
            if strategy != "gradual" and annotations_of(job).get(_GENERATION) != current and not has_ended(job):
                policy = (spec.get("rollout") or EMPTY).get("propagationPolicy") or "background"
                deletion = Deletion(propagation="Foreground" if policy == "foreground" else "Background")
                await self._world.objects.delete(JOBS, job, deletion)

    async def _poll(self, thing: Object, watched: Watched) -> None:
        if is_paused(annotations_of(thing)):
            paused = Condition("Paused", "True", "ScaledJobPaused", "ScaledJob is paused")
            await self._tell(thing, watched, [paused], {}, is_active=False)
            return
        readings: dict[str, Reading | str] = {}
        metrics: list[JobMetric] = []
        for scaler in watched.scalers:
            try:
                reading = await scaler.read()
                readings[scaler.name] = reading
                target = scaler.target.target if scaler.target else 0.0
                metrics.append(JobMetric(reading.value, target, reading.is_active))
            except (ForebayError, InvalidManifest) as problem:
                readings[scaler.name] = str(problem)
        jobs = [job for job in self._jobs(thing) if not has_ended(job) and not is_deleting(job)]
        pending = sum(1 for job in jobs if self._is_pending(watched, job))
        decision = decide(watched.manifest.spec, metrics, Jobs(len(jobs), pending))
        if decision.create:
            await self._create(thing, decision.create)
        is_active = any(isinstance(each, Reading) and each.is_active for each in readings.values())
        await self._tell(thing, watched, [], readings, is_active=is_active)

    def _is_pending(self, watched: Watched, job: Object) -> bool:
        pods = self._world.index.owned(PODS, job)
        wanted = watched.manifest.spec.scaling_strategy.pending_pod_conditions
        if wanted:
            return not any(all(is_condition_true(pod, kind) for kind in wanted) for pod in pods)
        return not any(phase_of(pod) in {"Running", "Succeeded"} for pod in pods)

    async def _create(self, thing: Object, count: int) -> None:
        made: list[Object] = []
        for _ in range(count):
            spec = copy.deepcopy(thing["spec"]["jobTargetRef"])
            uid = self._world.ids.uuid()
            job: Object = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": f"{name_of(thing)}-{self._world.ids.token(5)}",
                    "namespace": namespace_of(thing),
                    "uid": uid,
                    "labels": {
                        **(thing["metadata"].get("labels") or EMPTY),
                        "app.kubernetes.io/managed-by": COMPONENT,
                        "app.kubernetes.io/part-of": name_of(thing),
                        _NAME_LABEL: name_of(thing),
                    },
                    "annotations": {_GENERATION: str(thing["metadata"].get("generation", 1))},
                    "ownerReferences": [owner_reference(SCALED_JOBS, thing)],
                },
                "spec": spec,
            }
            labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
            labels[_NAME_LABEL] = name_of(thing)
            set_defaults(JOBS, job)
            made.append(job)
        await self._world.objects.create(JOBS, made)
        event = Event("Normal", "KEDAJobsCreated", f"Created {count} jobs")
        await self._world.recorder.record(SCALED_JOBS, thing, [event], COMPONENT)

    async def _trim(self, thing: Object) -> None:
        spec = thing["spec"]
        ended = [job for job in self._jobs(thing) if has_ended(job) and not is_deleting(job)]
        for kind, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            jobs = [job for job in ended if is_condition_true(job, kind)]
            jobs.sort(key=lambda job: condition_of(job, "Complete").get("lastTransitionTime", ""))
            keep = int(spec.get(limit, 100))
            for job in jobs[: max(0, len(jobs) - keep)]:
                await self._world.objects.delete(JOBS, job, Deletion())

    async def _tell(
        self,
        thing: Object,
        watched: Watched,
        extra: Sequence[Condition],
        readings: Mapping[str, Reading | str],
        *,
        is_active: bool,
    ) -> None:
        now = self._world.now()
        problems = [each for each in readings.values() if isinstance(each, str)]
        ready = Condition("Ready", "True", "ScaledJobReady", "ScaledJob is defined correctly and is ready to scaling")
        if problems:
            text = "Triggers defined in ScaledJob are not working correctly"
            ready = Condition("Ready", "False", "TriggerError", text)
        active = Condition("Active", "True", "ScalerActive", "Scaling is performed because triggers are active")
        if not is_active:
            text = "Scaling is not performed because triggers are not active"
            active = Condition("Active", "False", "ScalerNotActive", text)
        types = ",".join(dict.fromkeys(scaler.trigger.type for scaler in watched.scalers))

        def change(each: Object) -> None:
            status = cast("Object", each.setdefault("status", {}))
            status["triggersTypes"] = types
            if is_active:
                status["lastActiveTime"] = instant(now)
            set_conditions(status, [ready, active, *extra], now)

        await self._world.objects.change(SCALED_JOBS, thing, change)
        if problems and not watched.was_failing:
            events = [Event("Warning", "KEDAScalerFailed", text) for text in problems]
            await self._world.recorder.record(SCALED_JOBS, thing, events, COMPONENT)
        watched.was_failing = bool(problems)

    async def _tell_wrong(self, thing: Object, text: str) -> None:
        now = self._world.now()
        condition = Condition("Ready", "False", "ScaledJobCheckFailed", text)
        await self._world.objects.change(
            SCALED_JOBS,
            thing,
            lambda each: set_conditions(cast("Object", each.setdefault("status", {})), [condition], now),
        )
        event = Event("Warning", "ScaledJobCheckFailed", text)
        await self._world.recorder.record(SCALED_JOBS, thing, [event], COMPONENT)
