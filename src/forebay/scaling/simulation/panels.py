"""What pictures of a simulation show: five panels over one axis of time, the same for PNG and HTML."""

import math
from collections.abc import Callable, Sequence

import msgspec

from forebay.scaling.simulation.result import Result, Sample

# Colours that people with colour blindness tell apart (Okabe and Ito), for settings side by side.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_STEPS = (1, 2, 2.5, 5, 10)
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


class Line(msgspec.Struct, frozen=True):
    """One line of a panel."""

    label: str
    colour: str
    values: tuple[float, ...]
    is_dashed: bool = False


class Panel(msgspec.Struct, frozen=True):
    """One picture: its title with the unit, and its lines."""

    title: str
    times: tuple[float, ...]
    lines: tuple[Line, ...]

    @property
    def most(self) -> float:
        """The highest value."""
        return max((value for line in self.lines for value in line.values), default=0.0)


_Read = Callable[[Sample], float]

# Title, the value that settings are compared by, and what a single setting shows in two lines.
_PANELS: tuple[tuple[str, _Read, tuple[tuple[str, _Read], ...]], ...] = (
    (
        "Messages in the queue",
        lambda s: s.visible + s.in_flight,
        (("waiting", lambda s: s.visible), ("in work", lambda s: s.in_flight)),
    ),
    ("Age of the oldest waiting message, seconds", lambda s: s.oldest_seconds, (("age", lambda s: s.oldest_seconds),)),
    ("Pods", lambda s: s.pods, (("all", lambda s: s.pods), ("ready", lambda s: s.pods_ready))),
    ("Nodes", lambda s: s.nodes, (("all", lambda s: s.nodes), ("ready", lambda s: s.nodes_ready))),
    ("Cost, dollars an hour", lambda s: s.dollars_per_hour, (("cost", lambda s: s.dollars_per_hour),)),
)


def panels(results: Sequence[Result]) -> list[Panel]:
    """Return the panels of one setting, or of several side by side."""
    if len(results) == 1:
        return [_single(results[0], title, lines) for title, _, lines in _PANELS]
    return [_compared(results, title, read) for title, read, _ in _PANELS]


def _single(result: Result, title: str, reads: Sequence[tuple[str, _Read]]) -> Panel:
    lines = [
        Line(label, COLOURS[place], tuple(read(sample) for sample in result.samples), is_dashed=place > 0)
        for place, (label, read) in enumerate(reads)
    ]
    return Panel(title, tuple(sample.at for sample in result.samples), tuple(lines))


def _compared(results: Sequence[Result], title: str, read: _Read) -> Panel:
    lines = [
        Line(result.name, COLOURS[place % len(COLOURS)], tuple(read(sample) for sample in result.samples))
        for place, result in enumerate(results)
    ]
    return Panel(title, tuple(sample.at for sample in results[0].samples), tuple(lines))


def value_ticks(most: float, count: int = 4) -> list[float]:
    """Return round values from 0 to at least the highest."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough)
    return [step * place for place in range(math.ceil(most / step - 1e-9) + 1)]


def time_ticks(seconds: float) -> list[float]:
    """Return at most nine round moments of a span."""
    step = next((step for step in _TIME_STEPS if seconds / step <= 8), 86_400)
    return [float(step * place) for place in range(int(seconds / step) + 1)]


def format_value(value: float) -> str:
    """Write a value of an axis or a table shortly."""
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def format_time(seconds: float) -> str:
    """Write a moment as hours, minutes and seconds: `0:00`, `12:30`, `1:02:05`."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
