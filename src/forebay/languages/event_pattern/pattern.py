"""A compiled pattern: alternatives of leaves, and what it says about one event.

`$or` is multiplied out when a pattern is parsed, so a pattern is a list of branches, and a branch a list of leaves
that must all match. Leaves are sorted by path, segment by segment, so that the leaves below one array stand together.
"""

from collections.abc import Mapping

import msgspec

from forebay.languages.event_pattern import arrays
from forebay.languages.event_pattern.dialect import Dialect
from forebay.languages.event_pattern.matchers import Matcher
from forebay.languages.event_pattern.scalar import Key, Scalar, key_of


class Leaf(msgspec.Struct, frozen=True):
    """A path and the values it may have there.

    `absent` is `exists: false` among them; `source` the array as written in the pattern.
    """

    path: str
    keys: frozenset[Key]
    matchers: tuple[Matcher, ...]
    absent: bool
    source: str
    number_max: int

    def accepts(self, value: Scalar) -> bool:
        """Tell whether a value that stands at the path matches."""
        if self.keys and key_of(value, self.number_max) in self.keys:
            return True
        for matcher in self.matchers:  # noqa: SIM110 - a generator would take as long as most matchers
            if matcher.accepts(value):
                return True
        return False


Branch = tuple[Leaf, ...]


class Pattern(msgspec.Struct, frozen=True):
    """An event pattern, ready to match."""

    text: str
    dialect: Dialect
    branches: tuple[Branch, ...]


class Mismatch(msgspec.Struct, frozen=True):
    """A leaf that did not match: what was expected (as written in the pattern) and the values found there.

    `found` is empty where the event has no such field. `elsewhere` is true where the leaf could match, but not within
    the same array elements as the leaves before it.
    """

    path: str
    expected: str
    found: tuple[Scalar, ...]
    elsewhere: bool = False


def matches(pattern: Pattern, event: Mapping[str, object]) -> bool:
    """Tell whether a pattern matches an event, given as decoded JSON."""
    fields = arrays.flatten(event)
    return any(branch_matches(branch, fields, pattern.dialect) for branch in pattern.branches)


def branch_matches(branch: Branch, fields: arrays.Fields, dialect: Dialect) -> bool:  # noqa: C901 - the hot path calls nothing that it need not
    """Tell whether all leaves of a branch match, together, in a flattened event."""
    choices: list[arrays.Choice] = []
    nested = False
    for leaf in branch:
        found = fields.get(leaf.path)
        if found is None:
            if not leaf.absent:
                return False
            continue
        if len(found) == 1 and not found[0][1] and not leaf.absent:
            # One value that stands in no array agrees with all others.
            if not leaf.accepts(found[0][0]):
                return False
            continue
        chosen = [place for value, place in found if leaf.accepts(value)]
        if not chosen and not (leaf.absent and dialect.arrays_are_consistent):
            return False
        nested = nested or any(place for _, place in found)
        choices.append(arrays.Choice(chosen, [place for _, place in found] if leaf.absent else None))
    if not dialect.arrays_are_consistent:
        return True
    if not nested:
        return all(choice.chosen for choice in choices)
    return arrays.are_consistent(choices)


def explain(pattern: Pattern, event: Mapping[str, object]) -> list[Mismatch]:
    """Say why a pattern does not match an event: the leaves that failed, or nothing if it matches.

    Of several `$or` alternatives the one that came closest speaks.
    """
    return explain_fields(pattern, arrays.flatten(event))


def explain_fields(pattern: Pattern, fields: arrays.Fields) -> list[Mismatch]:
    """Explain as `explain` does, on an event that has been taken apart (`RuleSet.fields_of`)."""
    closest: list[Mismatch] | None = None
    for branch in pattern.branches:
        failures = _failures(branch, fields, pattern.dialect)
        if not failures:
            return []
        if closest is None or len(failures) < len(closest):
            closest = failures
    return closest or []


def _failures(branch: Branch, fields: arrays.Fields, dialect: Dialect) -> list[Mismatch]:
    failures = [leaf for leaf in branch if _fails_alone(leaf, fields, dialect)]
    if failures:
        return [_mismatch(leaf, fields) for leaf in failures]
    if branch_matches(branch, fields, dialect):
        return []
    count = next(n for n in range(1, len(branch) + 1) if not branch_matches(branch[:n], fields, dialect))
    return [_mismatch(branch[count - 1], fields, elsewhere=True)]


def _fails_alone(leaf: Leaf, fields: arrays.Fields, dialect: Dialect) -> bool:
    found = fields.get(leaf.path)
    if found is None:
        return not leaf.absent
    for value, _ in found:
        if leaf.accepts(value):
            return False
    if not leaf.absent:
        return True
    # Where a field stands in arrays, other leaves may lead to an element that lacks it.
    return not branch_matches((leaf,), fields, dialect) and not all(place for _, place in found)


def _mismatch(leaf: Leaf, fields: arrays.Fields, *, elsewhere: bool = False) -> Mismatch:
    found = tuple([value for value, _ in fields.get(leaf.path, ())])
    return Mismatch(leaf.path, leaf.source, found, elsewhere)
