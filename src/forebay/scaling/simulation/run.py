"""One setting simulated from beginning to end."""

import math
from collections.abc import Callable, Mapping

from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.simulation.arrivals import ArrivalCurve
from forebay.scaling.simulation.calendar import Calendar
from forebay.scaling.simulation.histogram import Histogram
from forebay.scaling.simulation.machines import MachineRoom
from forebay.scaling.simulation.result import Entry, Latency, Result, Sample, Summary
from forebay.scaling.simulation.scenario import Scenario
from forebay.scaling.simulation.workload import Workload

# Ticks are a quarter of a second for short simulations, and a second for a day.
_TICKS_SECONDS = ((600.0, 0.25), (1800.0, 0.5), (math.inf, 1.0))
_SAMPLES = 300
_TIMELINE_MAX = 20_000


def simulate(
    scenario: Scenario, arrivals: Mapping[str, ArrivalCurve], seconds: float, start: float = 1_767_571_200.0
) -> Result:
    """Run a setting for some seconds; `arrivals` are curves by queue, or one under the empty name for the only queue.

    Raises:
        InvalidManifest: a queue has no curve, or a curve no queue.
    """
    return _Simulation(scenario, arrivals, seconds, start).run()


class _Simulation:
    def __init__(self, scenario: Scenario, arrivals: Mapping[str, ArrivalCurve], seconds: float, start: float) -> None:
        self._scenario = scenario
        self._seconds = seconds
        self._start = start
        self._tick = next(tick for most, tick in _TICKS_SECONDS if seconds <= most)
        self._calendar = Calendar(start)
        self._timeline: list[Entry] = []
        self._samples: list[Sample] = []
        self._room = MachineRoom(scenario, self._calendar, self._tell)
        self._workloads = [
            Workload(plan, self._calendar, self._room.placing, self._tell, self._tick) for plan in scenario.workloads
        ]
        self._room.workloads = self._workloads
        self._curves = _assigned(self._workloads, arrivals)
        self._asked = 0.0
        self._offered = 0.0
        self._pod_hours = 0.0
        self._pods_most = 0
        self._depth_most = 0
        self._oldest_most = 0.0

    def run(self) -> Result:
        """Run to the end."""
        self._room.start()
        for workload, curve in zip(self._workloads, self._curves, strict=True):
            workload.start()
            _Work(workload, curve.ticks(self._tick), self._calendar, self._tick).start()
        step = self._seconds / _SAMPLES
        self._calendar.every(step, lambda: self._sample(step))
        self._calendar.run_until(self._start + self._seconds)
        # Once more, after all that falls on the last moment.
        self._sample(0.0)
        return Result(
            name=self._scenario.name,
            start=self._start,
            seconds=self._seconds,
            tick_seconds=self._tick,
            samples=self._samples,
            timeline=self._timeline,
            summary=self._summary(),
        )

    def _tell(self, who: str, what: str, why: str) -> None:
        if len(self._timeline) < _TIMELINE_MAX:
            self._timeline.append(Entry(self._calendar.now - self._start, who, what, why))

    def _sample(self, step: float) -> None:
        now = self._calendar.now
        machines = self._room.machines.values()
        visible = sum(workload.queue.visible for workload in self._workloads)
        oldest = max((workload.queue.oldest_age(now) for workload in self._workloads), default=0.0)
        pods = sum(len(workload.pods) + workload.leaving for workload in self._workloads)
        sample = Sample(
            at=now - self._start,
            visible=visible,
            in_flight=sum(workload.fleet.in_flight for workload in self._workloads),
            oldest_seconds=oldest,
            pods_ready=sum(workload.ready for workload in self._workloads),
            pods=pods,
            nodes_ready=sum(1 for machine in machines if machine.is_ready),
            nodes=len(machines),
            dollars_per_hour=sum(machine.offering.price for machine in machines),
        )
        if self._samples and self._samples[-1].at == sample.at:
            self._samples.pop()
        self._samples.append(sample)
        self._pod_hours += pods * step / 3600
        self._pods_most = max(self._pods_most, pods)
        self._depth_most = max(self._depth_most, visible + sample.in_flight)
        self._oldest_most = max(self._oldest_most, oldest)
        for machine in machines:
            offered, used = machine.kind.allocatable, machine.used
            share = max(_share(used.cpu_milli, offered.cpu_milli), _share(used.memory_bytes, offered.memory_bytes))
            self._asked += share * machine.offering.price
            self._offered += machine.offering.price

    def _summary(self) -> Summary:
        waits, latencies = Histogram(), Histogram()
        for workload in self._workloads:
            waits.include(workload.fleet.waits)
            latencies.include(workload.fleet.latencies)
        costs = self._room.costs()
        processed = sum(workload.fleet.processed for workload in self._workloads)
        received = sum(workload.queue.received for workload in self._workloads)
        dollars = sum(cost.dollars for cost in costs)
        starts = [workload.first_start for workload in self._workloads if workload.first_start is not None]
        return Summary(
            received=received,
            processed=processed,
            left=received - processed,
            cut_off=sum(workload.fleet.cut_off for workload in self._workloads),
            depth_most=self._depth_most,
            oldest_most_seconds=self._oldest_most,
            wait=_latency(waits),
            latency=_latency(latencies),
            first_start_seconds=min(starts) - self._start if starts else None,
            pods_most=self._pods_most,
            pod_hours=self._pod_hours,
            nodes_most=self._room.most,
            node_hours=sum(cost.node_hours for cost in costs),
            idle_share=1 - self._asked / self._offered if self._offered else 0.0,
            dollars=dollars,
            dollars_per_million=dollars / processed * 1e6 if processed else None,
            evictions=dict(sorted(self._room.evictions.items())),
            node_removals=dict(sorted(self._room.removals.items())),
            costs=costs,
        )


class _Work:
    """Wakes a workload at every tick at which messages come, end, or come back."""

    def __init__(self, workload: Workload, ticks: Mapping[int, int], calendar: Calendar, tick: float) -> None:
        self._workload = workload
        self._calendar = calendar
        self._origin = calendar.now
        self._steps = sorted(ticks)
        self._ticks = ticks
        self._tick = tick
        self._place = 0
        self._due = math.inf
        # Where pods begin to work between ticks, what they do ends before the next wake-up that was entered.
        workload.on_change = self.plan

    def start(self) -> None:
        """Enter the first wake-up."""
        self.plan()

    def plan(self) -> None:
        """Enter the next wake-up, unless an earlier one is entered already."""
        due = self._workload.fleet.next_due()
        if self._place < len(self._steps):
            due = min(due, self._origin + self._steps[self._place] * self._tick)
        if due < self._due:
            self._due = due
            self._calendar.at(due, self._wake(due))

    def _wake(self, due: float) -> Callable[[], None]:
        def wake() -> None:
            if due != self._due:
                return
            self._due = math.inf
            step = (self._calendar.now - self._origin) / self._tick + 1e-6
            while self._place < len(self._steps) and self._steps[self._place] <= step:
                self._workload.receive(self._ticks[self._steps[self._place]])
                self._place += 1
            self._workload.work()
            self.plan()

        return wake


def _assigned(workloads: list[Workload], arrivals: Mapping[str, ArrivalCurve]) -> list[ArrivalCurve]:
    names = [workload.plan.queue or workload.plan.name for workload in workloads]
    shared = next((name for name in names if names.count(name) > 1), None)
    if shared is not None:
        raise InvalidManifest(f"two workloads read the queue {shared}: only one for each is simulated")
    if set(arrivals) == {""}:
        if len(names) > 1:
            raise InvalidManifest(f"there are several queues, so each needs its own arrivals: {', '.join(names)}")
        return [arrivals[""]]
    unknown = sorted(set(arrivals) - set(names))
    if unknown:
        raise InvalidManifest(f"no workload reads the queue {unknown[0]}: there are {', '.join(names)}")
    missing = [name for name in names if name not in arrivals]
    if missing:
        raise InvalidManifest(f"the queue {missing[0]} has no arrivals")
    return [arrivals[name] for name in names]


def _share(used: int, offered: int) -> float:
    return min(1.0, used / offered) if offered else 0.0


def _latency(histogram: Histogram) -> Latency:
    return Latency(histogram.percentile(50), histogram.percentile(95), histogram.percentile(99), histogram.most)
