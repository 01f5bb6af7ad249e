"""The path of an execution, drawn from its history: each state with its time, its attempts and its data.

A history is a set of chains: each event names the one before it. Branches and iterations are chains of their own, which
begin at the event that started them and are drawn inside the state that they belong to.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

_STARTS_BRANCHES = frozenset({"ParallelStateStarted", "MapIterationStarted"})
_ENDS_BRANCHES = ("ParallelState", "MapState")
_FAILED = ("Failed", "TimedOut", "Aborted")
_PAYLOAD_WIDTH = 100
_MARKS = {
    "Choice": "◆",
    "Wait": "◷",
    "Parallel": "⑃",
    "Map": "⑃",
    "Fail": "✖",
    "Succeed": "✔",
}


class Visit:
    """One visit of a state."""

    def __init__(self, event: Mapping[str, Any], depth: int, branch: str) -> None:
        details = event["stateEnteredEventDetails"]
        self.name: str = details["name"]
        self.type: str = event["type"].removesuffix("StateEntered")
        self.entered_at: datetime = event["timestamp"]
        self.input: str = details.get("input", "")
        self.depth = depth
        self.branch = branch
        self.exited_at: datetime | None = None
        self.output: str | None = None
        self.variables: Mapping[str, str] = {}
        self.resource = ""
        self.attempts = 0
        self.waits_for = ""
        self.problems: list[str] = []
        self.is_failed = False


class _Chain(msgspec.Struct):
    """Where an event stands: inside which visit, how deep."""

    depth: int = 0
    visit: Visit | None = None
    parent: "_Chain | None" = None
    branch: str = ""


def read_path(events: Sequence[Mapping[str, Any]]) -> list[Visit]:
    """Return the visits of states that a history tells of, those inside others right behind them."""
    chains: dict[int, _Chain] = {0: _Chain()}
    visits: list[Visit] = []
    types: dict[int, str] = {}
    counts: dict[int, int] = {}
    for event in events:
        types[event["id"]] = event["type"]
        chain = _chain_of(event, chains, types, counts)
        chains[event["id"]] = chain
        _note(event, chain, visits)
    return _nested(visits)


def _chain_of(
    event: Mapping[str, Any], chains: Mapping[int, _Chain], types: Mapping[int, str], counts: dict[int, int]
) -> _Chain:
    before = event.get("previousEventId", 0)
    chain = chains.get(before) or chains[0]
    kind: str = event["type"]
    if kind.startswith(_ENDS_BRANCHES) and not kind.endswith(("Entered", "Started")):
        # The end of a state with branches, and its exit, name the last event of a branch.
        while chain.parent is not None and not _is_open(chain.visit, kind):
            chain = chain.parent
        return chain
    if kind == "MapIterationStarted" or (types.get(before) == "ParallelStateStarted" and kind.endswith("Entered")):
        number = counts[before] = counts.get(before, -1) + 1
        return _Chain(chain.depth + 1, None, chain, f"[{number}]")
    return chain


def _is_open(visit: Visit | None, kind: str) -> bool:
    """Return whether an event of this kind can end a visit: of its type, and not ended before."""
    return visit is not None and visit.exited_at is None and kind.startswith(f"{visit.type}State")


def _note(event: Mapping[str, Any], chain: _Chain, visits: list[Visit]) -> None:
    kind: str = event["type"]
    if kind.endswith("StateEntered"):
        chain.visit = Visit(event, chain.depth, chain.branch)
        visits.append(chain.visit)
        return
    visit = chain.visit
    if visit is None:
        return
    if kind.endswith("StateExited"):
        details = event["stateExitedEventDetails"]
        visit.exited_at, visit.output = event["timestamp"], details.get("output", "")
        visit.variables = details.get("assignedVariables", {})
        visit.is_failed, visit.waits_for = False, ""
        return
    details = details_of(event)
    if kind.endswith("Scheduled"):
        visit.attempts += 1
        visit.resource = _resource(details)
        visit.is_failed = False
    elif kind.endswith(("Submitted", "ActivityStarted")):
        visit.waits_for = "an answer"
    elif kind.endswith(_FAILED) or kind == "EvaluationFailed":
        visit.is_failed, visit.waits_for = True, ""
        words = [details.get("error") or kind, details.get("cause") or ""]
        if kind.endswith(("StateAborted", "StateFailed")):
            words = [kind.removeprefix(visit.type).removeprefix("State").lower()]
        visit.problems.append(": ".join(word for word in words if word))


def details_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an event says beside its type and time."""
    found: Any = next((value for name, value in event.items() if name.endswith("EventDetails")), None)
    return found or {}


def _resource(details: Mapping[str, Any]) -> str:
    if "resourceType" in details:
        return f"{details['resourceType']}:{details['resource']}"
    return str(details.get("resource", "")).rpartition(":")[2]


def _nested(visits: Sequence[Visit]) -> list[Visit]:
    """Return visits with branches kept together: those of one branch before those of the next."""
    ordered: list[Visit] = []
    block: list[Visit] = []
    for visit in visits:
        if visit.depth == 0:
            ordered += _sorted(block)
            block = []
            ordered.append(visit)
        else:
            block.append(visit)
    return ordered + _sorted(block)


def _sorted(block: Sequence[Visit]) -> list[Visit]:
    """Return the visits of a block by branch of the outermost level, deeper ones behind what they are in."""
    by_branch: dict[str, list[Visit]] = {}
    branch = ""
    for visit in block:
        branch = visit.branch if visit.depth == 1 else branch
        by_branch.setdefault(branch, []).append(visit)
    return [visit for each in by_branch.values() for visit in each]


def draw(visits: Sequence[Visit], started_at: datetime, *, is_running: bool, with_data: bool) -> Iterator[str]:
    """Yield the lines of a path."""
    width = max((len(_title(visit)) + 3 * visit.depth for visit in visits), default=0)
    wide = max((len(_what(visit)) for visit in visits), default=0)
    for position, visit in enumerate(visits):
        following = visits[position + 1] if position + 1 < len(visits) else None
        rail = "│  " * visit.depth
        took = _took(visit, is_running=is_running)
        offset = f"+{(visit.entered_at - started_at).total_seconds():.3f} s"
        title = _title(visit)
        mark = click.style(_MARKS.get(visit.type, "●"), fg=_colour(visit, is_running=is_running))
        padded = f"{rail}{mark} {click.style(title, bold=True)}{' ' * (width - len(title) - 3 * visit.depth)}"
        yield f"{padded}  {_what(visit):<{wide}}  {offset:>11}  {took:>10}{_notes(visit)}"
        below = rail + ("│    " if following is not None and following.depth >= visit.depth else "     ")
        for problem in visit.problems:
            yield below + click.style(f"✖ {_short(problem)}", fg="red")
        if with_data:
            yield below + click.style("in   ", dim=True) + _short(visit.input)
            if visit.output is not None and visit.output != visit.input:
                yield below + click.style("out  ", dim=True) + _short(visit.output)
            for name, value in visit.variables.items():
                yield below + click.style(f"${name} = ", dim=True) + _short(value)


def _title(visit: Visit) -> str:
    return f"{visit.branch} {visit.name}".strip()


def _what(visit: Visit) -> str:
    return f"{visit.type} {visit.resource}".strip()


def _colour(visit: Visit, *, is_running: bool) -> str:
    if visit.is_failed or visit.type == "Fail":
        return "red"
    return "yellow" if visit.exited_at is None and is_running else "green"


def _took(visit: Visit, *, is_running: bool) -> str:
    if visit.exited_at is None:
        return "now" if is_running and not visit.is_failed else "-"
    return seconds((visit.exited_at - visit.entered_at).total_seconds())


def _notes(visit: Visit) -> str:
    notes = [f"{visit.attempts} attempts"] if visit.attempts > 1 else []
    notes += [f"waits for {visit.waits_for}"] if visit.waits_for else []
    return f"  ({', '.join(notes)})" if notes else ""


def seconds(value: float) -> str:
    """Return a time that something took, for people."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _short(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= _PAYLOAD_WIDTH else f"{line[: _PAYLOAD_WIDTH - 1]}…"
