"""Who set which field: `managedFields`, and server-side apply, which changes only what its manager says and owned.

A set of fields is kept as paths. A part of a path is `f:name`, `k:{"key":"value"}` for the entry of a list that has
keys, or `v:value` for the entry of a set, as in `fieldsV1`. (Kubernetes documentation, "Server-Side Apply".)
"""

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from forebay.scaling.cluster.kinds import EMPTY, Object, Resource
from forebay.scaling.cluster.schemas import Schema, is_atomic, is_set, item_of, list_keys, member_of, schema_of
from forebay.scaling.cluster.status import StatusError

Path = tuple[str, ...]

_SYSTEM = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"),
                *("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"),
            )
        ),
    }
)


@dataclass(frozen=True)
class Manager:
    """Who writes: the name that the client gives, what it does, and through which subresource."""

    name: str
    operation: str
    subresource: str = ""
    at: str = ""


def field_paths(resource: Resource, thing: Object) -> set[Path]:
    """Return the paths of all fields that an object sets."""
    found: set[Path] = set()
    _collect(schema_of(resource), thing, (), found)
    return {path for path in found if path[:1] not in _SYSTEM and path[:2] not in _SYSTEM and path}


def _collect(schema: Schema, value: object, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and value and not is_atomic(schema):
        for name, member in cast("Object", value).items():
            _collect(member_of(schema, name) or EMPTY, member, (*path, f"f:{name}"), found)
    elif isinstance(value, list) and (list_keys(schema) or is_set(schema)):
        for item in cast("list[Any]", value):
            below = (*path, _entry(schema, item))
            found.add(below)
            if list_keys(schema):
                _collect(item_of(schema), item, below, found)
    else:
        found.add(path)


def _entry(schema: Schema, item: Any) -> str:
    keys = list_keys(schema)
    if not keys:
        return "v:" + json.dumps(item, separators=(",", ":"))
    # A key that the client leaves out has its default (a port's protocol).
    values = {key: item.get(key, _key_default(schema, key)) for key in keys}
    return "k:" + json.dumps({key: values[key] for key in sorted(values)}, separators=(",", ":"))


def _key_default(schema: Schema, key: str) -> object:
    return (member_of(item_of(schema), key) or EMPTY).get("default")


def _find(schema: Schema, value: Any, path: Path) -> Any:
    """Return what stands at a path, or the marker of absence."""
    for part in path:
        if part.startswith("f:"):
            name = part[2:]
            if not isinstance(value, dict) or name not in value:
                return _ABSENT
            value, schema = cast("Object", value)[name], member_of(schema, name) or EMPTY
        else:
            items = cast("list[Any]", value) if isinstance(value, list) else []
            matching = [item for item in items if _entry(schema, item) == part]
            if not matching:
                return _ABSENT
            value, schema = matching[0], item_of(schema)
    return value


_ABSENT = object()


def as_fields(paths: Iterable[Path]) -> Object:
    """Return paths in the form of `fieldsV1`."""
    root: Object = {}
    for path in sorted(paths):
        node = root
        for part in path:
            node = node.setdefault(part, {})
        if not path[-1].startswith("f:"):
            node.setdefault(".", {})
    return root


def parse_fields(fields: Object, path: Path = ()) -> set[Path]:
    """Return the paths of a `fieldsV1`."""
    if not fields:
        return {path} if path else set()
    found: set[Path] = set()
    for part, below in fields.items():
        found |= {path} if part == "." else parse_fields(below, (*path, part))
    return found


def record(resource: Resource, before: Object | None, after: Object, manager: Manager) -> None:
    """Note in `after` that the manager set what differs from `before`; whoever owned that loses it."""
    entries = _entries(after)
    schema = schema_of(resource)
    new = field_paths(resource, after)
    old = field_paths(resource, before) if before is not None else set[Path]()
    changed = {path for path in new if path not in old or _find(schema, after, path) != _find(schema, before, path)}
    removed = old - new
    if manager.subresource != "status":
        changed = {path for path in changed if path[0] != "f:status"}
    if not changed and not removed:
        return
    kept: list[Object] = []
    mine: set[Path] = set()
    for entry in entries:
        paths = parse_fields(entry.get("fieldsV1") or EMPTY) - removed
        if _is_of(entry, manager):
            mine = paths
        elif rest := paths - changed:
            kept.append(entry if rest == parse_fields(entry["fieldsV1"]) else {**entry, "fieldsV1": as_fields(rest)})
    if mine | changed:
        kept.append(_new_entry(resource, manager, mine | changed))
    after["metadata"]["managedFields"] = kept


def apply(resource: Resource, live: Object | None, applied: Object, manager: Manager, *, force: bool) -> Object:
    """Return the live object with an applied configuration merged in.

    Fields that the manager applied before and no longer names go, unless somebody else owns them too.

    Raises:
        StatusError: others own fields that would change, and `force` is not set.
    """
    schema = schema_of(resource)
    new = field_paths(resource, applied)
    if live is None:
        made = copy.deepcopy(applied)
        made["metadata"]["managedFields"] = [_new_entry(resource, manager, new)]
        return made
    entries = _entries(live)
    others = [(entry, parse_fields(entry.get("fieldsV1") or EMPTY)) for entry in entries if not _is_of(entry, manager)]
    changing = {path for path in new if _differs(schema, applied, live, path)}
    conflicts = [(entry, sorted(paths & changing)) for entry, paths in others if paths & changing]
    if conflicts and not force:
        raise _conflict(conflicts)
    merged = _merge(schema, live, applied)
    mine = next(
        (parse_fields(entry.get("fieldsV1") or EMPTY) for entry in entries if _is_of(entry, manager)), set[Path]()
    )
    owned_elsewhere = set[Path]().union(*(paths for _, paths in others))
    for path in sorted(mine - new - owned_elsewhere, key=len, reverse=True):
        if not any(other[: len(path)] == path for other in new | owned_elsewhere):
            merged = _without(schema, merged, path)
    kept = [
        entry if not paths & changing else {**entry, "fieldsV1": as_fields(paths - changing)}
        for entry, paths in others
        if paths - changing
    ]
    merged["metadata"] = {**merged["metadata"], "managedFields": [*kept, _new_entry(resource, manager, new)]}
    return merged


def _differs(schema: Schema, applied: Object, live: Object, path: Path) -> bool:
    theirs = _find(schema, live, path)
    if theirs is _ABSENT:
        return False
    # An entry that both have is the same entry; its members are compared by themselves.
    return path[-1].startswith("f:") and _find(schema, applied, path) != theirs


def _merge(schema: Schema, live: Any, applied: Any) -> Any:
    if isinstance(live, dict) and isinstance(applied, dict) and not is_atomic(schema):
        merged = dict(cast("Object", live))
        for name, member in cast("Object", applied).items():
            below = member_of(schema, name) or EMPTY
            merged[name] = _merge(below, merged[name], member) if name in merged else copy.deepcopy(member)
        return merged
    if isinstance(live, list) and isinstance(applied, list) and (list_keys(schema) or is_set(schema)):
        return _merge_list(schema, cast("list[Any]", live), cast("list[Any]", applied))
    return copy.deepcopy(cast("Any", applied))


def _merge_list(schema: Schema, live: list[Any], applied: list[Any]) -> list[Any]:
    names = {_entry(schema, item): index for index, item in enumerate(live)}
    merged = list(live)
    for item in applied:
        at = names.get(_entry(schema, item))
        if at is None:
            merged.append(copy.deepcopy(item))
        else:
            merged[at] = _merge(item_of(schema), merged[at], item)
    return merged


def _without(schema: Schema, value: Any, path: Path) -> Any:
    part, rest = path[0], path[1:]
    if part.startswith("f:"):
        name = part[2:]
        if not isinstance(value, dict) or name not in value:
            return cast("Any", value)
        members = dict(cast("Object", value))
        if rest:
            members[name] = _without(member_of(schema, name) or EMPTY, members[name], rest)
        else:
            del members[name]
        return members
    items = cast("list[Any]", value) if isinstance(value, list) else []
    if not rest:
        return [item for item in items if _entry(schema, item) != part]
    return [_without(item_of(schema), item, rest) if _entry(schema, item) == part else item for item in items]


def _entries(thing: Object) -> Sequence[Object]:
    return cast("list[Object]", thing["metadata"].get("managedFields") or [])


def _is_of(entry: Object, manager: Manager) -> bool:
    given = entry.get("manager"), entry.get("operation"), entry.get("subresource", "")
    return given == (manager.name, manager.operation, manager.subresource)


def _new_entry(resource: Resource, manager: Manager, paths: set[Path]) -> Object:
    entry: Object = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": resource.api_version,
        "time": manager.at,
        "fieldsType": "FieldsV1",
        "fieldsV1": as_fields(paths),
    }
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})


def _conflict(conflicts: Sequence[tuple[Object, Sequence[Path]]]) -> StatusError:
    causes: list[Object] = []
    lines: list[str] = []
    count = 0
    for entry, paths in conflicts:
        using = f'"{entry["manager"]}" using {entry["apiVersion"]}'
        if entry.get("subresource"):
            using = f'"{entry["manager"]}" with subresource "{entry["subresource"]}" using {entry["apiVersion"]}'
        names = [_dotted(path) for path in paths]
        count += len(names)
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {using}", "field": name} for name in names
        ]
        if len(names) == 1:
            lines.append(f"conflict with {using}: {names[0]}")
        else:
            lines.append(f"conflicts with {using}:\n" + "\n".join(f"- {name}" for name in names))
    plural = "conflict" if count == 1 else "conflicts"
    return StatusError(409, "Conflict", f"Apply failed with {count} {plural}: " + "\n".join(lines), {"causes": causes})


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if part.startswith("f:"):
            text += f".{part[2:]}"
        elif part.startswith("k:"):
            keys: Object = json.loads(part[2:])
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]"
        else:
            text += f"[={part[2:]}]"
    return text
