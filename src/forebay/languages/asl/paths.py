"""JSONPath as Step Functions reads it: paths over a document, the context object and variables, and reference paths.

Step Functions evaluates paths with Jayway's JsonPath (developer guide, "Paths"): names with dots or in brackets,
indices from either end, slices, unions, wildcards, recursive descent and filters. `$$` starts at the context object,
`$name` at a variable. A path that can lead to several values always gives an array. Reference paths name one place and
may use names and indices only.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from forebay.languages.asl.scope import ABSENT, Scope
from forebay.languages.json_kinds import is_array, is_object

_ROOT = re.compile(r"\$\$|\$(?P<variable>[^\W\d][\w]*)?")
_NAME = re.compile(r"[^.\[\]()*\s'\"]+")
# In a filter an operator may follow a name without a space.
_NAME_IN_FILTER = re.compile(r"[^.\[\]()*\s'\"?@:,!=<>&|]+")
_INTEGER = re.compile(r"-?[0-9]+")


class InvalidPath(ValueError):
    """A text is not a path."""


class Step(Protocol):
    """One step of a path."""

    def walk(self, node: object, scope: Scope) -> Iterable[object]:
        """Yield what the step leads to from a node."""
        ...


@dataclass(frozen=True, slots=True)
class Members:
    """The members of these names, or the elements of these indices."""

    keys: tuple[str | int, ...]

    def walk(self, node: object, scope: Scope) -> Iterator[object]:
        """Yield the members and elements that are there."""
        del scope
        for key in self.keys:
            value = member(node, key)
            if value is not ABSENT:
                yield value


@dataclass(frozen=True, slots=True)
class Slice:
    """Elements from `start` up to `stop`; either may count from the end."""

    start: int | None
    stop: int | None
    stride: int | None = None

    def walk(self, node: object, scope: Scope) -> Iterable[object]:
        """Return the elements."""
        del scope
        return node[self.start : self.stop : self.stride] if is_array(node) else ()


@dataclass(frozen=True, slots=True)
class Every:
    """All members or elements."""

    def walk(self, node: object, scope: Scope) -> Iterable[object]:
        """Return the children."""
        del scope
        return children(node)


@dataclass(frozen=True, slots=True)
class Descend:
    """The node itself and everything below it, parents first."""

    def walk(self, node: object, scope: Scope) -> Iterator[object]:
        """Yield the containers that the next step may start from."""
        pending = [node]
        while pending:
            at = pending.pop()
            if is_object(at) or is_array(at):
                yield at
                pending.extend(reversed([*children(at)]))
        del scope


@dataclass(frozen=True, slots=True)
class Nowhere:
    """A step that leads to nothing."""

    def walk(self, node: object, scope: Scope) -> Iterable[object]:
        """Return nothing."""
        del node, scope
        return ()


class Predicate(Protocol):
    """A filter's test (path_filters.py)."""

    def accepts(self, node: object, scope: Scope) -> bool:
        """Return whether the filter keeps a node."""
        ...


@dataclass(frozen=True, slots=True)
class Filter:
    """The elements or members that pass a test."""

    predicate: Predicate

    def walk(self, node: object, scope: Scope) -> Iterator[object]:
        """Yield what passes; of an object that is no array, the object itself, as Jayway does."""
        candidates = node if is_array(node) else [node]
        for candidate in candidates:
            if self.predicate.accepts(candidate, scope):
                yield candidate


def member(node: object, key: str | int) -> object:
    """Return a member or element, or ABSENT."""
    if isinstance(key, str):
        return node.get(key, ABSENT) if is_object(node) else ABSENT
    if is_array(node) and -len(node) <= key < len(node):
        return node[key]
    return ABSENT


def children(node: object) -> Iterable[object]:
    """Return the members' values or the elements of a container, and nothing of anything else."""
    if is_object(node):
        return node.values()
    return node if is_array(node) else ()


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path. `root` is "$", "$$" or a variable's name."""

    text: str
    root: str
    steps: tuple[Step, ...]
    # The keys, where the path is definite.
    keys: tuple[str | int, ...] | None

    @property
    def is_whole_document(self) -> bool:
        """Whether this is `$`."""
        return self.root == "$" and not self.steps

    def find(self, scope: Scope) -> object:
        """Return what the path leads to, or ABSENT; an array, maybe empty, where it can lead to several values."""
        node = self.start(scope)
        if self.keys is not None:
            for key in self.keys:
                node = member(node, key)
            return node
        if node is ABSENT or any(isinstance(step, Nowhere) for step in self.steps):
            return ABSENT
        return walk(node, self.steps, scope)

    def start(self, scope: Scope) -> object:
        """Return what the path's steps start from, or ABSENT where it is a variable that does not exist."""
        if self.root == "$":
            return scope.document
        if self.root == "$$":
            return scope.context
        return scope.variables.get(self.root, ABSENT)


def walk(node: object, steps: tuple[Step, ...], scope: Scope) -> list[object]:
    """Return everything that steps lead to from a node."""
    reached = [node]
    for step in steps:
        reached = [value for at in reached for value in step.walk(at, scope)]
    return reached


def parse_path(text: str) -> Path:
    """Compile a path.

    Raises:
        InvalidPath: it is none.
    """
    from forebay.languages.asl.path_filters import PathReader  # noqa: PLC0415  # filters hold paths, paths hold filters

    return PathReader(text).whole()


def definite_keys(steps: Iterable[Step]) -> tuple[str | int, ...] | None:
    """Return the keys of steps that lead to one place, or None."""
    keys: list[str | int] = []
    for step in steps:
        if not isinstance(step, Members) or len(step.keys) != 1:
            return None
        keys.append(step.keys[0])
    return tuple(keys)


def root_of(text: str) -> tuple[str, int]:
    """Return a path's root and where its steps begin.

    Raises:
        InvalidPath: it does not start with `$`.
    """
    match = _ROOT.match(text)
    if match is None:
        raise InvalidPath(f"Path must start with '$': {text}")
    return match["variable"] or match[0], match.end()


def name_at(text: str, at: int, *, is_in_filter: bool = False) -> tuple[str, int]:
    """Return the name that stands at an offset, and where it ends.

    Raises:
        InvalidPath: there is none.
    """
    match = (_NAME_IN_FILTER if is_in_filter else _NAME).match(text, at)
    if match is None:
        raise InvalidPath(f"Expected a name at position {at}: {text}")
    return match[0], match.end()


def integer_at(text: str, at: int) -> tuple[int | None, int]:
    """Return the integer that stands at an offset, if one does, and where it ends."""
    match = _INTEGER.match(text, at)
    return (None, at) if match is None else (int(match[0]), match.end())


def place(document: object, keys: tuple[str | int, ...], result: object) -> object:
    """Return a copy of a document with a result at a place; objects on the way are made where they are missing.

    Raises:
        LookupError: something else than an object is in the way, or an index is beyond its array.
    """
    if not keys:
        return result
    key, rest = keys[0], keys[1:]
    if isinstance(key, int):
        if not is_array(document) or not 0 <= key < len(document):
            raise LookupError(key)
        copy: list[object] = list(document)
        copy[key] = place(copy[key], rest, result)
        return copy
    if document is not None and not is_object(document):
        raise LookupError(key)
    members: dict[str, object] = dict(document or {})
    members[key] = place(members.get(key), rest, result)
    return members
