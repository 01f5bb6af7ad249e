"""The picture of `forebay scale watch`, as text. Pure: what was seen in, lines out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

_NOTHING: Mapping[str, Any] = {}
_BARS = " ▁▂▃▄▅▆▇█"
_CURVE = 40
_COLOURS = {"True": "green", "False": "yellow", "Unknown": "yellow"}
_BASE_NODE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True)
class Queue:
    """A queue that a trigger watches: its counts (None: it is not there) and its depth over time."""

    name: str
    counts: Mapping[str, int] | None
    history: Sequence[int]


@dataclass(frozen=True)
class Workload:
    """Something that KEDA scales, with its pods."""

    name: str
    kind: str
    thing: Mapping[str, Any]
    pods: Sequence[Mapping[str, Any]]
    autoscaler: Mapping[str, Any] | None
    queues: Sequence[Queue]
    history: Sequence[int]


@dataclass(frozen=True)
class Picture:
    """Everything at one moment."""

    url: str
    workloads: Sequence[Workload]
    pods: Sequence[Mapping[str, Any]]
    nodes: Sequence[Mapping[str, Any]]
    claims: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    rate: float
    cost: float
    node_history: Sequence[int]


def draw(picture: Picture, width: int) -> str:
    """Return the picture as text, no line wider than the terminal."""
    lines = [click.style("Forebay cluster", bold=True) + f"  {picture.url}", ""]
    for workload in picture.workloads:
        lines += _workload(workload)
    if not picture.workloads:
        lines += ["No ScaledObject or ScaledJob yet: apply one, and its queue appears here.", ""]
    lines += _nodes(picture)
    if picture.events:
        lines.append(click.style("Latest events", bold=True))
        lines += [_event(each) for each in picture.events]
    return "\n".join(_cut(line, width) for line in lines)


def _workload(workload: Workload) -> Iterator[str]:
    thing = workload.thing
    conditions = {each["type"]: each for each in _list(thing.get("status") or _NOTHING, "conditions")}
    words = [_condition(conditions, name) for name in ("Ready", "Active")]
    if conditions.get("Paused", _NOTHING).get("status") == "True":
        words.append(click.style("paused", fg="magenta"))
    spec = thing["spec"]
    bounds = f"{spec.get('minReplicaCount', 0)} to {spec.get('maxReplicaCount', 100)} pods"
    yield click.style(f"{workload.kind} {workload.name}", bold=True) + f"  {bounds}  " + "  ".join(words)
    for queue in workload.queues:
        yield _queue(queue)
    yield _pods(workload)
    if workload.autoscaler is not None:
        yield _autoscaler(workload.autoscaler)
    yield ""


def _condition(conditions: Mapping[str, Any], name: str) -> str:
    status = conditions.get(name, _NOTHING).get("status", "Unknown")
    word = {"True": name.lower(), "False": f"not {name.lower()}"}.get(status, f"{name.lower()} unknown")
    return click.style(word, fg=_COLOURS.get(status))


def _queue(queue: Queue) -> str:
    if queue.counts is None:
        return f"  queue  {queue.name:<24} " + click.style("not there", fg="red")
    counts = queue.counts
    shown = f"{counts['visible']:>7} waiting  {counts['in_flight']:>5} in work"
    if counts["delayed"]:
        shown += f"  {counts['delayed']} delayed"
    return f"  queue  {queue.name:<24} {shown}  " + click.style(curve(queue.history), fg="cyan")


def _pods(workload: Workload) -> str:
    words = Counter(_pod_word(pod) for pod in workload.pods)
    listed = ", ".join(f"{count} {word}" for word, count in sorted(words.items())) or "none"
    return f"  pods   {len(workload.pods):>3}: {listed:<42} " + click.style(curve(workload.history), fg="green")


def _pod_word(pod: Mapping[str, Any]) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "terminating"
    status = pod.get("status") or _NOTHING
    waiting = [
        (each.get("state") or _NOTHING).get("waiting") or _NOTHING for each in _list(status, "containerStatuses")
    ]
    reason = next((each["reason"] for each in waiting if each.get("reason")), None)
    if reason == "WouldBeRunning":
        return "would be running"
    if status.get("phase") == "Pending" and not pod["spec"].get("nodeName"):
        return "without a node"
    return str(reason or status.get("phase", "unknown")).lower()


def _autoscaler(hpa: Mapping[str, Any]) -> str:
    status = hpa.get("status") or _NOTHING
    metric = next(iter(_list(status, "currentMetrics")), _NOTHING).get("external", _NOTHING)
    current = (metric.get("current") or _NOTHING).get("averageValue")
    target = (
        ((hpa["spec"].get("metrics") or [_NOTHING])[0].get("external") or _NOTHING)
        .get("target", _NOTHING)
        .get("averageValue")
    )
    wanted = f"HPA wants {status.get('desiredReplicas', 0)}"
    if current is None:
        return f"  {wanted}"
    return f"  {wanted}: {current} messages a pod, {target} are meant"


def _nodes(picture: Picture) -> Iterator[str]:
    title = click.style(f"Nodes {len(picture.claims)}", bold=True)
    bill = f"${picture.rate:.4f}/h, ${picture.cost:.6f} since the start of this view"
    yield f"{title}  {bill}  " + click.style(curve(picture.node_history), fg="blue")
    ready = {node["metadata"]["name"]: node for node in picture.nodes}
    on_node = Counter(
        pod["spec"].get("nodeName") for pod in picture.pods if pod["status"].get("phase") not in ("Succeeded", "Failed")
    )
    for claim in picture.claims:
        yield _node(claim, ready, on_node)
    base = next((node for node in picture.nodes if _BASE_NODE in node["metadata"].get("labels", _NOTHING)), None)
    if base is not None and on_node[base["metadata"]["name"]]:
        name = base["metadata"]["name"]
        yield f"  {name:<24} {'ready':<8} {'this machine':<28} {on_node[name]:>4} pods"
    yield ""


def _node(claim: Mapping[str, Any], nodes: Mapping[str, Any], on_node: Mapping[str, int]) -> str:
    metadata = claim["metadata"]
    labels, name = metadata.get("labels", _NOTHING), metadata["name"]
    kind = f"{labels.get('node.kubernetes.io/instance-type', '?')} {labels.get('karpenter.sh/capacity-type', '')}"
    most = int((claim.get("status") or _NOTHING).get("allocatable", _NOTHING).get("pods", 0) or 0)
    state = "ready" if name in nodes else "starting"
    if "deletionTimestamp" in metadata:
        state = "going"
    colour = {"ready": "green", "starting": "yellow", "going": "magenta"}[state]
    count = on_node.get(name, 0)
    price = float(labels.get("eks-node-viewer/instance-price", 0))
    word = click.style(f"{state:<8}", fg=colour)
    return f"  {name:<24} {word} {kind:<28} {count:>4} of {most} pods  ${price:.4f}/h"


def _event(event: Mapping[str, Any]) -> str:
    about = event.get("involvedObject") or _NOTHING
    at = str(event.get("lastTimestamp") or "")[11:19]
    colour = "red" if event.get("type") == "Warning" else None
    place = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    return (
        f"  {at}  " + click.style(f"{event.get('reason', ''):<20}", fg=colour) + f" {place}: {event.get('message', '')}"
    )


def curve(values: Sequence[int]) -> str:
    """Return the last values as a curve of blocks, with the highest one's number."""
    shown = list(values)[-_CURVE:]
    top = max(shown, default=0)
    if top == 0:
        return _BARS[1] * len(shown)
    marks = "".join(_BARS[1 + round(value / top * (len(_BARS) - 2))] for value in shown)
    return f"{marks} max {top}"


def _list(thing: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return thing.get(name) or []


def _cut(line: str, width: int) -> str:
    """Shorten a line to a width; what colours it takes no room."""
    plain = click.unstyle(line)
    if len(plain) <= width:
        return line
    excess = len(plain) - width + 1
    return (line[:-excess] if line == plain else plain[: width - 1]) + "…"
