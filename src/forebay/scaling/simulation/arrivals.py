"""When messages come: a curve of counts over time, from a CSV file, a recording of a queue, or a short description."""

import csv
import itertools
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_duration

_BURST = re.compile(r"burst\s+(?P<count>[0-9]+)(?:\s+at\s+(?P<at>\S+))?")
_STEADY = re.compile(
    r"steady\s+(?P<rate>[0-9.]+)/(?P<unit>s|m|h)(?:\s+from\s+(?P<first>\S+))?(?:\s+(?:to|until)\s+(?P<last>\S+))?"
)
_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Segment(msgspec.Struct, frozen=True):
    """Messages spread evenly over a time; one without length is a burst."""

    start: float
    end: float
    count: float


class ArrivalCurve(msgspec.Struct, frozen=True):
    """Segments in order of their start, in seconds from the beginning."""

    segments: tuple[Segment, ...]

    @property
    def total(self) -> float:
        """How many messages come in all."""
        return sum(segment.count for segment in self.segments)

    @property
    def end(self) -> float:
        """When the last message has come."""
        return max((segment.end for segment in self.segments), default=0.0)

    def before(self, moment: float) -> float:
        """Return how many messages have come up to and at a moment."""
        return sum(_share(segment, moment) for segment in self.segments)

    def ticks(self, tick_seconds: float) -> dict[int, int]:
        """Return how many messages come at each tick, by its number; what is no whole message is carried on."""
        found = dict[int, int]()
        owed = 0.0
        for segment in self.segments:
            first, last = math.ceil(segment.start / tick_seconds), math.ceil(segment.end / tick_seconds)
            before = 0.0
            for step in range(first, last + 1):
                come = _share(segment, step * tick_seconds)
                owed += come - before
                before = come
                whole = int(owed + 1e-9)
                if whole:
                    found[step] = found.get(step, 0) + whole
                    owed -= whole
        return found


def _share(segment: Segment, moment: float) -> float:
    if moment < segment.start:
        return 0.0
    if moment >= segment.end:
        return segment.count
    return segment.count * (moment - segment.start) / (segment.end - segment.start)


def parse_arrivals(text: str) -> ArrivalCurve:
    """Read a description: `burst 5000 at 1m`, `steady 20/s from 0s to 2h`, several joined by `,`; or a file's name.

    Raises:
        InvalidManifest: it is neither.
    """
    if Path(text).is_file():
        return read_arrivals(Path(text))
    segments = [_described(part.strip()) for part in text.split(",")]
    return ArrivalCurve(tuple(sorted(segments, key=lambda segment: segment.start)))


def _described(text: str) -> Segment:
    burst = _BURST.fullmatch(text)
    if burst is not None:
        at = parse_duration(burst["at"] or "0s")
        return Segment(at, at, float(burst["count"]))
    steady = _STEADY.fullmatch(text)
    if steady is None:
        raise InvalidManifest(
            f"{text!r} is no file and no description such as 'burst 5000 at 1m' or 'steady 20/s to 2h'"
        )
    first, last = parse_duration(steady["first"] or "0s"), parse_duration(steady["last"] or "10m")
    if last <= first:
        raise InvalidManifest(f"{text!r} ends before it begins")
    return Segment(first, last, float(steady["rate"]) / _UNIT_SECONDS[steady["unit"]] * (last - first))


def read_arrivals(path: Path) -> ArrivalCurve:
    """Read a CSV file with a header: a time (`seconds`, or `timestamp` in ISO 8601) and `messages`.

    The messages of a row come evenly between its time and the next row's; the last row lasts as long as the one before.
    One row alone is a burst.

    Raises:
        InvalidManifest: the file has other columns, or rows that are no numbers or run backwards.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise InvalidManifest(f"{path}: no rows")
    times = [_time(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]
    counts = [_count(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise InvalidManifest(f"{path}: times must rise from row to row")
    base = times[0] if "timestamp" in rows[0] else 0.0
    ends = [*times[1:], times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0.0)]
    return ArrivalCurve(
        tuple(Segment(start - base, end - base, n) for start, end, n in zip(times, ends, counts, strict=True) if n)
    )


def format_arrivals(rows: Sequence[tuple[float, float]]) -> str:
    """Write rows of seconds since the epoch and messages as a CSV file that `read_arrivals` reads."""
    lines = [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ},{count:g}" for at, count in rows]
    return "\n".join(["timestamp,messages", *lines, ""])


def _time(row: dict[str, str], place: str) -> float:
    try:
        if "timestamp" in row:
            return datetime.fromisoformat(row["timestamp"]).timestamp()
        return float(row["seconds"])
    except KeyError:
        raise InvalidManifest(f"{place}: there is no column `seconds` or `timestamp`") from None
    except ValueError:
        raise InvalidManifest(f"{place}: the time cannot be read") from None


def _count(row: dict[str, str], place: str) -> float:
    try:
        count = float(row["messages"])
    except KeyError:
        raise InvalidManifest(f"{place}: there is no column `messages`") from None
    except ValueError:
        raise InvalidManifest(f"{place}: the number of messages cannot be read") from None
    if count < 0:
        raise InvalidManifest(f"{place}: the number of messages is negative")
    return count
