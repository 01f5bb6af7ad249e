"""Results as one HTML page that needs nothing beside it: table, pictures in SVG, and the timeline with its reasons."""

from collections.abc import Sequence
from html import escape

from forebay.scaling.simulation.panels import (
    COLOURS,
    Line,
    Panel,
    format_time,
    format_value,
    panels,
    time_ticks,
    value_ticks,
)
from forebay.scaling.simulation.result import Result
from forebay.scaling.simulation.tables import rows

_WIDTH, _HEIGHT = 960, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 34, 28
# More lines than a screen has pixels only make the file larger.
_TIMELINE_MAX = 2000

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #66707f; --rule: #d9dee5; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --faint: #9aa5b3; --rule: #39424e; --paper: #14181d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.note { color: var(--faint); margin-top: 0; }
table { border-collapse: collapse; } th, td { padding: .2rem .9rem; border-bottom: 1px solid var(--rule); }
td + td, th + th { text-align: right; font-variant-numeric: tabular-nums; } td:first-child { color: var(--faint); }
tr.gap td { border: 0; padding: .3rem; }
svg { width: 100%; height: auto; margin-bottom: .6rem; }
svg text { font: 12px system-ui, sans-serif; fill: var(--faint); }
svg text.title { font-size: 14px; font-weight: 600; fill: var(--ink); }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .line { fill: none; stroke-width: 2; }
ol { list-style: none; padding: 0; } ol li { display: grid; grid-template-columns: 5rem 6rem 1fr; padding: .25rem 0;
  border-bottom: 1px solid var(--rule); } ol time { font-variant-numeric: tabular-nums; color: var(--faint); }
ol small { display: block; color: var(--faint); } .swatch { display: inline-block; width: .8em; height: .8em;
  margin-right: .4em; border-radius: 2px; }
"""


def page(results: Sequence[Result], title: str = "Scaling simulation") -> str:
    """Write the page of one or more settings."""
    first = results[0]
    note = (
        f"{format_time(first.seconds)} simulated in steps of {first.tick_seconds:g} s, by the rules of KEDA, the HPA, "
        "the scheduler and Karpenter. Prices are those of kwok's instance types unless a table of your own was given."
    )
    drawn = "\n".join(_svg(panel, first.seconds) for panel in panels(results))
    timelines = "\n".join(_timeline(result, is_open=len(results) == 1) for result in results)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p class="note">{escape(note)}</p>{_table(results)}'
        f"<h2>Over time</h2>{drawn}<h2>Decisions</h2>{timelines}</body></html>\n"
    )


def _table(results: Sequence[Result]) -> str:
    heads = "".join(f"<th>{_swatch(place, results)}{escape(result.name)}</th>" for place, result in enumerate(results))
    body = "".join(
        '<tr class="gap"><td></td></tr>'
        if not row[0]
        else f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for row in rows(results)
    )
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _swatch(place: int, results: Sequence[Result]) -> str:
    if len(results) == 1:
        return ""
    return f'<span class="swatch" style="background:{COLOURS[place % len(COLOURS)]}"></span>'


def _svg(panel: Panel, seconds: float) -> str:
    values = value_ticks(panel.most)
    top = values[-1]

    def x(moment: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * moment / seconds

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top

    parts = [f'<text class="title" x="{_LEFT}" y="16">{escape(panel.title)}</text>', _legend(panel.lines)]
    for value in values:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        label = escape(format_value(value))
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{label}</text>')
    for moment in time_ticks(seconds):
        label = format_time(moment)
        parts.append(f'<text x="{x(moment):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{label}</text>')
    for line in panel.lines:
        points = " ".join(
            f"{x(moment):.1f},{y(value):.1f}" for moment, value in zip(panel.times, line.values, strict=True)
        )
        dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
        parts.append(f'<polyline class="line" stroke="{line.colour}"{dash} points="{points}"/>')
    label = escape(panel.title)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _legend(lines: Sequence[Line]) -> str:
    parts: list[str] = []
    right = float(_WIDTH - _RIGHT)
    for line in reversed(lines):
        right -= len(line.label) * 6.6 + 34
        dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
        parts.append(
            f'<line class="line" stroke="{line.colour}"{dash} x1="{right}" x2="{right + 20}" y1="12" y2="12"/>'
        )
        parts.append(f'<text x="{right + 25}" y="16">{escape(line.label)}</text>')
    return "".join(parts)


def _timeline(result: Result, *, is_open: bool) -> str:
    shown = result.timeline[:_TIMELINE_MAX]
    items = "".join(
        f"<li><time>{format_time(entry.at)}</time><span>{escape(entry.who)}</span><div>{escape(entry.what)}"
        + (f"<small>because {escape(entry.why)}</small>" if entry.why else "")
        + "</div></li>"
        for entry in shown
    )
    more = len(result.timeline) - len(shown)
    note = f'<p class="note">{more} later decisions are left out.</p>' if more > 0 else ""
    state = " open" if is_open else ""
    summary = f"<summary>{escape(result.name)}: {len(result.timeline)} decisions</summary>"
    return f"<details{state}>{summary}<ol>{items}</ol>{note}</details>"
