"""One task group a node: runs workers, wakes them by event or deadline, and keeps one's failure from the others."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from forebay.background.worker import Worker
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.store.contract import Topic

log = structlog.get_logger()

_BACKOFF_SECONDS_MIN = 0.1
_BACKOFF_SECONDS_MAX = 30.0

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Run a step of a worker beside it, inside the supervisor's task group: `Supervisor.spawn`."""

Listen = Callable[[Topic, Callable[[], None]], Callable[[], None]]


class Duty:
    """One worker under supervision: can be woken, and stopped for good."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.failures = 0
        self._awake = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether the worker will not be run again."""
        return self._stopped.is_set()

    @property
    def stopping(self) -> asyncio.Event:
        """Set once the worker is to run no more; a step that waits for long waits for this too."""
        return self._stopped

    def wake(self) -> None:
        """Run the worker as soon as its current step is over."""
        self._awake.set()

    def stop(self) -> None:
        """Let the current step finish and run the worker no more."""
        self._stopped.set()
        self._awake.set()

    async def rest(self, clock: Clock, seconds: float) -> None:
        """Wait until woken or until `seconds` have passed."""
        await clock.wait(self._awake, seconds)
        self._awake.clear()


class Supervisor:
    """Runs workers until told to stop; then lets each finish its step, and cancels those that do not."""

    def __init__(self, clock: Clock, ids: Ids, listen: Listen) -> None:
        self._clock = clock
        self._ids = ids
        self._listen = listen
        self._group: asyncio.TaskGroup | None = None
        self._waiting: list[tuple[Duty, Sequence[Topic]]] = []
        self._duties: dict[Duty, asyncio.Task[None]] = {}
        self._children: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def duties(self) -> Sequence[Duty]:
        """The workers under supervision, for health reports."""
        return [*self._duties, *(duty for duty, _ in self._waiting)]

    def start(self, worker: Worker, topics: Sequence[Topic] = ()) -> Duty:
        """Run a worker from now on (from `run` on, if that is still to come), woken by the store's `topics`."""
        duty = Duty(worker)
        if self._group is None:
            self._waiting.append((duty, topics))
        elif not self._stopping:
            self._launch(duty, topics)
        return duty

    def spawn(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step of a worker beside it, in the same group: it is drained and cancelled like the workers."""
        assert self._group is not None, "workers spawn while they run"
        child = self._group.create_task(_contain(step))
        self._children.add(child)
        child.add_done_callback(self._children.discard)

    async def run(self, started: asyncio.Event) -> None:
        """Run all workers until `stop`; sets `started` once workers can be added and run."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._stopped = asyncio.Event()
            for duty, topics in self._waiting:
                self._launch(duty, topics)
            self._waiting.clear()
            started.set()
            await self._stopped.wait()

    async def stop(self, drain_seconds: float) -> None:
        """Run no worker again, wait up to `drain_seconds` (real time) for current steps, then cancel them."""
        self._stopping = True
        if self._group is None:
            return
        for duty in self._duties:
            duty.stop()
        tasks = [*self._duties.values(), *self._children]
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=drain_seconds)
            # Also what steps spawned after the stop had begun, which nobody would wait for otherwise.
            for task in {*unfinished, *self._children}:
                task.cancel()
        self._stopped.set()

    def _launch(self, duty: Duty, topics: Sequence[Topic]) -> None:
        assert self._group is not None
        task = self._group.create_task(self._supervise(duty, topics), name=duty.worker.name)
        self._duties[duty] = task
        task.add_done_callback(lambda _: self._duties.pop(duty, None))

    async def _supervise(self, duty: Duty, topics: Sequence[Topic]) -> None:
        unlisten = [self._listen(topic, duty.wake) for topic in topics]
        try:
            while not duty.is_stopped:
                pause_seconds = await self._run_step(duty)
                if pause_seconds > 0 and not duty.is_stopped:
                    await duty.rest(self._clock, pause_seconds)
                else:
                    # A worker that always has more to do must not starve the loop.
                    await asyncio.sleep(0)
        finally:
            for end in unlisten:
                end()

    async def _run_step(self, duty: Duty) -> float:
        try:
            pause_seconds = await duty.worker.run_once()
        except Exception:
            duty.failures += 1
            backoff_seconds = min(_BACKOFF_SECONDS_MIN * 2**duty.failures, _BACKOFF_SECONDS_MAX)
            log.exception("worker.failed", worker=duty.worker.name, failures=duty.failures)
            return backoff_seconds * self._ids.uniform(0.5, 1.0)
        duty.failures = 0
        return pause_seconds


async def _contain(step: Coroutine[Any, Any, None]) -> None:
    try:
        await step
    except Exception:
        # One step's bug must not take the node's other workers with it; whoever spawned it holds a lease that lapses.
        log.exception("worker.step_failed", step=step.__qualname__)
