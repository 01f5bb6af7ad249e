"""Updates: what an item becomes by SET, REMOVE, ADD and DELETE.

All operands are taken from the item as it was; then the actions change it. Actions' paths never overlap.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from forebay.languages.dynamodb import number
from forebay.languages.dynamodb.caching import keep_short
from forebay.languages.dynamodb.condition import Read, find, read_path
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.parser import parse_update
from forebay.languages.dynamodb.projection import Projection, project_paths
from forebay.languages.dynamodb.scope import Check, Names, Path, Scope, Values, check_distinct
from forebay.languages.dynamodb.syntax import Action, Arithmetic, Function, Operand, RawPath, ValueRef
from forebay.languages.dynamodb.value import LONG_NAMES, SETS, Item, Value

_WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_NOT_THERE = "The provided expression refers to an attribute that does not exist in the item"
_BAD_PATH = "The document path provided in the update expression is invalid for update"

_CONDITION_FUNCTIONS = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"}
)
_ORDER = {"SET": 0, "REMOVE": 1, "ADD": 2, "DELETE": 3}


@dataclass(frozen=True)
class Change:
    """One action ready for use: `read` gives the operand, `legacy_text` replaces the words of a type mismatch."""

    section: str
    path: Path
    read: Read | None


@dataclass(frozen=True)
class CompiledUpdate:
    """An update ready for use; `checks` run once a request. `touched` projects an item to what is changed."""

    changes: tuple[Change, ...]
    touched: Projection
    used_names: tuple[str, ...]
    used_values: tuple[str, ...]
    checks: tuple[Check, ...]
    attributes: frozenset[str]
    mismatch: str = _WRONG_TYPE

    def check(self, values: Values) -> None:
        """Refuse values that are not there or that an action cannot take."""
        for check in self.checks:
            check(values)

    def apply(self, old: Item, new: Item, values: Values) -> None:
        """Change `new`, which is equal to `old` and shares nothing with it.

        Raises:
            ValidationException: the item has not what the update refers to, or of another type.
        """
        operands = [None if change.read is None else change.read(old, values) for change in self.changes]
        removals: list[Path] = []
        for change, operand in zip(self.changes, operands, strict=True):
            if change.section == "REMOVE" or (change.section == "DELETE" and operand is None):
                removals.append(change.path)
            else:
                self._change(change, operand, old, new)
        # From the last to the first, so that positions in lists stay true.
        for path in sorted(removals, key=_places, reverse=True):
            _remove(new, path)

    def _change(self, change: Change, operand: Value | None, old: Item, new: Item) -> None:
        assert operand is not None
        if change.section == "SET":
            put(new, change.path, operand)
            return
        present = find(old.get(str(change.path[0])), change.path[1:])
        if change.section == "ADD":
            put(new, change.path, operand if present is None else self._added(present, operand))
        elif present is not None:
            left = self._left(present, operand)
            if left is None:
                _remove(new, change.path)
            else:
                put(new, change.path, left)
        elif len(change.path) > 1:
            _parent(new, change.path)

    def _added(self, present: Value, operand: Value) -> Value:
        ((kind, held),) = operand.items()
        before = present.get(kind)
        if before is None:
            raise invalid(self.mismatch)
        if kind == "N":
            return {"N": number.add(before, held)}
        if kind == "L":
            return {"L": [*before, *held]}
        return {kind: list(dict.fromkeys([*before, *held]))}

    def _left(self, present: Value, operand: Value) -> Value | None:
        ((kind, held),) = operand.items()
        before = present.get(kind)
        if before is None:
            raise invalid(self.mismatch)
        gone = set(held)
        left = [element for element in before if element not in gone]
        return {kind: left} if left else None


@keep_short
def compile_update(text: str, names: Names) -> CompiledUpdate:
    """Compile an update's text with the request's names."""
    scope = Scope("UpdateExpression", dict(names))
    return compile_actions(scope, parse_update(text))


def compile_actions(scope: Scope, actions: tuple[Action, ...], mismatch: str = _WRONG_TYPE) -> CompiledUpdate:
    """Compile actions that were parsed, or made of legacy parameters."""
    compiler = _Compiler(scope)
    changes = [compiler.change(action) for action in actions]
    paths = [change.path for change in changes]
    check_distinct(scope, paths)
    changes.sort(key=lambda change: (_ORDER[change.section], _places(change.path)))
    return CompiledUpdate(
        tuple(changes),
        project_paths(paths),
        tuple(scope.used_names),
        tuple(scope.used_values),
        tuple(scope.checks),
        frozenset(str(path[0]) for path in paths),
        mismatch,
    )


def _places(path: Path) -> tuple[tuple[int, str, int], ...]:
    """Return an order of paths in which positions of one list stand by number."""
    return tuple((1, "", part) if isinstance(part, int) else (0, part, 0) for part in path)


class _Compiler:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def change(self, action: Action) -> Change:
        path = self._scope.path(action.path)
        if action.operand is None:
            return Change(action.section, path, None)
        read = self._operand(action.operand)
        if action.section in {"ADD", "DELETE"} and self._scope.names is not None:
            self._check_element(action)
        return Change(action.section, path, read)

    def _check_element(self, action: Action) -> None:
        assert isinstance(action.operand, ValueRef)
        name, section = action.operand.name, action.section
        allowed = {*SETS, "N"} if section == "ADD" else {*SETS}

        def check(values: Values) -> None:
            kind = next(iter(values[name]))
            if kind not in allowed:
                raise self._scope.error(
                    f"Incorrect operand type for operator or function; operator: {section}, "
                    f"operand type: {LONG_NAMES[kind]}, typeSet: ALLOWED_FOR_{section}_OPERAND"
                )

        self._scope.checks.append(check)

    def _operand(self, tree: Operand) -> Read:
        match tree:
            case RawPath():
                return _required(read_path(self._scope.path(tree)))
            case ValueRef():
                name = tree.name
                self._scope.value(name)
                return lambda _item, values: values[name]
            case Function():
                return self._function(tree)
            case Arithmetic():
                return self._arithmetic(tree)

    def _arithmetic(self, tree: Arithmetic) -> Read:
        left, right = self._operand(tree.left), self._operand(tree.right)
        for operand in (tree.left, tree.right):
            self._check_type(operand, tree.sign, "N")
        calculate = number.add if tree.sign == "+" else number.subtract

        def result(item: Item, values: Values) -> Value:
            return {"N": calculate(_held(left(item, values), "N"), _held(right(item, values), "N"))}

        return result

    def _function(self, tree: Function) -> Read:
        if tree.name in _CONDITION_FUNCTIONS:
            raise self._scope.error(f"The function is not allowed in an update expression; function: {tree.name}")
        if tree.name not in {"if_not_exists", "list_append"}:
            raise self._scope.error(f"Invalid function name; function: {tree.name}")
        if len(tree.arguments) != 2:
            raise self._scope.error(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {tree.name}, number of operands: {len(tree.arguments)}"
            )
        first, second = tree.arguments
        if tree.name == "if_not_exists":
            return self._if_not_exists(first, second)
        left, right = self._operand(first), self._operand(second)
        for operand in (first, second):
            self._check_type(operand, "list_append", "L")

        def append(item: Item, values: Values) -> Value:
            return {"L": [*_held(left(item, values), "L"), *_held(right(item, values), "L")]}

        return append

    def _if_not_exists(self, first: Operand, second: Operand) -> Read:
        if not isinstance(first, RawPath):
            text = "Operator or function requires a document path; operator or function: if_not_exists"
            raise self._scope.error(text)
        present, otherwise = read_path(self._scope.path(first)), self._operand(second)

        def choose(item: Item, values: Values) -> Value | None:
            found = present(item, values)
            return otherwise(item, values) if found is None else found

        return choose

    def _check_type(self, operand: Operand, operator: str, wanted: str) -> None:
        if not isinstance(operand, ValueRef):
            return
        name = operand.name

        def check(values: Values) -> None:
            kind = next(iter(values[name]))
            if kind != wanted:
                raise self._scope.error(
                    "Incorrect operand type for operator or function; "
                    f"operator or function: {operator}, operand type: {kind}"
                )

        self._scope.checks.append(check)


def _required(read: Read) -> Read:
    def find_it(item: Item, values: Values) -> Value:
        value = read(item, values)
        if value is None:
            raise invalid(_NOT_THERE)
        return value

    return find_it


def _held(value: Value | None, kind: str) -> Any:
    held = None if value is None else value.get(kind)
    if held is None:
        raise invalid(_WRONG_TYPE)
    return held


def _parent(item: Item, path: Path) -> Any:
    """Return the map or list that holds a path's last part."""
    inside: Any = item
    for part, following in pairwise(path):
        try:
            value = inside[part]
        except (KeyError, IndexError):
            raise invalid(_BAD_PATH) from None
        inside = value.get("L" if isinstance(following, int) else "M")
        if inside is None:
            raise invalid(_BAD_PATH)
    return inside


def put(item: Item, path: Path, value: Value) -> None:
    """Set what stands under a path; behind a list's end it is appended."""
    inside, last = _parent(item, path), path[-1]
    if isinstance(last, int) and last >= len(inside):
        inside.append(value)
    else:
        inside[last] = value


def _remove(item: Item, path: Path) -> None:
    inside, last = _parent(item, path), path[-1]
    if isinstance(last, int):
        del inside[last : last + 1]
    else:
        inside.pop(last, None)
