"""Results as a PNG, drawn by matplotlib (the extra `plots`)."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forebay.core.errors import ConfigError
from forebay.scaling.simulation.panels import Panel, format_time, format_value, panels, time_ticks, value_ticks
from forebay.scaling.simulation.result import Result


def draw(results: Sequence[Result], path: Path, title: str = "Scaling simulation") -> None:
    """Write the picture of one or more settings.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        # An optional extra, and half a second to load.
        matplotlib: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        raise ConfigError("--png needs matplotlib: pip install 'forebay[plots]'") from None
    shown = panels(results)
    figure = matplotlib.Figure(figsize=(11, 2.3 * len(shown)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots(len(shown), 1, sharex=True)
    for axis, panel in zip(axes, shown, strict=True):
        _draw_panel(axis, panel, results[0].seconds)
    axes[-1].set_xlabel("time from the start")
    figure.savefig(path, dpi=120)


def _draw_panel(axis: Any, panel: Panel, seconds: float) -> None:
    for line in panel.lines:
        style = "--" if line.is_dashed else "-"
        axis.plot(panel.times, line.values, style, color=line.colour, label=line.label, linewidth=1.6)
    axis.set_title(panel.title, loc="left", fontsize=10)
    values, moments = value_ticks(panel.most), time_ticks(seconds)
    axis.set_yticks(values, [format_value(value) for value in values])
    axis.set_xticks(moments, [format_time(moment) for moment in moments])
    axis.set_ylim(0, values[-1] * 1.02)
    axis.set_xlim(0, seconds)
    axis.grid(visible=True, color="#d9dee5")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if len(panel.lines) > 1:
        axis.legend(loc="upper right", fontsize=9, frameon=False, ncols=len(panel.lines))
