"""The pollers behind pipes: one for each that runs, following the records."""

from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from forebay.background.supervisor import Duty
from forebay.core.arn import Arn
from forebay.delivery.poller import Poller, PollerSettings
from forebay.operations.platform import Platform
from forebay.services.pipes.batches import PipeBatches
from forebay.services.pipes.pipe import PIPE, Pipe


class RunningPipes:
    """Starts and stops pollers as pipes come, change and go."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running: dict[str, _Running] = {}

    async def open(self) -> None:
        """Start the pollers of all pipes that run, and follow the records from now on."""
        store = self._platform.store
        store.watch(PIPE, self._on_change)
        for key, pipe in await store.view(lambda view: view.records.list(PIPE)):
            if key not in self._running:
                self._on_change(key, pipe)

    def _on_change(self, key: str, pipe: Pipe | None) -> None:
        running = self._running.get(key)
        if running is not None:
            if pipe is not None and _is_same(running.pipe, pipe):
                return
            running.duty.stop()
            del self._running[key]
        if pipe is not None and pipe.is_running:
            self._running[key] = self._start(pipe)

    def _start(self, pipe: Pipe) -> "_Running":
        platform = self._platform
        settings = PollerSettings(
            name=f"pipes.{pipe.name}",
            source=pipe.source,
            target=pipe.target,
            batch_size=pipe.batch_size,
            window_seconds=float(pipe.window_seconds or 0),
            patterns=pipe.patterns(),
        )
        poller = Poller(
            settings,
            partial(platform.open_source, Arn.parse(pipe.source)),
            PipeBatches(pipe, platform),
            store=platform.store,
            clock=platform.clock,
            ids=platform.ids,
            spawn=platform.spawn,
            trace=platform.trace,
        )
        duty = platform.start_worker(poller)
        poller.stopping = duty.stopping
        return _Running(pipe, duty)


class _Running(NamedTuple):
    """A pipe whose poller runs."""

    pipe: Pipe
    duty: Duty


def _is_same(one: Pipe, other: Pipe) -> bool:
    """Tell whether the difference between two states of a pipe is none of its poller's."""
    return replace(one, tags={}, modified_at=0.0) == replace(other, tags={}, modified_at=0.0)
