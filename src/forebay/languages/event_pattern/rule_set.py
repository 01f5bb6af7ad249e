"""Many patterns, matched against one event at a cost that hardly depends on how many there are.

A tree of hash indexes. Each node asks about some paths; the values that the event has there lead to child nodes; each
entry (one branch of one rule's pattern) rests in the node that its own values lead to. An event visits only nodes that
agree with it, and every entry found there is verified with the plain matcher, so the index can only save work, never
change an answer. On adding, an entry follows the leaf whose bucket is emptiest, so a field that all rules share
("source") does not become everybody's bucket; a bucket that fills up sends later entries on to their next leaf.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from forebay.languages.event_pattern import arrays
from forebay.languages.event_pattern.dialect import EVENTBRIDGE, Dialect
from forebay.languages.event_pattern.matchers import (
    Address,
    EqualsIgnoreCase,
    Matcher,
    Prefix,
    Suffix,
    Wildcard,
)
from forebay.languages.event_pattern.pattern import Branch, Leaf, Pattern, branch_matches
from forebay.languages.event_pattern.scalar import Scalar, find_address, key_of

RuleId = TypeVar("RuleId", bound=Hashable)

# Entries that a node keeps before it sends further ones to its children.
BUCKET_ENTRIES_MAX = 8
# So few rules are tried one after another, which is quicker than to go through the tree.
SCANNED_RULES_MAX = 4
# A leaf with more values than this is indexed by presence: every value would cost a bucket.
INDEXED_VALUES_MAX = 64
# No prefix in a pattern is longer than a pattern of the dialect that takes the longest.
PATTERN_CHARACTERS_MAX = 262_144

# What leads from a node to a child: a kind of comparison and the text or key compared.
_Slot = tuple[str, Hashable]
_PRESENT: _Slot = ("present", None)


class _Entry(Generic[RuleId]):
    """One branch of one rule, and the nodes it rests in."""

    __slots__ = ("branch", "homes", "order", "rule_id")

    def __init__(self, rule_id: RuleId, order: int, branch: Branch) -> None:
        self.rule_id = rule_id
        self.order = order
        self.branch = branch
        self.homes: list[_Node[RuleId]] = []


class _Node(Generic[RuleId]):
    """Entries at rest, and the way on by path, kind of comparison and value. `size` counts all entries below."""

    __slots__ = ("children", "entries", "parent", "path", "size", "slot")

    def __init__(self, parent: "_Node[RuleId] | None", path: str, slot: _Slot) -> None:
        self.parent = parent
        self.path = path
        self.slot = slot
        self.size = 0
        self.entries: dict[int, _Entry[RuleId]] = {}
        self.children: dict[str, dict[str, dict[Hashable, _Node[RuleId]]]] = {}


class RuleSet(Generic[RuleId]):
    """Patterns of one dialect by rule id.

    Adding, removing and matching may alternate freely; not for several threads at once.
    """

    def __init__(self, dialect: Dialect = EVENTBRIDGE) -> None:
        self._dialect = dialect
        self._root: _Node[RuleId] = _Node(None, "", _PRESENT)
        self._rules: dict[RuleId, list[_Entry[RuleId]]] = {}
        self._steps: Counter[str] = Counter()
        self._order = 0

    def __len__(self) -> int:
        return len(self._rules)

    def __contains__(self, rule_id: RuleId) -> bool:
        return rule_id in self._rules

    def fields_of(self, event: Mapping[str, object]) -> arrays.Fields:
        """Return an event, given as decoded JSON, as far as the rules look at it."""
        return arrays.flatten(event, self._steps)

    def add(self, rule_id: RuleId, pattern: Pattern) -> None:
        """Add a rule, or replace the one with this id."""
        assert pattern.dialect == self._dialect, "a rule set holds patterns of one dialect"
        self.remove(rule_id)
        entries: list[_Entry[RuleId]] = []
        for branch in pattern.branches:
            self._order += 1
            entry = _Entry(rule_id, self._order, branch)
            entries.append(entry)
            self._steps.update(_steps(branch))
            _insert(self._root, entry, [leaf for leaf in branch if not leaf.absent], at_root=True)
        self._rules[rule_id] = entries

    def remove(self, rule_id: RuleId) -> None:
        """Remove a rule; one that is not there is no error."""
        for entry in self._rules.pop(rule_id, ()):
            for home in entry.homes:
                del home.entries[entry.order]
                _shrink(home)
            self._steps.subtract(_steps(entry.branch))
            for step in _steps(entry.branch):
                if not self._steps[step]:
                    del self._steps[step]

    def match(self, event: Mapping[str, object]) -> list[RuleId]:
        """Return the ids of the rules that match an event given as decoded JSON, in the order they were added."""
        return self.match_fields(self.fields_of(event))

    def match_fields(self, fields: arrays.Fields) -> list[RuleId]:
        """Return the ids of the rules that match an event given as `fields_of` returns it."""
        if len(self._rules) <= SCANNED_RULES_MAX:
            return [rule_id for rule_id, entries in self._rules.items() if self._matches(entries, fields)]
        matched: dict[RuleId, int] = {}
        tried: set[int] = set()
        todo = [self._root]
        while todo:
            node = todo.pop()
            for order, entry in node.entries.items():
                if entry.rule_id in matched or order in tried:
                    continue
                tried.add(order)
                if branch_matches(entry.branch, fields, self._dialect):
                    matched[entry.rule_id] = self._rules[entry.rule_id][0].order
            if node.children:
                todo.extend(_reached(node, fields, self._dialect.number_max))
        return sorted(matched, key=matched.__getitem__)

    def _matches(self, entries: Iterable[_Entry[RuleId]], fields: arrays.Fields) -> bool:
        for entry in entries:  # noqa: SIM110 - a generator would take as long as most branches
            if branch_matches(entry.branch, fields, self._dialect):
                return True
        return False


def _insert(node: _Node[RuleId], entry: _Entry[RuleId], leaves: list[Leaf], *, at_root: bool = False) -> None:
    """Let an entry rest at a node, or below it by its most telling leaf."""
    node.size += 1
    full = at_root or len(node.entries) >= BUCKET_ENTRIES_MAX
    if not leaves or not full:
        node.entries[entry.order] = entry
        entry.homes.append(node)
        return
    costs = [(_crowd(node, leaf.path, slots := _slots(leaf)), len(slots), leaf, slots) for leaf in leaves]
    _, _, chosen, slots = min(costs, key=lambda cost: cost[:2])
    rest = [leaf for leaf in leaves if leaf is not chosen]
    for slot in slots:
        kinds = node.children.setdefault(chosen.path, {}).setdefault(slot[0], {})
        child = kinds.get(slot[1])
        if child is None:
            child = kinds[slot[1]] = _Node(node, chosen.path, slot)
        _insert(child, entry, rest)


def _crowd(node: _Node[RuleId], path: str, slots: Iterable[_Slot]) -> int:
    """Return how many entries share the fullest bucket that a leaf would lead to; presence tells least."""
    kinds = node.children.get(path, {})
    children = (kinds.get(kind, {}).get(text) for kind, text in slots)
    crowd = max((child.size for child in children if child is not None), default=0)
    return crowd if _PRESENT not in slots else node.size + crowd


def _shrink(node: _Node[RuleId]) -> None:
    """Forget nodes that hold nothing any more, from a node upwards."""
    at: _Node[RuleId] | None = node
    while at is not None:
        at.size -= 1
        parent = at.parent
        if at.size == 0 and parent is not None:
            kinds = parent.children[at.path]
            del kinds[at.slot[0]][at.slot[1]]
            if not kinds[at.slot[0]]:
                del kinds[at.slot[0]]
            if not kinds:
                del parent.children[at.path]
        at = parent


def _reached(node: _Node[RuleId], fields: arrays.Fields, number_max: int) -> Iterable[_Node[RuleId]]:
    """Return the children that an event's values lead to."""
    children = node.children
    # A node may ask about thousands of paths, an event have thousands of fields: walk the shorter list.
    paths = children if len(children) <= len(fields) else [path for path in fields if path in children]
    for path in paths:
        found = fields.get(path)
        if not found:
            continue
        for kind, table in children[path].items():
            if kind == "present":
                yield table[None]
                continue
            for value, _ in found:
                keys = (key_of(value, number_max),) if kind == "equal" else _probes(kind, table, value)
                for key in keys:
                    child = table.get(key)
                    if child is not None:
                        yield child


def _probes(kind: str, table: Mapping[Hashable, object], value: Scalar) -> Iterable[Hashable]:
    """Return the keys under which a string may be found in a table of one kind."""
    if not isinstance(value, str):
        return ()
    match kind:
        case "folded":
            return (value.lower(),)
        case "address":
            return (find_address(value),)
        case "prefix" if len(table) > len(value):
            return [value[:length] for length in range(min(len(value), PATTERN_CHARACTERS_MAX) + 1)]
        case "prefix":
            return [text for text in table if isinstance(text, str) and value.startswith(text)]
        case _:
            return [text for text in table if isinstance(text, str) and value.endswith(text)]


def _slots(leaf: Leaf) -> tuple[_Slot, ...]:
    """Return the slots of which a value that the leaf accepts has at least one."""
    slots: dict[_Slot, None] = {("equal", key): None for key in leaf.keys}
    for matcher in leaf.matchers:
        slot = _slot(matcher)
        if slot is None:
            return (_PRESENT,)
        slots[slot] = None
    return tuple(slots) if len(slots) <= INDEXED_VALUES_MAX else (_PRESENT,)


def _slot(matcher: Matcher) -> _Slot | None:
    match matcher:
        case Prefix(text=text):
            return ("prefix", text)
        case Suffix(text=text):
            return ("suffix", text)
        case EqualsIgnoreCase(text=text):
            return ("folded", text)
        case Address(packed=packed):
            return ("address", packed)
        case Wildcard(parts=parts) if parts[0]:
            return ("prefix", parts[0])
        case _:
            return None


def _steps(branch: Branch) -> Iterable[str]:
    """Return the field names that an event may use on the way to a branch's leaves.

    Names may contain dots themselves, so every run of a path's segments may be one name.
    """
    for leaf in branch:
        segments = leaf.path.split(".")
        for start in range(len(segments)):
            for end in range(start + 1, len(segments) + 1):
                yield ".".join(segments[start:end])
