"""Printed tables: the columns that `kubectl get` shows of each kind, as the API server computes them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from forebay.scaling.cluster import kinds
from forebay.scaling.cluster.kinds import EMPTY, Column, Object, Resource
from forebay.scaling.cluster.objects import is_deleting, name_of, parse_instant
from forebay.scaling.cluster.selectors import format_selector

_NAME = Column("Name", "metadata.name")
_AGE = Column("Age", "")
_UNKNOWN = "<unknown>"
_NONE = "<none>"

Cells = Callable[[Object, float], list[Any]]


def table(resource: Resource, things: Sequence[Object], now: float, *, include: str) -> Object:
    """Return objects as a `Table`; `include` says how much of each object goes along (`None`, `Metadata`, `Object`)."""
    columns, cells = _printing(resource)
    rows: list[Object] = []
    for thing in things:
        row: Object = {"cells": cells(thing, now)}
        if include == "Object":
            row["object"] = {"apiVersion": resource.api_version, "kind": resource.kind, **thing}
        elif include != "None":
            meta: Object = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            row["object"] = {**meta, "metadata": thing["metadata"]}
        rows.append(row)
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": columns, "rows": rows}


def _printing(resource: Resource) -> tuple[list[Object], Cells]:
    own = _PRINTERS.get(resource.id)
    if own is not None:
        columns, cells = own
    else:
        columns = [_NAME, *(resource.columns or (_AGE,))]
        cells = _cells_of(columns[1:])
    definitions = [
        {
            "name": column.name,
            "type": column.type if column.type != "date" or not resource.is_custom else "date",
            "format": "name" if column is _NAME else "",
            "description": "",
            "priority": column.priority,
        }
        for column in columns
    ]
    return definitions, cells


def _cells_of(columns: Sequence[Column]) -> Cells:
    def cells(thing: Object, now: float) -> list[Any]:
        return [name_of(thing), *(_cell(column, thing, now) for column in columns)]

    return cells


def _cell(column: Column, thing: Object, now: float) -> Any:
    if column.name == "Age" and not column.path:
        return age(thing["metadata"].get("creationTimestamp"), now)
    value = find_path(thing, column.path)
    if column.type == "date":
        return age(value, now) if value else _UNKNOWN
    if isinstance(value, list):
        return str(cast("list[Any]", value)[0]) if value else ""
    return "" if value is None and column.type != "integer" else value


def find_path(thing: Any, path: str) -> Any:
    """Return what stands at a path of a column: dots, `[type="x"]`, `[*]`, and dots of a name behind backslashes."""
    parts = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path)]
    return _walk(thing, parts)


def _walk(value: Any, parts: Sequence[str]) -> Any:
    if not parts or value is None:
        return value
    name, _, choice = parts[0].partition("[")
    below = cast("Object", value).get(name) if isinstance(value, dict) else None
    if not choice:
        return _walk(below, parts[1:])
    items = cast("list[Any]", below or [])
    if choice == "*]":
        return [_walk(item, parts[1:]) for item in items]
    key, _, wanted = choice.removesuffix("]").partition("=")
    return next((_walk(item, parts[1:]) for item in items if item.get(key) == wanted.strip('"')), None)


def age(moment: str | None, now: float) -> str:
    """Return how long ago a moment was."""
    at = parse_instant(moment)
    return _UNKNOWN if at is None else human_duration(now - at)


def human_duration(seconds: float) -> str:  # noqa: C901, PLR0911 - one line a unit, as upstream
    """Return a duration as kubectl shows it (apimachinery's `duration.HumanDuration`)."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    years = days // 365
    if years < 2:
        return f"{days}d"
    return f"{years}y{days % 365}d" if years < 8 and days % 365 else f"{years}y"


def pod_status(thing: Object) -> str:  # noqa: C901 - the cases of upstream, in its order
    """Return the word in kubectl's STATUS column (kubernetes: printers, `printPod`)."""
    status = cast("Object", thing.get("status") or EMPTY)
    reason = status.get("reason") or status.get("phase") or _UNKNOWN
    if any(each.get("reason") == "SchedulingGated" for each in status.get("conditions") or ()):
        reason = "SchedulingGated"
    running = False
    for container in reversed(cast("list[Object]", status.get("containerStatuses") or [])):
        state = cast("Object", container.get("state") or EMPTY)
        waiting, ended = state.get("waiting") or EMPTY, state.get("terminated") or EMPTY
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended.get("reason"):
            reason = ended["reason"]
        elif ended:
            reason = f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode')}"
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running" if _is_true(status, "Ready") else "NotReady"
    if is_deleting(thing):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return reason


def _is_true(status: Object, kind: str) -> bool:
    conditions = cast("list[Object]", status.get("conditions") or [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def _pod(thing: Object, now: float) -> list[Any]:
    spec, status = thing["spec"], cast("Object", thing.get("status") or EMPTY)
    statuses = cast("list[Object]", status.get("containerStatuses") or [])
    ready = sum(1 for each in statuses if each.get("ready"))
    count = sum(int(each.get("restartCount") or 0) for each in statuses)
    ends = [((each.get("lastState") or EMPTY).get("terminated") or EMPTY).get("finishedAt") for each in statuses]
    last = max((end for end in ends if end), default=None)
    restarts = f"{count} ({age(last, now)} ago)" if count and last else str(count)
    return [
        name_of(thing),
        f"{ready}/{len(spec.get('containers') or ())}",
        pod_status(thing),
        restarts,
        _age(thing, now),
        status.get("podIP") or _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        _NONE,
    ]


def _age(thing: Object, now: float) -> str:
    return age(thing["metadata"].get("creationTimestamp"), now)


def _wide(thing: Object, now: float) -> list[Any]:
    spec = thing["spec"]
    containers = cast("list[Object]", ((spec.get("template") or EMPTY).get("spec") or EMPTY).get("containers") or [])
    names = ",".join(str(each.get("name")) for each in containers)
    images = ",".join(str(each.get("image")) for each in containers)
    return [_age(thing, now), names, images, format_selector(spec.get("selector"))]


def _deployment(thing: Object, now: float) -> list[Any]:
    status = cast("Object", thing.get("status") or EMPTY)
    ready, wanted = status.get("readyReplicas", 0), thing["spec"].get("replicas", 0)
    numbers = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [name_of(thing), f"{ready}/{wanted}", *numbers, *_wide(thing, now)]


def _replica_set(thing: Object, now: float) -> list[Any]:
    status = cast("Object", thing.get("status") or EMPTY)
    numbers = [thing["spec"].get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name_of(thing), *numbers, *_wide(thing, now)]


def _job(thing: Object, now: float) -> list[Any]:
    spec, status = thing["spec"], cast("Object", thing.get("status") or EMPTY)
    completions = spec.get("completions")
    done = status.get("succeeded", 0)
    shown = f"{done}/{completions}" if completions is not None else f"{done}/1 of {spec.get('parallelism', 1)}"
    word = next((w for k, w in (("Complete", "Complete"), ("Failed", "Failed")) if _is_true(status, k)), "")
    word = word or (
        "Suspended" if _is_true(status, "Suspended") else "Terminating" if is_deleting(thing) else "Running"
    )
    start, end = parse_instant(status.get("startTime")), parse_instant(status.get("completionTime"))
    duration = "" if start is None else human_duration((end or now) - start)
    return [name_of(thing), word, shown, duration, *_wide(thing, now)]


def _autoscaler(thing: Object, now: float) -> list[Any]:
    spec, status = thing["spec"], cast("Object", thing.get("status") or EMPTY)
    target = spec["scaleTargetRef"]
    current = cast("list[Object]", status.get("currentMetrics") or [])
    metrics = cast("list[Object]", spec.get("metrics") or [])
    shown = [_metric(each, current[at] if at < len(current) else {}) for at, each in enumerate(metrics)]
    if len(shown) > 2:
        shown = [*shown[:2], f"{len(shown) - 2} more..."]
        shown = [f"{shown[0]}, {shown[1]} + {shown[2]}"]
    reference = f"{target['kind']}/{target['name']}"
    numbers = [spec.get("minReplicas", 1), spec["maxReplicas"], status.get("currentReplicas", 0)]
    return [name_of(thing), reference, ", ".join(shown) or _NONE, *numbers, _age(thing, now)]


def _metric(wanted: Object, current: Object) -> str:
    kind = wanted["type"]
    name = kind[0].lower() + kind[1:]
    target = cast("Object", (wanted.get(name) or EMPTY).get("target") or EMPTY)
    have = cast("Object", (current.get(name) or EMPTY).get("current") or EMPTY)
    prefix = f"{wanted[name]['name']}: " if kind in {"Resource", "ContainerResource"} else ""
    if target.get("averageUtilization") is not None:
        value = have.get("averageUtilization")
        return f"{prefix}{_UNKNOWN if value is None else f'{value}%'}/{target['averageUtilization']}%"
    if target.get("averageValue") is not None:
        suffix = " (avg)" if kind in {"External", "Object"} else ""
        return f"{prefix}{have.get('averageValue', _UNKNOWN)}/{target['averageValue']}{suffix}"
    return f"{prefix}{have.get('value', _UNKNOWN)}/{target.get('value')}"


def _budget(thing: Object, now: float) -> list[Any]:
    spec, status = thing["spec"], cast("Object", thing.get("status") or EMPTY)
    bounds = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    return [name_of(thing), *bounds, status.get("disruptionsAllowed", 0), _age(thing, now)]


def _node(thing: Object, now: float) -> list[Any]:
    status = cast("Object", thing.get("status") or EMPTY)
    words = ["Ready" if _is_true(status, "Ready") else "NotReady"]
    if thing["spec"].get("unschedulable"):
        words.append("SchedulingDisabled")
    labels = cast("Mapping[str, str]", thing["metadata"].get("labels") or EMPTY)
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(name.removeprefix(prefix) for name in labels if name.startswith(prefix)))
    info = cast("Object", status.get("nodeInfo") or EMPTY)
    address = next((each["address"] for each in status.get("addresses") or () if each["type"] == "InternalIP"), _NONE)
    wide = [
        address,
        _NONE,
        info.get("osImage", ""),
        info.get("kernelVersion", ""),
        info.get("containerRuntimeVersion", ""),
    ]
    return [name_of(thing), ",".join(words), roles or _NONE, _age(thing, now), info.get("kubeletVersion", ""), *wide]


def _event(thing: Object, now: float) -> list[Any]:
    about = cast("Object", thing.get("involvedObject") or thing.get("regarding") or EMPTY)
    series = cast("Object", thing.get("series") or EMPTY)
    first = thing.get("firstTimestamp") or thing.get("deprecatedFirstTimestamp") or thing.get("eventTime")
    last = thing.get("lastTimestamp") or thing.get("deprecatedLastTimestamp") or series.get("lastObservedTime") or first
    source = cast("Object", thing.get("source") or thing.get("deprecatedSource") or EMPTY)
    component = source.get("component") or thing.get("reportingComponent") or thing.get("reportingController") or ""
    target = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    count = thing.get("count") or thing.get("deprecatedCount") or series.get("count") or 1
    message = str(thing.get("message") or thing.get("note") or "").strip()
    start = [
        age(last, now),
        thing.get("type", ""),
        thing.get("reason", ""),
        target,
        about.get("fieldPath", ""),
        component,
    ]
    return [*start, message, age(first, now), count, name_of(thing)]


def _plain(*columns: tuple[str, str]) -> tuple[list[Column], Cells]:
    """Return a printer of columns that lead to their values."""
    listed = [Column(name, path) for name, path in columns]

    def cells(thing: Object, now: float) -> list[Any]:
        return [name_of(thing), *(find_path(thing, column.path) for column in listed), _age(thing, now)]

    return [_NAME, *listed, _AGE], cells


def _count(thing: Object, *members: str) -> int:
    return sum(len(thing.get(member) or EMPTY) for member in members)


def _named(names: str, cells: Cells, *, wide: str = "") -> tuple[list[Column], Cells]:
    columns = [Column(name, "") for name in names.split("|")]
    columns = [_NAME if column.name == "Name" else column for column in columns]
    return [*columns, *(Column(name, "", priority=1) for name in filter(None, wide.split("|")))], cells


_WORKLOAD = "Containers|Images|Selector"
_EVENT_COLUMNS = (
    ("Last Seen", 0), ("Type", 0), ("Reason", 0), ("Object", 0), ("Subobject", 1), ("Source", 1), ("Message", 0),
    ("First Seen", 1), ("Count", 1), ("Name", 1),
)  # fmt: skip

_PRINTERS: Mapping[str, tuple[list[Column], Cells]] = {
    kinds.PODS.id: _named("Name|Ready|Status|Restarts|Age", _pod, wide="IP|Node|Nominated Node|Readiness Gates"),
    kinds.DEPLOYMENTS.id: _named("Name|Ready|Up-to-date|Available|Age", _deployment, wide=_WORKLOAD),
    kinds.REPLICA_SETS.id: _named("Name|Desired|Current|Ready|Age", _replica_set, wide=_WORKLOAD),
    kinds.JOBS.id: _named("Name|Status|Completions|Duration|Age", _job, wide=_WORKLOAD),
    kinds.AUTOSCALERS.id: _named("Name|Reference|Targets|MinPods|MaxPods|Replicas|Age", _autoscaler),
    kinds.DISRUPTION_BUDGETS.id: _named("Name|Min Available|Max Unavailable|Allowed Disruptions|Age", _budget),
    kinds.NODES.id: _named(
        "Name|Status|Roles|Age|Version",
        _node,
        wide="Internal-IP|External-IP|OS-Image|Kernel-Version|Container-Runtime",
    ),
    kinds.EVENTS.id: ([Column(name, "", priority=priority) for name, priority in _EVENT_COLUMNS], _event),
    kinds.NEW_EVENTS.id: ([Column(name, "", priority=priority) for name, priority in _EVENT_COLUMNS], _event),
    kinds.NAMESPACES.id: _plain(("Status", "status.phase")),
    kinds.SECRETS.id: _named(
        "Name|Type|Data|Age",
        lambda thing, now: [name_of(thing), thing.get("type"), _count(thing, "data"), _age(thing, now)],
    ),
    kinds.CONFIG_MAPS.id: _named(
        "Name|Data|Age", lambda thing, now: [name_of(thing), _count(thing, "data", "binaryData"), _age(thing, now)]
    ),
    kinds.SERVICE_ACCOUNTS.id: _named(
        "Name|Secrets|Age", lambda thing, now: [name_of(thing), _count(thing, "secrets"), _age(thing, now)]
    ),
    kinds.PRIORITY_CLASSES.id: _named(
        "Name|Value|Global-Default|Age|PreemptionPolicy",
        lambda thing, now: [
            *(name_of(thing), thing.get("value"), str(bool(thing.get("globalDefault"))).lower(), _age(thing, now)),
            thing.get("preemptionPolicy"),
        ],
    ),
    kinds.LEASES.id: _plain(("Holder", "spec.holderIdentity")),
}
