"""Patches: JSON patch (RFC 6902), merge patch (RFC 7386) and Kubernetes' strategic merge patch. Pure."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

from forebay.scaling.cluster.kinds import EMPTY, Object
from forebay.scaling.cluster.schemas import Schema, item_of, member_of
from forebay.scaling.cluster.status import StatusError, bad_request

_ORDER, _REMOVED, _RETAINED, _DIRECTIVE = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys", "$patch"


def merge_patch(value: object, patch: object) -> object:
    """Return `value` with a merge patch applied."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(cast("Object", value)) if isinstance(value, dict) else {}
    for name, change in cast("Object", patch).items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), change)
    return merged


def json_patch(value: Object, operations: Sequence[Mapping[str, Any]]) -> Object:
    """Return `value` with the operations of a JSON patch applied.

    Raises:
        StatusError: an operation does not fit.
    """
    document: Any = copy.deepcopy(value)
    for operation in operations:
        document = _run_operation(document, operation)
    return document


def _run_operation(document: Any, operation: Mapping[str, Any]) -> Any:
    try:
        kind, path = operation["op"], _pointer(operation["path"])
        if kind == "test":
            if _at(document, path) != operation.get("value"):
                raise _unprocessable(f"testing path {operation['path']} failed")
            return document
        if kind in {"move", "copy"}:
            origin = _pointer(operation["from"])
            moved = copy.deepcopy(_at(document, origin))
            document = _edit(document, origin, "remove", None) if kind == "move" else document
            return _edit(document, path, "add", moved)
        if kind not in {"add", "remove", "replace"}:
            raise bad_request(f"unexpected kind: {kind}")
        return _edit(document, path, kind, copy.deepcopy(operation.get("value")))
    except (KeyError, IndexError, ValueError, TypeError):
        missing = f"the server rejected our request due to an error in our request: {dict(operation)}"
        raise _unprocessable(missing) from None


def _unprocessable(text: str) -> StatusError:
    return StatusError(422, "Invalid", text, {})


def _pointer(text: str) -> list[str]:
    if not text:
        return []
    if not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _at(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = cast("Any", document[int(part)] if isinstance(document, list) else document[part])
    return document


def _edit(document: Any, path: Sequence[str], kind: str, value: object) -> Any:
    if not path:
        return value
    parent, last = _at(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        _edit_list(cast("list[object]", parent), last, kind, value)
    elif kind == "remove":
        del parent[last]
    elif kind == "replace" and last not in parent:
        raise KeyError(last)
    else:
        parent[last] = value
    return document


def _edit_list(items: list[object], last: str, kind: str, value: object) -> None:
    at = len(items) if last == "-" else int(last)
    if at > len(items) or at < 0:
        raise IndexError(last)
    if kind == "add":
        items.insert(at, value)
    elif kind == "remove":
        del items[at]
    else:
        items[at] = value


def strategic_merge_patch(schema: Schema, value: Object, patch: Object) -> Object:
    """Return `value` with a strategic merge patch applied: lists merge by the key that their schema names."""
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {name: member for name, member in patch.items() if name != _DIRECTIVE}
    if directive == "delete":
        return {}
    merged = dict(value)
    for name, change in patch.items():
        if name.startswith("$"):
            continue
        member = member_of(schema, name) or EMPTY
        if change is None:
            merged.pop(name, None)
        elif isinstance(change, dict):
            old = merged.get(name)
            old = cast("Object", old) if isinstance(old, dict) else {}
            merged[name] = strategic_merge_patch(member, old, cast("Object", change))
        elif isinstance(change, list):
            order = patch.get(_ORDER + name)
            merged[name] = _merge_list(member, merged.get(name) or [], cast("list[Any]", change), order)
        else:
            merged[name] = change
    _follow_directives(schema, merged, patch)
    return merged


def _follow_directives(schema: Schema, merged: Object, patch: Object) -> None:
    for name, value in patch.items():
        if name.startswith(_REMOVED):
            field = name.removeprefix(_REMOVED)
            merged[field] = [item for item in cast("list[Any]", merged.get(field) or []) if item not in value]
        elif name.startswith(_ORDER) and name.removeprefix(_ORDER) not in patch:
            field = name.removeprefix(_ORDER)
            key = (member_of(schema, field) or EMPTY).get("x-kubernetes-patch-merge-key")
            if merged.get(field):
                merged[field] = _ordered(merged[field], value, key)
    retained = patch.get(_RETAINED)
    if retained is not None:
        for name in [name for name in merged if name not in retained]:
            del merged[name]


def _merge_list(schema: Schema, old: list[Any], change: list[Any], order: list[Any] | None) -> list[Any]:
    key = schema.get("x-kubernetes-patch-merge-key")
    if "merge" not in schema.get("x-kubernetes-patch-strategy", ""):
        return change
    if key is None:
        merged: list[Any] = [*old, *(item for item in change if item not in old)]
        return merged if order is None else _ordered(merged, order, None)
    if any(item.get(_DIRECTIVE) == "replace" for item in change):
        return [item for item in change if item.get(_DIRECTIVE) != "replace"]
    merged = list(old)
    for item in change:
        at = next((index for index, each in enumerate(merged) if each.get(key) == item.get(key)), None)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del merged[at]
        elif at is None:
            merged.append({name: value for name, value in item.items() if name != _DIRECTIVE})
        else:
            merged[at] = strategic_merge_patch(item_of(schema), merged[at], item)
    return merged if order is None else _ordered(merged, order, key)


def _ordered(items: list[Any], order: Sequence[Any], key: str | None) -> list[Any]:
    """Return items in the order that the client asks for; those that it does not know keep their place at the end."""
    wanted = [item if key is None else item.get(key) for item in order]
    known = {repr(each): index for index, each in enumerate(wanted)}
    return sorted(items, key=lambda item: known.get(repr(item if key is None else item.get(key)), len(known)))
