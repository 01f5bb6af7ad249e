"""Jobs: pods that run to their end, as many side by side as wanted, with the job controller's counts and words."""

import copy
from collections.abc import Sequence
from typing import cast

from forebay.scaling.cluster.kinds import EMPTY, JOBS, PODS, Object
from forebay.scaling.cluster.objects import Deletion, instant, is_deleting, name_of, parse_instant
from forebay.scaling.cluster.replica_sets import new_pod, phase_of, pods_of
from forebay.scaling.cluster.world import World, condition_of, is_condition_true, set_conditions
from forebay.scaling.policies.outcome import Condition, Event

_COMPONENT = "job-controller"
_BACKOFF_SECONDS = 10.0
_BACKOFF_SECONDS_MAX = 600.0


class Jobs:
    """Runs each job to its end. A `Worker`."""

    name = "kubernetes.jobs"

    def __init__(self, world: World) -> None:
        self._world = world

    async def run_once(self) -> float:
        """Look at every job once."""
        due = float("inf")
        for job in self._world.index.all(JOBS):
            if not is_deleting(job):
                due = min(due, await self._sync(job))
        return due

    async def _sync(self, job: Object) -> float:
        if has_ended(job):
            return float("inf")
        now, spec = self._world.now(), job["spec"]
        pods = pods_of(self._world.index, job)
        active = [pod for pod in pods if phase_of(pod) not in {"Succeeded", "Failed"} and not is_deleting(pod)]
        succeeded = [pod for pod in pods if phase_of(pod) == "Succeeded"]
        failed = [pod for pod in pods if phase_of(pod) == "Failed"]
        done, lost = self._counted(job, succeeded, failed)
        if spec.get("suspend"):
            await self._delete(job, active)
            return await self._tell(
                job, [], done, lost, [Condition("Suspended", "True", "JobSuspended", "Job suspended")]
            )
        verdict = _verdict(job, active, done, lost, now)
        if verdict is not None:
            await self._delete(job, active)
            events = [Event("Normal" if verdict[0].type != "FailureTarget" else "Warning", *_ending(verdict))]
            await self._world.recorder.record(JOBS, job, events, _COMPONENT)
            return await self._tell(job, [], done, lost, verdict)
        wait = _backoff(failed, now)
        await self._fill(job, active, done, wait)
        await self._tell(job, active, done, lost, [])
        return min(wait or float("inf"), _deadline(job, now))

    def _counted(self, job: Object, succeeded: Sequence[Object], failed: Sequence[Object]) -> tuple[int, int]:
        """Return how many pods have succeeded and failed; what was counted stays so when the pods are gone."""
        status = cast("Object", job.get("status") or EMPTY)
        return max(len(succeeded), int(status.get("succeeded", 0))), max(len(failed), int(status.get("failed", 0)))

    async def _fill(self, job: Object, active: Sequence[Object], done: int, wait: float) -> None:
        spec = job["spec"]
        parallelism, completions = int(spec.get("parallelism", 1)), spec.get("completions")
        if completions is None:
            # A work queue: once one has succeeded, no new ones are started.
            wanted = len(active) if done else parallelism
        else:
            wanted = min(parallelism, int(completions) - done)
        if len(active) > wanted:
            await self._delete(job, active[wanted:])
        elif len(active) < wanted and not wait:
            index = self._world.index
            made = [new_pod(index, JOBS, job, spec["template"]) for _ in range(wanted - len(active))]
            if spec.get("completionMode") == "Indexed":
                _number(made, pods_of(index, job), int(completions or 0))
            pods = await self._world.objects.create(PODS, made)
            events = [Event("Normal", "SuccessfulCreate", f"Created pod: {name_of(pod)}") for pod in pods]
            await self._world.recorder.record(JOBS, job, events, _COMPONENT)

    async def _delete(self, job: Object, pods: Sequence[Object]) -> None:
        for pod in pods:
            await self._world.objects.delete(PODS, pod, Deletion())
        events = [Event("Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}") for pod in pods]
        await self._world.recorder.record(JOBS, job, events, _COMPONENT)

    async def _tell(
        self, job: Object, active: Sequence[Object], done: int, lost: int, conditions: Sequence[Condition]
    ) -> float:
        now = self._world.now()
        ready = sum(1 for pod in active if is_condition_true(pod, "Ready"))

        def change(thing: Object) -> None:
            status = cast("Object", thing.setdefault("status", {}))
            if not thing["spec"].get("suspend"):
                status.setdefault("startTime", instant(now))
            status["ready"] = ready
            status["terminating"] = 0
            status["uncountedTerminatedPods"] = {}
            for name, number in (("active", len(active)), ("succeeded", done), ("failed", lost)):
                status.pop(name, None)
                if number:
                    status[name] = number
            set_conditions(status, conditions, now)
            if any(each.type == "Complete" for each in conditions):
                status["completionTime"] = instant(now)

        trial = copy.deepcopy(job)
        change(trial)
        if trial != job:
            await self._world.objects.change(JOBS, job, change)
        return float("inf")


def has_ended(job: Object) -> bool:
    """Return whether a job is complete or has failed."""
    return is_condition_true(job, "Complete") or is_condition_true(job, "Failed")


def _verdict(job: Object, active: Sequence[Object], done: int, lost: int, now: float) -> list[Condition] | None:
    spec = job["spec"]
    completions = spec.get("completions")
    # Restarts within a pod count as well (`restartPolicy: OnFailure`).
    restarts = sum(
        int(each.get("restartCount") or 0)
        for pod in active
        for each in cast("list[Object]", cast("Object", pod.get("status") or EMPTY).get("containerStatuses") or [])
    )
    if lost + restarts > int(spec.get("backoffLimit", 6)):
        return _failure("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if _deadline(job, now) <= 0:
        return _failure("DeadlineExceeded", "Job was active longer than specified deadline")
    is_complete = done >= int(completions) if completions is not None else done > 0 and not active
    if not is_complete:
        return None
    text = "Reached expected number of succeeded pods"
    reason = "CompletionsReached"
    return [Condition("SuccessCriteriaMet", "True", reason, text), Condition("Complete", "True", reason, text)]


def _failure(reason: str, text: str) -> list[Condition]:
    return [Condition("FailureTarget", "True", reason, text), Condition("Failed", "True", reason, text)]


def _ending(verdict: Sequence[Condition]) -> tuple[str, str]:
    if verdict[-1].type == "Complete":
        return "Completed", "Job completed"
    return verdict[-1].reason, verdict[-1].message


def _deadline(job: Object, now: float) -> float:
    seconds = job["spec"].get("activeDeadlineSeconds")
    started = parse_instant(cast("Object", job.get("status") or EMPTY).get("startTime"))
    return float("inf") if seconds is None or started is None else started + float(seconds) - now


def _backoff(failed: Sequence[Object], now: float) -> float:
    """Return how long to wait before the next pod, after those that failed."""
    if not failed:
        return 0.0
    last = max(_ended_at(pod) for pod in failed)
    seconds = min(_BACKOFF_SECONDS * 2 ** (len(failed) - 1), _BACKOFF_SECONDS_MAX)
    return max(0.0, last + seconds - now)


def _ended_at(pod: Object) -> float:
    return parse_instant(condition_of(pod, "Ready").get("lastTransitionTime")) or 0.0


def _number(made: Sequence[Object], present: Sequence[Object], completions: int) -> None:
    """Give pods of an indexed job the numbers that are free."""
    name = "batch.kubernetes.io/job-completion-index"
    taken = {
        (pod["metadata"].get("annotations") or EMPTY).get(name)
        for pod in present
        if phase_of(pod) != "Failed" and not is_deleting(pod)
    }
    free = (str(number) for number in range(completions) if str(number) not in taken)
    for pod, number in zip(made, free, strict=False):
        pod["metadata"].setdefault("annotations", {})[name] = number
        pod["metadata"]["labels"] = {**pod["metadata"]["labels"], name: number}
        for container in pod["spec"]["containers"]:
            container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "value": number})
