"""The pollers behind pipes: one for each that runs, following the records."""

from functools import partial

from msgspec.structs import replace

from forebay.delivery.kept_pollers import KeptPollers
from forebay.delivery.poller import Poller, PollerSettings
from forebay.delivery.stream import Reading
from forebay.delivery.stream_reader import StreamReader
from forebay.operations.platform import Platform
from forebay.services.pipes.batches import PipeBatches
from forebay.services.pipes.pipe import PIPE, Pipe


def running_pipes(platform: Platform) -> KeptPollers[Pipe, Poller | StreamReader]:
    """Return what keeps a poller for each pipe that runs."""
    return KeptPollers(platform.store, PIPE, platform.start_worker, state_of=_state_of, make=partial(_make, platform))


def _state_of(pipe: Pipe) -> Pipe | None:
    """Return what of a pipe its poller depends on."""
    return replace(pipe, tags={}, modified_at=0.0) if pipe.is_running else None


def _make(platform: Platform, pipe: Pipe) -> Poller | StreamReader:
    target = PipeBatches(pipe, platform)
    window_seconds = float(pipe.window_seconds or 0)
    if pipe.stream is not None:
        reading = Reading(
            id=pipe.reading_id,
            source=pipe.source,
            target=pipe.target,
            stream=pipe.stream,
            batch_size=pipe.batch_size,
            window_seconds=window_seconds,
            patterns=pipe.patterns(),
        )
        return platform.stream_reader(reading, target)
    settings = PollerSettings(
        name=f"pipes.{pipe.name}",
        source=pipe.source,
        target=pipe.target,
        batch_size=pipe.batch_size,
        window_seconds=window_seconds,
        patterns=pipe.patterns(),
    )
    return platform.poller(settings, target)
