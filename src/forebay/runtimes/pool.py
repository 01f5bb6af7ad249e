"""The pool of a node's instances: warm ones are used again, new ones are started as needed, idle ones are ended."""

import asyncio

from forebay.core.clock import Clock
from forebay.core.errors import RuntimeFailure
from forebay.core.ids import Ids
from forebay.runtimes.contract import (
    Actuator,
    FunctionSpec,
    Invocation,
    InvocationResult,
    Launch,
    LogSink,
    PoolLimits,
    TooManyInstances,
)
from forebay.runtimes.instance import Instance
from forebay.runtimes.logs import log_stream_name

_Key = tuple[str, str]


class FunctionPool:
    """Runs invocations, each in an instance of its own for as long as it lasts. Also a `Worker`: see `run_once`."""

    name = "function-pool"

    def __init__(
        self, *, clock: Clock, ids: Ids, actuator: Actuator, on_log: LogSink, limits: PoolLimits | None = None
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._actuator = actuator
        self._on_log = on_log
        self._limits = limits or PoolLimits()
        self._instances: set[Instance] = set()
        # The last one in is the first one out: the warmest serves, the others grow old and are ended.
        self._idle: dict[_Key, list[Instance]] = {}
        self._is_closing = False
        self._changed = asyncio.Event()

    @property
    def instance_count(self) -> int:
        """How many instances there are, starting and ending ones included."""
        return len(self._instances)

    @property
    def idle_count(self) -> int:
        """How many instances wait for an event."""
        return sum(map(len, self._idle.values()))

    async def invoke(self, spec: FunctionSpec, invocation: Invocation) -> InvocationResult:
        """Run one event and return what came of it; the function's own failures are results.

        Raises TooManyInstances when the node has no room for another instance, and RuntimeFailure when nothing here
        can run the function.
        """
        if instance := self._take_idle(spec):
            return await instance.invoke(invocation)
        instance = await self._start(spec)
        try:
            failure = await instance.wait_ready()
        except TimeoutError:
            # As on Lambda: the init phase is tried once more, now within the function's own timeout.
            instance.init_timed_out()
            self._discard(instance)
            return await (await self._start(spec)).invoke(invocation)
        except asyncio.CancelledError:
            instance.release()
            raise
        return await instance.invoke(invocation, failure)

    async def check(self, runtime: str) -> str:
        """Return what differs when functions of `runtime` run here (see `Actuator.check`)."""
        return await self._actuator.check(runtime)

    async def run_once(self) -> float:
        """End instances that have been idle for too long; return the seconds until the next one will have been."""
        now = self._clock.now()
        due_in = self._limits.idle_seconds_max
        for instance in [instance for idle in self._idle.values() for instance in idle]:
            remaining = instance.idle_since + self._limits.idle_seconds_max - now
            if remaining <= 0:
                self._discard(instance)
            else:
                due_in = min(due_in, remaining)
        await self._actuator.tidy()
        return due_in

    def evict(self, arn: str, *, keep_revision: str | None = None) -> None:
        """Drain a function: idle instances end now, busy ones after their event."""
        for instance in list(self._instances):
            if instance.spec.arn == arn and instance.spec.revision != keep_revision:
                self._retire(instance)

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Take no more events, let running ones end for at most `drain_seconds`, then end everything."""
        self._is_closing = True
        for instance in list(self._instances):
            if instance.is_idle:
                self._discard(instance)
        try:
            async with asyncio.timeout(drain_seconds):
                await self._until_empty()
        except TimeoutError:
            for instance in list(self._instances):
                self._discard(instance)
            await self._until_empty()
        await self._actuator.tidy()

    async def _start(self, spec: FunctionSpec) -> Instance:
        if self._is_closing:
            raise RuntimeFailure("The node is shutting down and takes no more invocations.")
        self.evict(spec.arn, keep_revision=spec.revision)
        self._make_room(spec)
        instance_id = self._ids.hex(32)
        instance = Instance(
            spec,
            instance_id,
            log_stream_name(self._clock.now(), spec.version, instance_id),
            clock=self._clock,
            limits=self._limits,
            sink=self._on_log,
            on_idle=self._on_idle,
            on_gone=self._on_gone,
            stop=self._discard,
        )
        self._instances.add(instance)
        try:
            launch = Launch(spec, instance_id, instance.log_stream, await instance.listener.open())
            instance.started(await self._actuator.start(launch, instance))
        except BaseException:
            instance.listener.close(lambda: self._on_gone(instance))
            raise
        return instance

    def _make_room(self, spec: FunctionSpec) -> None:
        """Check the node's limits, ending the longest idle instances first. Raises TooManyInstances."""
        waiting = sorted((i for idle in self._idle.values() for i in idle), key=lambda i: i.idle_since)
        spare_count = self._limits.instances_max - len(self._instances)
        spare_mb = self._limits.memory_mb_max - sum(i.spec.memory_mb for i in self._instances)
        for instance in waiting:
            if spare_count >= 1 and spare_mb >= spec.memory_mb:
                break
            self._discard(instance)
            spare_count += 1
            spare_mb += instance.spec.memory_mb
        if spare_count < 1:
            raise TooManyInstances(f"This node runs at most {self._limits.instances_max} function instances.")
        if spare_mb < spec.memory_mb:
            raise TooManyInstances(f"This node gives functions at most {self._limits.memory_mb_max} MB of memory.")

    def _take_idle(self, spec: FunctionSpec) -> Instance | None:
        idle = self._idle.get((spec.arn, spec.revision))
        while idle:
            instance = idle.pop()
            if instance.is_idle:
                return instance
        return None

    def _on_idle(self, instance: Instance) -> None:
        if instance.is_retired or self._is_closing:
            self._discard(instance)
            return
        instance.idle_since = self._clock.now()
        self._forget_idle(instance)  # a runtime may poll anew after it lost its connection
        self._idle.setdefault((instance.spec.arn, instance.spec.revision), []).append(instance)

    def _retire(self, instance: Instance) -> None:
        if instance.is_idle:
            self._discard(instance)
        instance.is_retired = True

    def _discard(self, instance: Instance) -> None:
        instance.is_retired = True
        self._forget_idle(instance)
        if instance.running:
            self._actuator.stop(instance.running)

    def _on_gone(self, instance: Instance) -> None:
        self._forget_idle(instance)
        self._instances.discard(instance)
        self._changed.set()

    def _forget_idle(self, instance: Instance) -> None:
        key = (instance.spec.arn, instance.spec.revision)
        idle = self._idle.get(key, [])
        if instance in idle:
            idle.remove(instance)
        if not idle:
            self._idle.pop(key, None)

    async def _until_empty(self) -> None:
        while self._instances:
            self._changed.clear()
            await self._changed.wait()
