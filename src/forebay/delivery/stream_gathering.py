"""Which records make a lane's next batch: as many as are wanted, fit into a payload, and lie within one window.

Pure: `stream_reader.py` reads, and waits.
"""

from collections.abc import Sequence

import msgspec

from forebay.delivery.poller import PAYLOAD_BYTES_MAX, is_wanted
from forebay.delivery.stream import Progress, Reading, Streamed, lane_of, window_start

_PAYLOAD_OVERHEAD_BYTES = 64


class Gathered(msgspec.Struct, frozen=True):
    """What a lane has read for its next call: the wanted records, as JSON too, and up to where it has looked."""

    records: tuple[Streamed, ...]
    texts: tuple[msgspec.Raw, ...]
    end: int
    # The tumbling window is over, and all its records are handed over.
    is_window_over: bool = False


class Gathering:
    """The records of a lane's next batch while they are being read."""

    def __init__(self, reading: Reading, lane: int, progress: Progress) -> None:
        self._reading = reading
        self._settings = reading.stream
        self._lane = lane
        self._progress = progress
        self._bound = progress.ends[0] if progress.ends else None
        self._size = _PAYLOAD_OVERHEAD_BYTES
        self._texts: list[msgspec.Raw] = []
        self._began_at: float | None = None
        self._window_ms = None if progress.window is None else progress.window.start_ms
        self._is_beyond_window = progress.window is not None and progress.window.is_too_large
        self.records: list[Streamed] = []
        self.end = progress.after
        self.is_full = self._is_beyond_window

    def add(self, found: Sequence[Streamed]) -> None:
        """Take records in, as far as they belong to this batch."""
        for one in found:
            if self._bound is not None and one.position > self._bound:
                self._fill_to_bound()
                return
            if self._is_wanted(one):
                if self._is_of_next_window(one):
                    self.is_full = self._is_beyond_window = True
                    return
                if not self._take(one):
                    self.is_full = True
                    return
            self.end = one.position
            if len(self.records) >= self._reading.batch_size:
                self.is_full = True
                return

    def _take(self, one: Streamed) -> bool:
        """Take a record, unless the payload would be too large with it; a single one is taken whatever its size."""
        text = msgspec.json.encode(one.record.data)
        self._size += len(text) + 1
        if self.records and self._size > PAYLOAD_BYTES_MAX:
            return False
        self.records.append(one)
        self._texts.append(msgspec.Raw(text))
        return True

    def has_all(self, now_ms: int) -> bool:
        """Return whether nothing more can come to this batch, though it is not full."""
        if self._bound is not None:
            # What is missing of a batch that is tried again has expired.
            self._fill_to_bound()
            return True
        return self.window_ends_at() * 1000 <= now_ms

    def began_at(self, now: float) -> float:
        """Return when the first record was taken."""
        if self._began_at is None:
            self._began_at = now
        return self._began_at

    def window_ends_at(self) -> float:
        """Return when the tumbling window ends that is open."""
        if self._window_ms is None:
            return float("inf")
        return self._window_ms / 1000 + self._settings.tumbling_seconds

    def taken(self, now_ms: int) -> Gathered:
        """Return the batch."""
        is_over = self._is_beyond_window or self.window_ends_at() * 1000 <= now_ms
        is_window_over = self._progress.window is not None and is_over and not self.records
        return Gathered(tuple(self.records), tuple(self._texts), self.end, is_window_over)

    def _fill_to_bound(self) -> None:
        assert self._bound is not None
        self.end = self._bound
        self.is_full = True

    def _is_wanted(self, one: Streamed) -> bool:
        if self._settings.lanes > 1 and lane_of(one.record.group, self._settings.lanes) != self._lane:
            return False
        return not self._reading.patterns or is_wanted(one.record, self._reading.patterns, ())

    def _is_of_next_window(self, one: Streamed) -> bool:
        if not self._settings.tumbling_seconds:
            return False
        start_ms = window_start(one.at_ms, self._settings)
        if self._window_ms is None:
            self._window_ms = start_ms
        # Times may go back a little; what comes late belongs to the window that is open.
        return start_ms > self._window_ms
