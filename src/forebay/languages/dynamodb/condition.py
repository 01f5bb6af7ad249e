"""Conditions as functions: whether an item meets one, given the request's values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from forebay.languages.dynamodb import value as values_of
from forebay.languages.dynamodb.caching import keep_short
from forebay.languages.dynamodb.parser import parse_condition
from forebay.languages.dynamodb.scope import Check, Names, Path, Scope, Values, show_path
from forebay.languages.dynamodb.syntax import (
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Junction,
    Not,
    Operand,
    RawPath,
    ValueRef,
)
from forebay.languages.dynamodb.value import Item, Value, is_equal, order_key, show

Test = Callable[[Item, Values], bool]
Read = Callable[[Item, Values], Value | None]

_ORDERED = frozenset({"S", "N", "B"})
# The order in which DynamoDB's own error lists them.
_TYPES_SHOWN = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
_CONDITIONS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
_UPDATES = frozenset({"if_not_exists", "list_append"})
_WITH_PATH = frozenset({"attribute_exists", "attribute_not_exists"})


@dataclass(frozen=True)
class CompiledCondition:
    """A condition ready for use. `checks` run once a request, before `test` runs for each item."""

    test: Test
    used_names: tuple[str, ...]
    used_values: tuple[str, ...]
    checks: tuple[Check, ...]
    # The top-level attributes that are looked at.
    attributes: frozenset[str]

    def check(self, values: Values) -> None:
        """Refuse values that are not there or that an operator cannot take."""
        for check in self.checks:
            check(values)


@keep_short
def compile_condition(what: str, text: str, names: Names) -> CompiledCondition:
    """Compile a condition's text with the request's names."""
    return compile_tree(Scope(what, dict(names)), parse_condition(what, text))


def compile_tree(scope: Scope, tree: Condition) -> CompiledCondition:
    """Compile a condition that was parsed, or made of legacy parameters."""
    compiler = _Compiler(scope)
    test = compiler.condition(tree)
    attributes = frozenset(compiler.attributes)
    return CompiledCondition(test, tuple(scope.used_names), tuple(scope.used_values), tuple(scope.checks), attributes)


def read_path(path: Path) -> Read:
    """Return a function that finds what stands under a path, or None."""
    first, rest = path[0], path[1:]
    assert isinstance(first, str)
    if not rest:
        return lambda item, _values: item.get(first)

    def read(item: Item, _values: Values) -> Value | None:
        return find(item.get(first), rest)

    return read


def find(value: Value | None, path: Path) -> Value | None:
    """Return what stands under a path inside a value, or None."""
    for part in path:
        if value is None:
            return None
        if isinstance(part, int):
            held = value.get("L")
            value = held[part] if held is not None and part < len(held) else None
        else:
            held = value.get("M")
            value = None if held is None else held.get(part)
    return value


class _Compiler:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.attributes: dict[str, None] = {}

    def condition(self, tree: Condition) -> Test:
        match tree:
            case Junction():
                return _joined(tree.word, tuple(self.condition(part) for part in tree.conditions))
            case Not():
                inner = self.condition(tree.condition)
                return lambda item, values: not inner(item, values)
            case Comparison():
                return self._comparison(tree)
            case Between():
                return self._between(tree)
            case In():
                return self._in(tree)
            case Function():
                return self._function(tree)

    def operand(self, tree: Operand) -> Read:
        match tree:
            case RawPath():
                path = self._scope.path(tree)
                self.attributes[str(path[0])] = None
                return read_path(path)
            case ValueRef():
                name = tree.name
                self._scope.value(name)
                return lambda _item, values: values[name]
            case Function():
                return self._size(tree)
            case _:
                raise AssertionError(tree)

    def _size(self, tree: Function) -> Read:
        if tree.name != "size":
            self._check_known(tree)
            text = "The function is not allowed to be used this way in an expression; function: "
            raise self._scope.error(text + tree.name)
        (read,) = self._arguments(tree, 1)
        argument = tree.arguments[0]
        if isinstance(argument, ValueRef):
            self._check_type(argument, "size", frozenset({"S", "B", "SS", "NS", "BS", "L", "M"}))

        def measure(item: Item, values: Values) -> Value | None:
            value = read(item, values)
            return None if value is None else _size_of(value)

        return measure

    def _arguments(self, tree: Function, count: int) -> tuple[Read, ...]:
        if len(tree.arguments) != count:
            raise self._scope.error(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {tree.name}, number of operands: {len(tree.arguments)}"
            )
        return tuple(self.operand(argument) for argument in tree.arguments)

    def _check_known(self, tree: Function) -> None:
        if tree.name in _UPDATES:
            raise self._scope.error(f"The function is not allowed in a condition expression; function: {tree.name}")
        if tree.name != "size" and tree.name not in _CONDITIONS:
            raise self._scope.error(f"Invalid function name; function: {tree.name}")

    def _comparison(self, tree: Comparison) -> Test:
        left, right = self.operand(tree.left), self.operand(tree.right)
        self._check_differ(tree.sign, tree.left, tree.right)
        if tree.sign in {"=", "<>"}:
            wanted = tree.sign == "="

            def equals(item: Item, values: Values) -> bool:
                one, other = left(item, values), right(item, values)
                return (one is not None and other is not None and is_equal(one, other)) is wanted

            return equals
        for operand in (tree.left, tree.right):
            self._check_type(operand, tree.sign, _ORDERED)
        compare = _COMPARISONS[tree.sign]

        def compares(item: Item, values: Values) -> bool:
            one, other = left(item, values), right(item, values)
            return one is not None and other is not None and _is_ordered(one, other, compare)

        return compares

    def _between(self, tree: Between) -> Test:
        operand, low, high = (self.operand(part) for part in (tree.operand, tree.low, tree.high))
        self._check_differ("BETWEEN", tree.operand, tree.low, tree.high)
        for part in (tree.operand, tree.low, tree.high):
            self._check_type(part, "BETWEEN", _ORDERED)
        if isinstance(tree.low, ValueRef) and isinstance(tree.high, ValueRef):
            self._check_bounds(tree.low.name, tree.high.name)
        at_least, at_most = _COMPARISONS[">="], _COMPARISONS["<="]

        def lies_between(item: Item, values: Values) -> bool:
            one = operand(item, values)
            lower, upper = low(item, values), high(item, values)
            if one is None or lower is None or upper is None:
                return False
            return _is_ordered(one, lower, at_least) and _is_ordered(one, upper, at_most)

        return lies_between

    def _check_bounds(self, low: str, high: str) -> None:
        def check(values: Values) -> None:
            lower, upper = values[low], values[high]
            shown = f"lower bound operand: AttributeValue: {show(lower)}, "
            shown += f"upper bound operand: AttributeValue: {show(upper)}"
            if lower.keys() != upper.keys():
                text = "The BETWEEN operator requires same data type for lower and upper bounds; "
                raise self._scope.error(text + shown)
            if order_key(lower) > order_key(upper):
                text = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
                raise self._scope.error(text + shown)

        self._scope.checks.append(check)

    def _in(self, tree: In) -> Test:
        operand = self.operand(tree.operand)
        others = tuple(self.operand(other) for other in tree.others)
        self._check_differ("IN", tree.operand, *tree.others)

        def is_among(item: Item, values: Values) -> bool:
            one = operand(item, values)
            if one is None:
                return False
            found = (other(item, values) for other in others)
            return any(other is not None and is_equal(one, other) for other in found)

        return is_among

    def _function(self, tree: Function) -> Test:
        self._check_known(tree)
        if tree.name == "size":
            text = "The function is not allowed to be used this way in an expression; function: size"
            raise self._scope.error(text)
        reads = self._arguments(tree, _CONDITIONS[tree.name])
        read = reads[0]
        if tree.name in _WITH_PATH and not isinstance(tree.arguments[0], RawPath):
            raise self._scope.error(f"Operator or function requires a document path; operator or function: {tree.name}")
        if tree.name == "attribute_exists":
            return lambda item, values: read(item, values) is not None
        if tree.name == "attribute_not_exists":
            return lambda item, values: read(item, values) is None
        return self._binary(tree, read, reads[1])

    def _binary(self, tree: Function, read: Read, other: Read) -> Test:
        first, second = tree.arguments
        if tree.name == "attribute_type":
            self._check_type_name(second)
            return lambda item, values: _has_type(read(item, values), other(item, values))
        if tree.name == "begins_with":
            self._check_type(first, "begins_with", frozenset({"S", "B"}))
            self._check_type(second, "begins_with", frozenset({"S", "B"}))
            self._check_differ("begins_with", first, second)
            return lambda item, values: _begins(read(item, values), other(item, values))
        self._check_differ("contains", first, second)
        return lambda item, values: contains(read(item, values), other(item, values))

    def _check_type_name(self, operand: Operand) -> None:
        if not isinstance(operand, ValueRef):
            return
        self._check_type(operand, "attribute_type", frozenset({"S"}))
        name = operand.name

        def check(values: Values) -> None:
            wanted = values[name]["S"]
            if wanted not in values_of.TYPES:
                raise self._scope.error(
                    f"Invalid attribute type name found; type: {wanted}, valid types: {_TYPES_SHOWN}"
                )

        self._scope.checks.append(check)

    def _check_type(self, operand: Operand, operator: str, allowed: frozenset[str]) -> None:
        """Refuse a value of the request that the operator cannot take, whatever the items are."""
        if not isinstance(operand, ValueRef):
            if isinstance(operand, Function) and "N" not in allowed:
                raise self._type_error(operator, "N")
            return
        name = operand.name

        def check(values: Values) -> None:
            kind = next(iter(values[name]))
            if kind not in allowed:
                raise self._type_error(operator, kind)

        self._scope.checks.append(check)

    def _type_error(self, operator: str, kind: str) -> Exception:
        return self._scope.error(
            f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"
        )

    def _check_differ(self, operator: str, first: Operand, *others: Operand) -> None:
        if not isinstance(first, RawPath):
            return
        path = self._scope.path(first)
        if any(isinstance(other, RawPath) and self._scope.path(other) == path for other in others):
            raise self._scope.error(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {operator}, first operand: {show_path(path)}"
            )


def _joined(word: str, tests: tuple[Test, ...]) -> Test:
    if word == "AND":
        return lambda item, values: all(test(item, values) for test in tests)
    return lambda item, values: any(test(item, values) for test in tests)


_COMPARISONS: Mapping[str, Callable[[bytes, bytes], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _is_ordered(one: Value, other: Value, compare: Callable[[bytes, bytes], bool]) -> bool:
    if one.keys() != other.keys():
        return False
    key = order_key(one)
    return key is not None and compare(key, order_key(other))


def _size_of(value: Value) -> Value | None:
    ((kind, held),) = value.items()
    if kind == "B":
        return {"N": str(values_of.binary_length(held))}
    return None if kind in {"N", "NULL", "BOOL"} else {"N": str(len(held))}


def _has_type(value: Value | None, wanted: Value | None) -> bool:
    return value is not None and wanted is not None and wanted.get("S") in value


def _begins(value: Value | None, prefix: Value | None) -> bool:
    if value is None or prefix is None or value.keys() != prefix.keys():
        return False
    ((kind, held),) = value.items()
    if kind == "S":
        return held.startswith(prefix["S"])
    return kind == "B" and values_of.binary(held).startswith(values_of.binary(prefix["B"]))


def contains(value: Value | None, part: Value | None) -> bool:
    """Tell whether a text or bytes contain a part of their kind, or a set or list an element."""
    if value is None or part is None:
        return False
    ((kind, held),) = value.items()
    ((part_kind, wanted),) = part.items()
    if kind == "L":
        return any(is_equal(element, part) for element in held)
    if kind == "S":
        return part_kind == "S" and wanted in held
    if kind == "B":
        return part_kind == "B" and values_of.binary(wanted) in values_of.binary(held)
    return values_of.SETS.get(kind) == part_kind and wanted in held
