"""Who works on a queue's messages: equal pods, counted and not followed one by one, so that millions are quick.

Pods of one workload are exchangeable: how many are busy is exact, which of them is not asked. Times are kept to a tick;
where a message takes less than a tick, a worker takes several at once that fill it.
"""

import heapq
import math

import msgspec

from forebay.scaling.simulation.histogram import Histogram
from forebay.scaling.simulation.queue import Group, Queue
from forebay.scaling.simulation.scenario import Workers


class _Batch(msgspec.Struct):
    """Messages of which the work began together and will end together."""

    started_at: float
    finishes_at: float
    groups: list[Group]
    slots: int

    @property
    def count(self) -> int:
        """How many messages it is."""
        return sum(group.count for group in self.groups)


class Fleet:
    """The slots of ready pods, and what is in them."""

    def __init__(self, queue: Queue, workers: Workers, tick_seconds: float) -> None:
        self.queue = queue
        self.workers = workers
        self.slots = 0
        self.busy_slots = 0
        self.in_flight = 0
        self.processed = 0
        self.cut_off = 0
        self.waits = Histogram()
        self.latencies = Histogram()
        self._tick = tick_seconds
        self._bundle = max(1, round(tick_seconds / workers.work_time.mean))
        self._class = 0
        self._running = dict[float, list[_Batch]]()
        self._leaving = dict[float, list[_Batch]]()
        self._due = list[float]()
        self._returns = list[tuple[float, int, Group]]()
        self._returned = 0

    @property
    def busy_pods(self) -> int:
        """How many pods have something in hand: idle ones take first."""
        return min(self.slots // self.workers.concurrency, self.busy_slots)

    def next_due(self) -> float:
        """Return when something ends or comes back next, or infinity."""
        return min(self._due[0] if self._due else math.inf, self._returns[0][0] if self._returns else math.inf)

    def settle(self, now: float) -> int:
        """End what is done by now and take back what was cut off; return how many slots have become free."""
        freed = 0
        while self._due and self._due[0] <= now:
            moment = heapq.heappop(self._due)
            for batch in self._running.pop(moment, ()):
                self.busy_slots -= batch.slots
                freed += batch.slots
                self._finish(batch)
            for batch in self._leaving.pop(moment, ()):
                self._finish(batch)
        while self._returns and self._returns[0][0] <= now:
            _, _, group = heapq.heappop(self._returns)
            self.in_flight -= group.count
            self.queue.put_back(group)
        return freed

    def dispatch(self, now: float) -> None:
        """Give waiting messages to free slots."""
        free = self.slots - self.busy_slots
        if free <= 0 or self.queue.visible == 0:
            return
        slots = min(free, -(-self.queue.visible // self._bundle))
        classes = self.workers.work_time.classes
        each, more = divmod(slots, len(classes))
        for place in range(len(classes)):
            share = each + (place < more)
            if share:
                self._start(now, share, classes[(self._class + place) % len(classes)])
        self._class = (self._class + more) % len(classes)

    def withdraw(self, pods: int, now: float) -> list[float]:
        """Take busy pods away and return when each is gone; what they cannot finish is cut off.

        A pod that drains ends what it has in hand within its grace period; any other is gone at once.
        """
        left = min(self.busy_slots, math.ceil(pods * self.busy_slots / self.busy_pods)) if self.busy_pods else 0
        gone: list[float] = []
        batches = [batch for moment in sorted(self._running) for batch in self._running[moment]]
        total, seen, taken = sum(batch.slots for batch in batches), 0, 0
        for batch in batches:
            seen += batch.slots
            share = left * seen // total - taken
            taken += share
            if share:
                gone += self._drain(batch, share, now)
        self.slots -= pods * self.workers.concurrency
        self.busy_slots -= left
        # Pods with several slots are gone with the last of them.
        return sorted(gone, reverse=True)[:: self.workers.concurrency][:pods]

    def _start(self, now: float, slots: int, seconds: float) -> None:
        groups = self.queue.take(min(self.queue.visible, slots * self._bundle))
        count = sum(group.count for group in groups)
        if not count:
            return
        used = min(slots, count)
        duration = seconds * -(-count // used)
        ends_at = math.ceil((now + duration) / self._tick - 1e-6) * self._tick
        for group in groups:
            self.waits.add(now - group.arrived_at, group.count)
            self.latencies.add(now + duration - group.arrived_at, group.count)
        self.busy_slots += used
        self.in_flight += count
        self._enter(self._running, _Batch(now, ends_at, groups, used))

    def _enter(self, table: dict[float, list[_Batch]], batch: _Batch) -> None:
        known = batch.finishes_at in self._running or batch.finishes_at in self._leaving
        table.setdefault(batch.finishes_at, []).append(batch)
        if not known:
            heapq.heappush(self._due, batch.finishes_at)

    def _finish(self, batch: _Batch) -> None:
        self.in_flight -= batch.count
        self.processed += batch.count

    def _drain(self, batch: _Batch, slots: int, now: float) -> list[float]:
        """Move slots of a batch to the pods that leave; return when they are gone."""
        count = round(batch.count * slots / batch.slots)
        groups = _split(batch.groups, count)
        batch.slots -= slots
        grace = self.workers.grace_seconds if self.workers.drains else 0.0
        if batch.finishes_at <= now + grace:
            self._enter(self._leaving, _Batch(batch.started_at, batch.finishes_at, groups, slots))
            return [batch.finishes_at] * slots
        killed_at = now + grace
        visible_at = max(killed_at, batch.started_at + self.workers.visibility_timeout_seconds)
        duration = batch.finishes_at - batch.started_at
        for group in groups:
            self.cut_off += group.count
            # It will be counted when its work is done for good.
            self.waits.add(batch.started_at - group.arrived_at, -group.count)
            self.latencies.add(batch.started_at + duration - group.arrived_at, -group.count)
            self._returned += 1
            heapq.heappush(self._returns, (visible_at, self._returned, group))
        return [killed_at] * slots


def _split(groups: list[Group], count: int) -> list[Group]:
    """Take messages out of groups."""
    taken: list[Group] = []
    while count > 0 and groups:
        head = groups[-1]
        if head.count <= count:
            taken.append(groups.pop())
            count -= head.count
        else:
            head.count -= count
            taken.append(Group(head.arrived_at, count))
            count = 0
    return taken
