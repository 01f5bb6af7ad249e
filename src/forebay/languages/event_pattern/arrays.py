"""Events as flat fields, and Ruler's array consistency.

An event's leaf is known by its dotted path. Arrays leave no mark in the path; instead each leaf remembers its place:
which element it stands in, of each array above it. Leaves of one pattern must agree on the element of every array they
share, so that {"items": {"sku": ["a"], "size": ["L"]}} wants one item that is both.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import cast

import msgspec

from forebay.languages.event_pattern.scalar import Scalar

# An array is known by its path and by the number of arrays above it; a place names an element of each, outermost first.
ArrayId = tuple[str, int]
Place = tuple[tuple[ArrayId, int], ...]
Fields = dict[str, list[tuple[Scalar, Place]]]

_Shape = tuple[ArrayId, ...]

# What JSON decoders make of values that hold no others: asking for the exact type is quicker than isinstance().
_PLAIN = frozenset((str, int, float, bool, type(None)))


class Choice(msgspec.Struct, frozen=True):
    """Where one leaf of a pattern can be satisfied.

    `chosen` are places of values that it accepts. `occupied` is set for a leaf that also accepts absence, and holds
    the places of all values at its path: it is satisfied by absence where none of them is within reach.
    """

    chosen: Sequence[Place]
    occupied: Sequence[Place] | None


def flatten(event: Mapping[str, object], names: Container[str] | None = None) -> Fields:  # noqa: C901 - the hot path calls nothing that it need not
    """Return an event's leaves by path; with `names`, only those whose every step is one of them.

    Works without recursion: events may be nested more deeply than Python's stack.
    """
    fields: Fields = {}
    todo: list[tuple[str, object, Place]] = [("", event, ())]
    # Grows while it is walked.
    for path, node, place in todo:
        # Asking for the exact type first spares the slow question that an abstract class is.
        if type(node) is dict or isinstance(node, Mapping):
            members = cast("Mapping[str, object]", node)
            prefix = f"{path}." if path else ""
            for name, value in members.items():
                if names is not None and name not in names:
                    continue
                at = prefix + name
                if type(value) not in _PLAIN:
                    todo.append((at, value, place))
                elif at in fields:
                    fields[at].append((cast("Scalar", value), place))
                else:
                    fields[at] = [(cast("Scalar", value), place)]
        else:
            for value, deeper in _elements(path, node, place):
                if type(value) not in _PLAIN:
                    todo.append((path, value, deeper))
                else:
                    fields.setdefault(path, []).append((cast("Scalar", value), deeper))
    return fields


def _elements(path: str, node: object, place: Place) -> Iterable[tuple[object, Place]]:
    if not isinstance(node, list | tuple):
        raise TypeError(f"not a JSON value: {type(node).__name__}")
    array = (path, len(place))
    for index, value in enumerate(cast("Sequence[object]", node)):
        # Plain values stand in no element of their array (Ruler's Event): all of them are within reach.
        deeper = isinstance(value, dict | list | tuple | Mapping)
        yield value, (*place, (array, index)) if deeper else place


def are_consistent(choices: Sequence[Choice]) -> bool:
    """Tell whether one value for each choice can be found such that they agree on every array they share.

    Keeps the set of places reached so far, cut down to the arrays that later choices still mention: as leaves are
    sorted by path these are the arrays of one chain, so the set is never larger than the event.
    """
    needed: list[set[ArrayId]] = [set()]
    for choice in reversed(choices):
        mentioned = (*choice.chosen, *(choice.occupied or ()))
        needed.append(needed[-1] | {array for place in mentioned for array, _ in place})
    needed.reverse()
    reached: set[Place] = {()}
    for choice, later in zip(choices, needed[1:], strict=True):
        following = _join(reached, choice.chosen, later)
        if choice.occupied is not None:
            free = _without(reached, choice.occupied)
            following.update(_cut(place, later) for place in free)
        if not following:
            return False
        reached = following
    return True


def _cut(place: Place, arrays: Container[ArrayId]) -> Place:
    return tuple(step for step in place if step[0] in arrays)


def _shapes(places: Iterable[Place]) -> dict[_Shape, list[Place]]:
    grouped: dict[_Shape, list[Place]] = {}
    for place in places:
        grouped.setdefault(tuple(array for array, _ in place), []).append(place)
    return grouped


def _join(reached: Iterable[Place], options: Iterable[Place], later: Container[ArrayId]) -> set[Place]:
    """Return the unions of places that agree, cut down to the arrays needed later."""
    joined: set[Place] = set()
    option_shapes = _shapes(set(options))
    for shape, places in _shapes(reached).items():
        for option_shape, option_places in option_shapes.items():
            shared = frozenset(shape) & frozenset(option_shape)
            kept: dict[Place, set[Place]] = {}
            for place in places:
                rest = _cut(place, later) if later else ()
                kept.setdefault(_cut(place, shared), set()).add(rest)
            for option in option_places:
                added = tuple(step for step in option if step[0] in later and step[0] not in shared)
                for rest in kept.get(_cut(option, shared), ()):
                    # Sorted, an outer array comes before an inner one, as in every place.
                    joined.add(tuple(sorted((*rest, *added))))
    return joined


def _without(reached: Iterable[Place], occupied: Iterable[Place]) -> list[Place]:
    """Return the places that agree with none of the occupied ones."""
    taken_shapes = _shapes(set(occupied))
    free: list[Place] = []
    for shape, places in _shapes(reached).items():
        remaining = places
        for taken_shape, taken_places in taken_shapes.items():
            shared = frozenset(shape) & frozenset(taken_shape)
            taken = {_cut(place, shared) for place in taken_places}
            remaining = [place for place in remaining if _cut(place, shared) not in taken]
        free.extend(remaining)
    return free
