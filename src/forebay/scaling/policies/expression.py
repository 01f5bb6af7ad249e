"""Formulas over triggers: the part of expr-lang that yields numbers, read once and evaluated without Python's `eval`.

No library for expr-lang exists on PyPI. Taken: numbers, names, arrays, arithmetic, comparison, logic, `in`, `?:`, `??`,
`let`, and the built-in functions over numbers and arrays, with predicates such as `count([a, b], {# > 1})`. Precedences
are those of expr-lang 1.17 (its language definition). Anything else is refused with its place.
"""

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)"
    r"|(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)"
    r"|(?P<sign>\?\?|\*\*|==|!=|<=|>=|&&|\|\||[-+*/%^<>!?:()\[\]{},#;=]))"
)
_PRECEDENCE = {
    "||": 10, "or": 10, "&&": 15, "and": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20, "in": 20,
    "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_RIGHT = frozenset({"**", "^"})
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_PREDICATES = frozenset({"count", "all", "any", "one", "none", "map", "filter", "sum"})
_NESTING_MAX = 50

Value = Any
_Evaluate = Callable[[Mapping[str, Value]], Value]


class InvalidFormula(ValueError):
    """A formula cannot be read, or has no number as its value."""


class Formula(msgspec.Struct, frozen=True):
    """A formula, read."""

    text: str
    names: frozenset[str]
    evaluate: _Evaluate

    def value(self, values: Mapping[str, float | None]) -> float:
        """Return the formula's value; a value of None is nil, which `??` replaces.

        Raises:
            InvalidFormula: the result is no number, or an operand is of a wrong type.
        """
        try:
            result = self.evaluate(values)
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise InvalidFormula(f"{self.text}: {error}") from None
        if isinstance(result, bool) or not isinstance(result, int | float):
            raise InvalidFormula(f"{self.text}: the result is no number")
        return float(result)


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises:
        InvalidFormula: it is not one; the text names the place.
    """
    reader = _Reader(text)
    evaluate = reader.whole()
    return Formula(text, frozenset(reader.names), evaluate)


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise InvalidFormula(f"unexpected character at {at}: {text[at:].lstrip()[:10]!r}")
        kind = match.lastgroup or ""
        found.append((kind, match[kind], match.start(kind)))
        at = match.end()
    return found


class _Reader:
    """A precedence-climbing parser that builds closures."""

    def __init__(self, text: str) -> None:
        self.names = set[str]()
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._bound = list[str]()
        self._depth = 0

    def whole(self) -> _Evaluate:
        found = self._sequence()
        if self._at < len(self._tokens):
            raise self._unexpected()
        return found

    def _sequence(self) -> _Evaluate:
        if self._peek() != "let":
            return self._ternary()
        self._take()
        name = self._name()
        self._expect("=")
        value = self._ternary()
        self._expect(";")
        self._bound.append(name)
        body = self._sequence()
        self._bound.pop()
        return lambda env: body({**env, name: value(env)})

    def _ternary(self) -> _Evaluate:
        self._depth += 1
        if self._depth > _NESTING_MAX:
            raise InvalidFormula("nested too deeply")
        condition = self._binary(0)
        if self._peek() == "?":
            self._take()
            first = self._ternary()
            self._expect(":")
            second = self._ternary()
            found: _Evaluate = lambda env: first(env) if _truth(condition(env)) else second(env)  # noqa: E731
        else:
            found = condition
        self._depth -= 1
        return found

    def _binary(self, least: int) -> _Evaluate:
        left = self._unary()
        while (sign := self._peek()) is not None and _PRECEDENCE.get(sign, -1) >= least:
            self._take()
            precedence = _PRECEDENCE[sign]
            right = self._binary(precedence if sign in _RIGHT else precedence + 1)
            left = _joined(sign, left, right)
        return left

    def _unary(self) -> _Evaluate:
        sign = self._peek()
        if sign not in _UNARY:
            return self._primary()
        self._take()
        operand = self._binary(_UNARY[sign])
        if sign in {"not", "!"}:
            return lambda env: not _truth(operand(env))
        factor = -1 if sign == "-" else 1
        return lambda env: factor * _number(operand(env))

    def _primary(self) -> _Evaluate:
        if self._at >= len(self._tokens):
            raise InvalidFormula("unexpected end of the formula")
        kind, text, _ = self._tokens[self._at]
        if kind == "number":
            self._take()
            number = float(text.replace("_", ""))
            return lambda _: number
        if kind == "name":
            return self._named()
        return self._bracketed(text)

    def _bracketed(self, sign: str) -> _Evaluate:
        if sign == "(":
            self._take()
            inner = self._sequence()
            self._expect(")")
            return inner
        if sign == "[":
            self._take()
            items = self._list("]")
            return lambda env: [item(env) for item in items]
        if sign == "#":
            self._take()
            return lambda env: env["#"]
        raise self._unexpected()

    def _named(self) -> _Evaluate:
        name = self._name()
        if name in {"true", "false", "nil"}:
            constant = {"true": True, "false": False, "nil": None}[name]
            return lambda _: constant
        if self._peek() == "(":
            return self._call(name)
        if name not in self._bound:
            self.names.add(name)
        return lambda env: env[name]

    def _call(self, name: str) -> _Evaluate:
        self._expect("(")
        if name in _PREDICATES:
            return self._predicate(name)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise InvalidFormula(f"unknown function {name}")
        arguments = self._list(")")
        return lambda env: function([argument(env) for argument in arguments])

    def _predicate(self, name: str) -> _Evaluate:
        items = self._ternary()
        test: _Evaluate | None = None
        if self._peek() == ",":
            self._take()
            braced = self._peek() == "{"
            if braced:
                self._take()
            test = self._ternary()
            if braced:
                self._expect("}")
        self._expect(")")
        if test is None and name not in {"count", "sum"}:
            raise InvalidFormula(f"{name} needs a predicate")
        apply = _OVER[name]

        def evaluate(env: Mapping[str, Value]) -> Value:
            found = _array(items(env))
            return apply(found, found if test is None else [test({**env, "#": item}) for item in found])

        return evaluate

    def _list(self, end: str) -> list[_Evaluate]:
        found: list[_Evaluate] = []
        while self._peek() != end:
            if found:
                self._expect(",")
            found.append(self._ternary())
        self._take()
        return found

    def _name(self) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != "name":
            raise self._unexpected()
        return self._take()

    def _peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._unexpected()
        self._take()

    def _unexpected(self) -> InvalidFormula:
        if self._at >= len(self._tokens):
            return InvalidFormula(f"unexpected end of {self._text!r}")
        _, text, at = self._tokens[self._at]
        return InvalidFormula(f"unexpected {text!r} at {at} of {self._text!r}")


def _joined(sign: str, left: _Evaluate, right: _Evaluate) -> _Evaluate:
    if sign == "??":

        def first_known(env: Mapping[str, Value]) -> Value:
            found = left(env)
            return right(env) if found is None else found

        return first_known
    if sign in {"||", "or"}:
        return lambda env: _truth(left(env)) or _truth(right(env))
    if sign in {"&&", "and"}:
        return lambda env: _truth(left(env)) and _truth(right(env))
    apply = _OPERATORS[sign]
    return lambda env: apply(left(env), right(env))


def _number(value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{'nil' if value is None else value!r} is no number")
    return float(value)


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is no boolean")
    return value


def _array(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no array")
    return cast("list[Value]", value)


def _flat(values: Sequence[Value]) -> list[float]:
    found: list[float] = []
    for value in values:
        found += _flat(cast("list[Value]", value)) if isinstance(value, list) else [_number(value)]
    return found


def _remainder(left: Value, right: Value) -> float:
    dividend, divisor = _number(left), _number(right)
    if not (dividend.is_integer() and divisor.is_integer()):
        raise TypeError("% takes whole numbers")
    return math.fmod(dividend, divisor)


def _divided(left: Value, right: Value) -> float:
    dividend, divisor = _number(left), _number(right)
    if divisor == 0:
        # As Go's float64: KEDA then reports 0 for what is not finite.
        return math.nan if dividend == 0 else math.copysign(math.inf, dividend)
    return dividend / divisor


_OPERATORS: Mapping[str, Callable[[Value, Value], Value]] = {
    "+": lambda a, b: _number(a) + _number(b),
    "-": lambda a, b: _number(a) - _number(b),
    "*": lambda a, b: _number(a) * _number(b),
    "/": _divided,
    "%": _remainder,
    "**": lambda a, b: _number(a) ** _number(b),
    "^": lambda a, b: _number(a) ** _number(b),
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: _number(a) < _number(b),
    ">": lambda a, b: _number(a) > _number(b),
    "<=": lambda a, b: _number(a) <= _number(b),
    ">=": lambda a, b: _number(a) >= _number(b),
    "in": lambda a, b: a in _array(b),
}

_FUNCTIONS: Mapping[str, Callable[[list[Value]], Value]] = {
    "abs": lambda args: abs(_number(args[0])),
    "ceil": lambda args: math.ceil(_number(args[0])),
    "floor": lambda args: math.floor(_number(args[0])),
    "round": lambda args: math.floor(abs(_number(args[0])) + 0.5) * (1 if _number(args[0]) >= 0 else -1),
    "int": lambda args: int(_number(args[0])),
    "float": lambda args: _number(args[0]),
    "min": lambda args: min(_flat(args)),
    "max": lambda args: max(_flat(args)),
    "mean": lambda args: statistics.fmean(_flat(args)),
    "median": lambda args: statistics.median(_flat(args)),
    "len": lambda args: len(_array(args[0])),
    "first": lambda args: _array(args[0])[0],
    "last": lambda args: _array(args[0])[-1],
}

_OVER: Mapping[str, Callable[[list[Value], list[Value]], Value]] = {
    "count": lambda items, tests: sum(1 for test in tests if _truth(test)) if items else 0,
    "sum": lambda _, values: sum(_flat(values)),
    "all": lambda _, tests: all(_truth(test) for test in tests),
    "any": lambda _, tests: any(_truth(test) for test in tests),
    "one": lambda _, tests: sum(1 for test in tests if _truth(test)) == 1,
    "none": lambda _, tests: not any(_truth(test) for test in tests),
    "map": lambda _, values: list(values),
    "filter": lambda items, tests: [item for item, test in zip(items, tests, strict=True) if _truth(test)],
}
