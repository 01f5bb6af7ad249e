"""From policies' HPA to the object that is stored."""

from typing import Any, cast

import msgspec

from forebay.scaling.cluster.defaults import fill_behavior
from forebay.scaling.cluster.kinds import Object
from forebay.scaling.manifests.hpa import HorizontalPodAutoscaler
from forebay.scaling.manifests.quantity import format_milli, parse_milli


def hpa_object(hpa: HorizontalPodAutoscaler) -> Object:
    """Return an HPA as an object, with quantities in their canonical form."""
    thing = cast("Object", _pruned(msgspec.to_builtins(hpa)))
    for metric in thing["spec"].get("metrics") or ():
        for part in ("external", "resource"):
            target = metric.get(part, {}).get("target", {})
            for name in ("value", "averageValue"):
                if name in target:
                    target[name] = format_milli(parse_milli(target[name]))
    if thing["spec"].get("behavior"):
        fill_behavior(thing["spec"]["behavior"])
    return thing


def _pruned(value: Any) -> Any:
    """Return a value without members that say nothing."""
    if isinstance(value, dict):
        members = {name: _pruned(inner) for name, inner in cast("Object", value).items()}
        return {name: inner for name, inner in members.items() if inner is not None and inner not in ("", [], {})}
    if isinstance(value, list | tuple):
        return [_pruned(item) for item in cast("list[Any]", value)]
    return value
