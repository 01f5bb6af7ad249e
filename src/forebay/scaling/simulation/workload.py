"""One workload under its autoscalers: KEDA's polls, the HPA's syncs, the replica set, and the work itself."""

from collections.abc import Callable, Sequence

import msgspec

from forebay.scaling.manifests.hpa import ExternalMetric, HpaSpec
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_milli
from forebay.scaling.policies import hpa, scaled_job, scaled_object
from forebay.scaling.policies.hpa_replicas import Usage, external_average
from forebay.scaling.policies.hpa_shaping import HpaHistory
from forebay.scaling.policies.keda_hpa import ExternalTarget, hpa_of
from forebay.scaling.policies.node import PodView
from forebay.scaling.policies.scaling_modifiers import read_modifiers
from forebay.scaling.policies.victims import Candidate, victims
from forebay.scaling.simulation.calendar import Calendar
from forebay.scaling.simulation.fleet import Fleet
from forebay.scaling.simulation.queue import Queue
from forebay.scaling.simulation.scenario import (
    CronTrigger,
    NamedTrigger,
    QueueTrigger,
    ResourceTrigger,
    WorkloadPlan,
)

# How long a pod that is told to stop and has nothing in hand takes to be gone.
_IDLE_EXIT_SECONDS = 1.0
_PUSH_SECONDS = 0.1


class Pod:
    """A pod that is there, or on its way."""

    __slots__ = ("candidate", "created_at", "is_ready", "node", "ready_at", "view", "workload")

    def __init__(self, view: PodView, workload: "Workload", now: float) -> None:
        self.view = view
        self.workload = workload
        self.node = ""
        self.created_at = now
        self.ready_at = 0.0
        self.is_ready = False
        # As the replica set sees it, made anew after a change.
        self.candidate: Candidate | None = None

    def seen(self) -> Candidate:
        """Return the pod as the replica set sees it."""
        if self.candidate is None:
            phase = "Running" if self.is_ready else "Pending"
            self.candidate = Candidate(
                self.view.name, self.node, phase, self.is_ready, self.ready_at, created_at=self.created_at
            )
        return self.candidate


class Placing(msgspec.Struct, frozen=True):
    """What a workload asks of the machines: to place new pods, and to take back the room of those that are gone."""

    add: Callable[[Sequence[Pod]], None]
    remove: Callable[[Sequence[Pod]], None]


Tell = Callable[[str, str, str], None]


class Workload:
    """A Deployment or ScaledJob, its queue, and what scales it."""

    def __init__(self, plan: WorkloadPlan, calendar: Calendar, machines: Placing, tell: Tell, tick: float) -> None:
        self.plan = plan
        self.queue = Queue()
        self.fleet = Fleet(self.queue, plan.workers, tick)
        self.replicas = 0
        self.pods = dict[str, Pod]()
        self.ready = 0
        self.leaving = 0
        self.first_start: float | None = None
        # Told when work begins or ends at a moment that nobody planned.
        self.on_change: Callable[[], None] = _nobody
        self._calendar = calendar
        self._machines = machines
        self._tell = tell
        self._created = 0
        self._victims_owed = 0.0
        self._last_active_at: float | None = None
        self._created_at = calendar.now
        self._cached = dict[str, float]()
        self._said = ""
        self._is_pushed = any(isinstance(t.trigger, QueueTrigger) and t.trigger.is_pushed for t in plan.triggers)
        self._composite = read_modifiers(plan.scaled_object) if plan.scaled_object else None
        self._hpa = hpa_spec(plan)
        self._history = HpaHistory()

    def start(self) -> None:
        """Begin: the Deployment as it stands in its manifest, then polls and syncs."""
        if self.plan.replicas:
            self.scale(self.plan.replicas)
        if self.plan.scaled_object is not None:
            self._calendar.every(self.plan.scaled_object.spec.polling_interval, self.poll)
        if self.plan.scaled_job is not None:
            self._calendar.every(self.plan.scaled_job.spec.polling_interval, self.poll_jobs)
        if self._hpa is not None:
            # The HPA is made, and first looked at, a moment after the first poll.
            self._calendar.every(hpa.SYNC_SECONDS, self.sync, self._calendar.now + 1.0)

    # Messages.

    def receive(self, count: int) -> None:
        """Take new messages; a pushed trigger wakes the workload at once."""
        self.queue.send(count, self._calendar.now)
        if self.replicas == 0 and self._is_pushed:
            self._calendar.after(_PUSH_SECONDS, self.poll_pushed)

    def work(self) -> None:
        """End what is done, and begin what waits."""
        now = self._calendar.now
        freed = self.fleet.settle(now)
        if self.plan.scaled_job is not None and freed:
            self._end_jobs(freed)
        before = self.fleet.waits.count
        self.fleet.dispatch(now)
        if self.first_start is None and self.fleet.waits.count > before:
            self.first_start = now

    # Decisions.

    def poll_pushed(self) -> None:
        """Answer a push: only an activation counts."""
        if self.replicas == 0:
            self.poll()

    def poll(self) -> None:
        """Let KEDA look at the triggers of a ScaledObject."""
        subject = self.plan.scaled_object
        assert subject is not None
        values = {trigger.metric_name: self._value(trigger) for trigger in self.plan.triggers}
        self._cached.update(values)
        active = [t for t in self.plan.triggers if self._is_active(t, values[t.metric_name])]
        is_active = bool(active)
        if self._composite is not None:
            is_active = self._composite.is_active(self._composite_value(values))
        found = scaled_object.decide(
            subject,
            scaled_object.Poll(
                current_replicas=self.replicas,
                is_active=is_active,
                is_error=False,
                created_at=self._created_at,
                last_active_at=self._last_active_at,
                active_triggers=tuple(trigger.metric_name for trigger in active),
            ),
            self._calendar.now,
        )
        self._last_active_at = found.last_active_at
        if found.set_replicas is not None:
            self._said = ""
            self._tell("KEDA", f"{self.plan.name}: {self.replicas} -> {found.set_replicas} replicas", found.why)
            self.scale(found.set_replicas)
        elif any(condition.reason == "ScalerCooldown" for condition in found.conditions):
            if self._said != "cooldown":
                self._said = "cooldown"
                self._tell("KEDA", f"{self.plan.name}: the queue is quiet, it stays at {self.replicas}", found.why)
        else:
            self._said = ""

    def sync(self) -> None:
        """Let the HPA look at its metrics."""
        assert self._hpa is not None
        proposals: list[hpa.Proposal] = []
        if self.replicas:
            tolerance = hpa.tolerance_of(self._hpa.behavior, hpa.Flags())
            status = len(self.pods)
            for metric in self._hpa.metrics:
                if metric.external is None:
                    name = metric.resource.name if metric.resource else metric.type
                    proposals.append(hpa.Proposal(f"{name} resource", Usage(1)))
                    continue
                milli = round(self._read(metric.external.metric.name) * 1000)
                target = parse_milli(metric.external.target.average_value or 0)
                usage = external_average(milli, target, status, tolerance)
                proposals.append(hpa.Proposal(hpa.external_metric_name(metric.external), usage))
        found = hpa.decide(self._hpa, self.replicas, proposals, self._history, self._calendar.now)
        self._history = found.history
        if found.is_rescaled:
            self._tell("HPA", f"{self.plan.name}: {self.replicas} -> {found.replicas} replicas", found.why)
            self.scale(found.replicas)

    def poll_jobs(self) -> None:
        """Let KEDA make jobs for a ScaledJob."""
        subject = self.plan.scaled_job
        assert subject is not None
        metrics: list[scaled_job.JobMetric] = []
        for trigger in self.plan.triggers:
            value = self._value(trigger)
            target = trigger.trigger.sqs.target if isinstance(trigger.trigger, QueueTrigger) else 1
            metrics.append(scaled_job.JobMetric(value, target, self._is_active(trigger, value)))
        pending = sum(1 for pod in self.pods.values() if not pod.is_ready)
        found = scaled_job.decide(subject.spec, metrics, scaled_job.Jobs(len(self.pods), pending))
        if found.create:
            self._tell("KEDA", f"{self.plan.name}: {found.create} more jobs", found.why)
            self._make(found.create)

    # Pods.

    def scale(self, replicas: int) -> None:
        """Write the scale: the replica set makes pods, or chooses those that go."""
        self.replicas = replicas
        difference = replicas - len(self.pods)
        if difference > 0:
            self._make(difference)
        elif difference < 0:
            nodes = [pod.node for pod in self.pods.values()]
            chosen = victims([pod.seen() for pod in self.pods.values()], -difference, nodes, self._calendar.now)
            self.leave([self.pods[candidate.name] for candidate in chosen])

    def replace_missing(self) -> None:
        """Make pods for those that were evicted: the ones that leave do not count."""
        if self.plan.scaled_job is None and len(self.pods) < self.replicas:
            self._make(self.replicas - len(self.pods))

    def ready_up(self, pods: Sequence[Pod]) -> None:
        """Let pods that have started begin to receive."""
        started = 0
        for pod in pods:
            if pod.view.name in self.pods and not pod.is_ready:
                pod.is_ready, pod.ready_at, pod.candidate = True, self._calendar.now, None
                started += 1
        self.ready += started
        self.fleet.slots += started * self.plan.workers.concurrency
        self.work()
        if self.plan.scaled_job is not None:
            # A job that finds nothing to do ends.
            self._end_jobs(self.fleet.slots - self.fleet.busy_slots)
        self.on_change()

    def leave(self, pods: Sequence[Pod]) -> None:
        """Tell pods to stop, and free their room once they have."""
        waiting = [pod for pod in pods if not pod.is_ready]
        leaving = [pod for pod in pods if pod.is_ready]
        for pod in pods:
            del self.pods[pod.view.name]
        if waiting:
            self._machines.remove(waiting)
        if leaving:
            self._stop(leaving)

    def _stop(self, pods: Sequence[Pod]) -> None:
        busy_pods, count = self.fleet.busy_pods, len(pods)
        idle = self.ready - busy_pods
        if self.plan.workers.marks_busy:
            busy = max(0, count - idle)
        else:
            # Anyone may be hit: the share of busy ones, whole pods in the long run.
            self._victims_owed += count * busy_pods / self.ready
            busy = max(min(int(self._victims_owed), busy_pods, count), count - idle)
            self._victims_owed -= busy
        now = self._calendar.now
        gone_at = self.fleet.withdraw(busy, now) if busy else []
        self.on_change()
        self.fleet.slots -= (count - busy) * self.plan.workers.concurrency
        self.ready -= count
        times = [*gone_at, *[now + _IDLE_EXIT_SECONDS] * (count - len(gone_at))]
        self.leaving += count
        by_time: dict[float, list[Pod]] = {}
        for pod, moment in zip(pods, times, strict=True):
            by_time.setdefault(moment, []).append(pod)
        for moment, group in by_time.items():
            self._calendar.at(moment, _gone(self, group))

    def gone(self, pods: Sequence[Pod]) -> None:
        """Take note that pods have stopped."""
        self.leaving -= len(pods)
        self._machines.remove(pods)

    def _make(self, count: int) -> None:
        made: list[Pod] = []
        now = self._calendar.now
        for _ in range(count):
            self._created += 1
            view = PodView(f"{self.plan.name}-{self._created:05}", self.plan.demand, now)
            pod = Pod(view, self, now)
            self.pods[view.name] = pod
            made.append(pod)
        self._machines.add(made)

    def _end_jobs(self, slots: int) -> None:
        count = slots // self.plan.workers.concurrency
        ended = [pod for pod in self.pods.values() if pod.is_ready][:count]
        self.fleet.slots -= len(ended) * self.plan.workers.concurrency
        self.ready -= len(ended)
        for pod in ended:
            del self.pods[pod.view.name]
        if ended:
            self._machines.remove(ended)

    # Metrics.

    def _value(self, trigger: NamedTrigger) -> float:
        source = trigger.trigger
        if isinstance(source, ResourceTrigger):
            return 0.0
        if isinstance(source, CronTrigger):
            return float(source.desired if source.is_active(self._calendar.now) else 1)
        value = self.queue.visible
        # Messages in hand, and those of workers that were cut off, are both in flight.
        return float(value + self.fleet.in_flight) if source.sqs.counts_in_flight else float(value)

    def _is_active(self, trigger: NamedTrigger, value: float) -> bool:
        source = trigger.trigger
        if isinstance(source, ResourceTrigger):
            return True
        if isinstance(source, CronTrigger):
            return source.is_active(self._calendar.now)
        return source.sqs.is_active(value)

    def _read(self, name: str) -> float:
        """Return a metric as the HPA reads it: anew, or as the last poll found it."""
        if not self.plan.triggers:
            return float(self.queue.visible + self.fleet.in_flight)
        values = {
            t.metric_name: self._cached.get(t.metric_name, 0.0) if t.is_cached else self._value(t)
            for t in self.plan.triggers
        }
        return self._composite_value(values) if self._composite is not None else values[name]

    def _composite_value(self, values: dict[str, float]) -> float:
        assert self._composite is not None
        return self._composite.value({trigger.name: values[trigger.metric_name] for trigger in self.plan.triggers})


def _nobody() -> None:
    """Nobody is told."""


def _gone(workload: Workload, pods: Sequence[Pod]) -> Callable[[], None]:
    return lambda: workload.gone(pods)


def hpa_spec(plan: WorkloadPlan) -> HpaSpec | None:
    """Return the HPA of a workload: its own, or the one that KEDA writes.

    Raises:
        InvalidManifest: it has a metric that is not simulated.
    """
    if plan.hpa is not None:
        for metric in plan.hpa.spec.metrics:
            _check(metric.external, plan.name)
        return plan.hpa.spec
    if plan.scaled_object is None:
        return None
    targets = [
        None if isinstance(trigger.trigger, ResourceTrigger) else ExternalTarget(trigger.metric_name, _target(trigger))
        for trigger in plan.triggers
    ]
    return hpa_of(plan.scaled_object, targets).spec


def _check(metric: ExternalMetric | None, name: str) -> None:
    if metric is None or metric.target.type != "AverageValue":
        raise InvalidManifest(f"{name}: only External metrics with an AverageValue are simulated")


def _target(trigger: NamedTrigger) -> float:
    return float(trigger.trigger.sqs.target) if isinstance(trigger.trigger, QueueTrigger) else 1.0
