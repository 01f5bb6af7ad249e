"""Projections: which parts of an item are given back."""

from dataclasses import dataclass
from typing import Any

from forebay.languages.dynamodb.caching import keep_short
from forebay.languages.dynamodb.parser import parse_projection
from forebay.languages.dynamodb.scope import Names, Path, Scope, check_distinct
from forebay.languages.dynamodb.syntax import PathPart
from forebay.languages.dynamodb.value import Item, Value

Tree = dict[PathPart, Any]
"""Parts of paths; what is under a part is a further tree, or None where everything is wanted."""


@dataclass(frozen=True)
class Projection:
    """Paths ready for use. `names` are the top-level attributes, `tree` is None where there are only such."""

    names: tuple[str, ...]
    tree: Tree | None
    used_names: tuple[str, ...] = ()
    used_values: tuple[str, ...] = ()

    def apply(self, item: Item) -> Item:
        """Return the parts of an item that are wanted and there."""
        if self.tree is None:
            return {name: item[name] for name in self.names if name in item}
        found = {str(name): _part(item[str(name)], tree) for name, tree in self.tree.items() if name in item}
        return {name: value for name, value in found.items() if value is not None}


@keep_short
def compile_projection(text: str, names: Names, what: str = "ProjectionExpression") -> Projection:
    """Compile a projection's text with the request's names."""
    scope = Scope(what, dict(names))
    paths = [scope.path(raw) for raw in parse_projection(what, text)]
    check_distinct(scope, paths)
    return project_paths(paths, tuple(scope.used_names))


def project_names(names: tuple[str, ...]) -> Projection:
    """Return the projection to whole attributes."""
    return Projection(tuple(dict.fromkeys(names)), None)


def project_paths(paths: list[Path], used_names: tuple[str, ...] = ()) -> Projection:
    """Return the projection to paths that do not overlap."""
    names = tuple(dict.fromkeys(str(path[0]) for path in paths))
    if all(len(path) == 1 for path in paths):
        return Projection(names, None, used_names)
    tree: Tree = {}
    for path in paths:
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
        branch[path[-1]] = None
    return Projection(names, tree, used_names)


def _part(value: Value, tree: Tree | None) -> Value | None:
    if tree is None:
        return value
    if "M" in value:
        held = value["M"]
        found = {name: _part(held[name], inner) for name, inner in tree.items() if name in held}
        inside = {name: part for name, part in found.items() if part is not None}
        return {"M": inside} if inside else None
    if "L" in value:
        held = value["L"]
        places = sorted(place for place in tree if isinstance(place, int) and place < len(held))
        parts = [part for place in places if (part := _part(held[place], tree[place])) is not None]
        return {"L": parts} if parts else None
    return None
