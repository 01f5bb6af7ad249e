"""Waiting for a quiet moment, so that a measurement on a shared machine measures its own subject."""

import os
import tempfile
import time
from pathlib import Path

_LOOK_SECONDS = 0.5
_SYNCS = 20
# Shares of the processors' time that others may use, and how long a sync may take at the median.
_BUSY_MAX = 0.25
_SYNC_SECONDS_MAX = 0.004


def wait_calm(seconds_max: float) -> str:
    """Return when processors and disk are nearly idle, or after `seconds_max`; the text says how calm it was."""
    until = time.monotonic() + seconds_max
    while True:
        busy = _busy_share(_LOOK_SECONDS)
        sync = _sync_seconds()
        is_calm = busy <= _BUSY_MAX and sync <= _SYNC_SECONDS_MAX
        if is_calm or time.monotonic() >= until:
            word = "calm" if is_calm else "NOT CALM"
            return f"{word} (others use {busy:.0%} of the cores, a sync takes {sync * 1e3:.1f} ms)"


def _busy_share(seconds: float) -> float:
    before, idle_before = _ticks()
    time.sleep(seconds)
    after, idle_after = _ticks()
    return 1.0 - (idle_after - idle_before) / max(after - before, 1)


def _ticks() -> tuple[int, int]:
    """Return ticks of all processors since the start: all, and those without work (waiting for a disk is none)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def _sync_seconds() -> float:
    """Return how long a synced write of a page takes at the median."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=os.environ.get("FOREBAY_BENCH_DIR")) as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return sorted(taken)[_SYNCS // 2]
