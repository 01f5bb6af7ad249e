"""Results as tables that people read in a terminal."""

from collections.abc import Callable, Sequence

from forebay.scaling.manifests.quantity import format_seconds
from forebay.scaling.simulation.panels import format_time
from forebay.scaling.simulation.result import Result, Summary

_NAMES = {
    "Empty": "node was empty",
    "Underutilized": "consolidation",
    "Drifted": "drift",
    "Expired": "expiry",
    "Preempted": "a more important pod",
}

# Label and what it shows, in groups.
_ROWS: Sequence[tuple[str, Callable[[Summary], str]]] = (
    ("messages received", lambda s: f"{s.received:,}"),
    ("messages done", lambda s: f"{s.processed:,}"),
    ("left in the queue", lambda s: f"{s.left:,}"),
    ("work cut off", lambda s: f"{s.cut_off:,}"),
    ("", lambda _: ""),
    ("first work begins at", lambda s: "never" if s.first_start_seconds is None else _seconds(s.first_start_seconds)),
    ("most messages at once", lambda s: f"{s.depth_most:,}"),
    ("oldest message", lambda s: _seconds(s.oldest_most_seconds)),
    ("wait, p50", lambda s: _seconds(s.wait.p50)),
    ("wait, p95", lambda s: _seconds(s.wait.p95)),
    ("wait, p99", lambda s: _seconds(s.wait.p99)),
    ("until done, p50", lambda s: _seconds(s.latency.p50)),
    ("until done, p95", lambda s: _seconds(s.latency.p95)),
    ("until done, p99", lambda s: _seconds(s.latency.p99)),
    ("", lambda _: ""),
    ("most pods", lambda s: f"{s.pods_most:,}"),
    ("pod-hours", lambda s: f"{s.pod_hours:,.1f}"),
    ("most nodes", lambda s: f"{s.nodes_most:,}"),
    ("node-hours", lambda s: f"{s.node_hours:,.1f}"),
    ("paid for but not asked for", lambda s: f"{s.idle_share:.0%}" if s.node_hours else "-"),
    ("cost", lambda s: f"${s.dollars:,.4f}"),
    (
        "cost of a million messages",
        lambda s: "-" if s.dollars_per_million is None else f"${s.dollars_per_million:,.2f}",
    ),
)


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the table of one or more settings: a label, and a cell for each."""
    found = [(label, *(show(result.summary) for result in results)) for label, show in _ROWS]
    reasons = sorted({reason for result in results for reason in result.summary.evictions})
    for reason in reasons:
        counts = (f"{result.summary.evictions.get(reason, 0):,}" for result in results)
        found.append((f"pods evicted: {_NAMES.get(reason, reason)}", *counts))
    removals = sorted({reason for result in results for reason in result.summary.node_removals})
    for reason in removals:
        counts = (f"{result.summary.node_removals.get(reason, 0):,}" for result in results)
        found.append((f"nodes taken away: {_NAMES.get(reason, reason)}", *counts))
    return found


def comparison(results: Sequence[Result]) -> str:
    """Write the table of one or more settings."""
    table = [("", *(result.name for result in results)), *rows(results)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        row[0].ljust(widths[0]) + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in table
    ]
    return "\n".join(line.rstrip() for line in lines)


def costs(result: Result) -> str:
    """Write what nodes of each kind cost."""
    if not result.summary.costs:
        return "There are no NodePools: pods start on a machine without end, and nothing is paid for."
    table = [("POOL", "INSTANCE TYPE", "CAPACITY", "NODE-HOURS", "COST")]
    table += [
        (cost.pool, cost.instance_type, cost.capacity_type, f"{cost.node_hours:,.2f}", f"${cost.dollars:,.4f}")
        for cost in sorted(result.summary.costs, key=lambda cost: -cost.dollars)
    ]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )


def timeline(result: Result, most: int = 60) -> str:
    """Write decisions with their reasons, the first and last of them where there are too many."""
    entries = list(result.timeline)
    left_out = len(entries) - most
    if left_out > 0:
        entries = [*entries[: most * 2 // 3], *entries[-(most - most * 2 // 3) :]]
    width = max((len(format_time(entry.at)) for entry in entries), default=4)
    who = max((len(entry.who) for entry in entries), default=4)
    lines: list[str] = []
    for place, entry in enumerate(entries):
        if left_out > 0 and place == most * 2 // 3:
            lines.append(f"{'...':>{width}}  {left_out} decisions left out")
        lines.append(f"{format_time(entry.at):>{width}}  {entry.who:<{who}}  {entry.what}")
        if entry.why:
            lines.append(f"{'':>{width}}  {'':<{who}}    because {entry.why}")
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return format_seconds(round(seconds, 1))
