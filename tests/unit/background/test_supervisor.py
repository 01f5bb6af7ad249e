"""The supervisor: runs, wakes, backs off, drains."""

import asyncio

from forebay.background.supervisor import Supervisor
from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.core.ids import Ids


class Steps:
    """A worker that does what it is told, one entry a step, and says when it has done it."""

    name = "test.steps"

    def __init__(self, *steps):
        self.steps = list(steps)
        self.runs = 0
        self.ran = asyncio.Event()

    async def run_once(self):
        self.runs += 1
        self.ran.set()
        step = self.steps.pop(0) if self.steps else IDLE
        if isinstance(step, Exception):
            raise step
        if callable(step):
            return await step()
        return step


class Hub:
    def __init__(self):
        self.wakes = {}

    def listen(self, topic, wake):
        self.wakes[topic] = wake
        return lambda: self.wakes.pop(topic)


async def supervised(test, clock=None):
    clock = clock or Clock(frozen_at=1_000.0)
    hub = Hub()
    supervisor = Supervisor(clock, Ids(seed=1), hub.listen)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        started = asyncio.Event()
        group.create_task(supervisor.run(started))
        await started.wait()
        try:
            await test(supervisor, clock, hub)
        finally:
            await supervisor.stop(0.2)


async def until_run(worker, times):
    while worker.runs < times:
        worker.ran.clear()
        await worker.ran.wait()


def test_worker_runs_again_when_its_time_has_come():
    async def test(supervisor, clock, _hub):
        worker = Steps(60.0, IDLE)
        supervisor.start(worker)
        await until_run(worker, 1)
        clock.advance(59.9)
        for _ in range(5):
            await asyncio.sleep(0)
        assert worker.runs == 1
        clock.advance(0.1)
        await until_run(worker, 2)

    asyncio.run(supervised(test))


def test_topic_wakes_idle_worker():
    async def test(supervisor, _clock, hub):
        worker = Steps(IDLE, IDLE)
        supervisor.start(worker, [("queue", 7)])
        await until_run(worker, 1)
        hub.wakes["queue", 7]()
        await until_run(worker, 2)

    asyncio.run(supervised(test))


def test_failing_worker_backs_off_and_never_stops_its_sibling():
    async def test(supervisor, clock, _hub):
        failing, sibling = Steps(ValueError("a bug"), IDLE), Steps(0.0, 0.0, IDLE)
        supervisor.start(failing)
        supervisor.start(sibling)
        await until_run(sibling, 3)
        assert failing.runs == 1
        clock.advance(1.0)
        await until_run(failing, 2)

    asyncio.run(supervised(test))


def test_failing_spawned_step_leaves_workers_running():
    async def test(supervisor, _clock, _hub):
        async def fail():
            raise ValueError("a bug")

        supervisor.spawn(fail())
        worker = Steps(0.0, IDLE)
        supervisor.start(worker)
        await until_run(worker, 2)

    asyncio.run(supervised(test))


def test_stop_lets_a_step_finish():
    finished = []

    async def test(supervisor, _clock, _hub):
        entered = asyncio.Event()

        async def step():
            entered.set()
            await asyncio.sleep(0)
            finished.append(True)
            return IDLE

        supervisor.start(Steps(step))
        await entered.wait()

    asyncio.run(supervised(test))
    assert finished == [True]


def test_stop_cancels_a_step_that_does_not_finish():
    cancelled = []

    async def test(supervisor, _clock, _hub):
        entered = asyncio.Event()

        async def step():
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        supervisor.start(Steps(step))
        await entered.wait()

    asyncio.run(supervised(test))
    assert cancelled == [True]


def test_stopped_duty_is_not_run_again():
    async def test(supervisor, clock, _hub):
        worker, other = Steps(5.0, IDLE), Steps(5.0, IDLE)
        duty = supervisor.start(worker)
        supervisor.start(other)
        await until_run(worker, 1)
        await until_run(other, 1)
        duty.stop()
        clock.advance(10.0)
        await until_run(other, 2)
        assert worker.runs == 1

    asyncio.run(supervised(test))
