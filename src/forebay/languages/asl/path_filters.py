"""Reads paths and the filters within them: `$.items[?(@.price > 10 && @.tags contains 'new')]`.

Operators and their meaning are Jayway JsonPath's: comparisons of values of one kind, `=~` with a regular expression,
`in`, `nin`, `subsetof`, `anyof`, `noneof`, `contains`, `size` and `empty`, joined with `&&`, `||` and `!`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from forebay.core.ids import Ids
from forebay.languages.asl.document import decode
from forebay.languages.asl.paths import (
    Descend,
    Every,
    Filter,
    InvalidPath,
    Members,
    Nowhere,
    Path,
    Predicate,
    Slice,
    Step,
    definite_keys,
    integer_at,
    member,
    name_at,
    root_of,
    walk,
)
from forebay.languages.asl.scope import ABSENT, Scope
from forebay.languages.json_kinds import is_array
from forebay.languages.jsonata import Expression, JsonataError, compile_jsonata

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(
    r"===|!==|==|!=|<=|>=|<|>|=~|(?:in|nin|subsetof|anyof|noneof|contains|size|empty)\b", re.IGNORECASE
)
_LITERAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true\b|false\b|null\b")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_PATTERN = re.compile(r"/((?:[^/\\]|\\.)*)/([i]?)")
_ESCAPE = re.compile(r"\\(.)")

Operand = Callable[[object, Scope], object]


@dataclass(frozen=True, slots=True)
class _All:
    parts: tuple[Predicate, ...]

    def accepts(self, node: object, scope: Scope) -> bool:
        return all(part.accepts(node, scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Any:
    parts: tuple[Predicate, ...]

    def accepts(self, node: object, scope: Scope) -> bool:
        return any(part.accepts(node, scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Not:
    part: Predicate

    def accepts(self, node: object, scope: Scope) -> bool:
        return not self.part.accepts(node, scope)


@dataclass(frozen=True, slots=True)
class _Exists:
    operand: Operand

    def accepts(self, node: object, scope: Scope) -> bool:
        return self.operand(node, scope) is not ABSENT


@dataclass(frozen=True, slots=True)
class _Compare:
    left: Operand
    test: Callable[[object, object], bool]
    right: Operand

    def accepts(self, node: object, scope: Scope) -> bool:
        return self.test(self.left(node, scope), self.right(node, scope))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


def _ordered(test: Callable[[int], bool]) -> Callable[[object, object], bool]:
    def compare(left: object, right: object) -> bool:
        if _is_number(left) and _is_number(right):
            return test((left > right) - (left < right))  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType]
        if isinstance(left, str) and isinstance(right, str):
            return test((left > right) - (left < right))
        return False

    return compare


def _among(left: object, right: object) -> bool:
    return is_array(right) and any(_equal(left, one) for one in right)


def _each_among(left: object, right: object) -> list[bool]:
    return [_among(one, right) for one in left] if is_array(left) and is_array(right) else []


def _contains(left: object, right: object) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _among(right, left)


def _has_size(left: object, right: object) -> bool:
    return (isinstance(left, str) or is_array(left)) and _equal(len(left), right)


def _is_empty(left: object, right: object) -> bool:
    return isinstance(left, str | list | dict) and _equal(not left, right)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A regular expression, run by the JSONata engine: it ends in time whatever the expression and the text."""

    expression: Expression

    def fits(self, text: str) -> bool:
        try:
            return self.expression.evaluate(lambda _: text, Ids(0), 0.0) == "true"
        except JsonataError:
            return False


def _fits(left: object, right: object) -> bool:
    return isinstance(left, str) and isinstance(right, _Pattern) and right.fits(left)


_TESTS: dict[str, Callable[[object, object], bool]] = {
    "==": _equal,
    "===": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "!==": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda order: order < 0),
    "<=": _ordered(lambda order: order <= 0),
    ">": _ordered(lambda order: order > 0),
    ">=": _ordered(lambda order: order >= 0),
    "=~": _fits,
    "in": _among,
    "nin": lambda left, right: is_array(right) and not _among(left, right),
    "subsetof": lambda left, right: is_array(left) and is_array(right) and all(_each_among(left, right)),
    "anyof": lambda left, right: any(_each_among(left, right)),
    "noneof": lambda left, right: is_array(left) and is_array(right) and not any(_each_among(left, right)),
    "contains": _contains,
    "size": _has_size,
    "empty": _is_empty,
}


class PathReader:
    """Reads one path from a text, step by step."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text = text
        self._at = at
        # How many filters are open.
        self._filters = 0

    def whole(self) -> Path:
        """Read the path that the whole text is.

        Raises:
            InvalidPath: it is none, or something follows it.
        """
        root, self._at = root_of(self._text)
        steps = self._steps()
        if self._at != len(self._text):
            self._fail()
        return Path(self._text, root, steps, definite_keys(steps))

    def _fail(self) -> None:
        raise InvalidPath(f"Could not parse token at position {self._at}: {self._text}")

    def _peek(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _take(self, token: str) -> bool:
        if self._peek(token):
            self._at += len(token)
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            self._fail()

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _steps(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        while True:
            if self._take(".."):
                steps.append(Descend())
                steps.append(self._bracket() if self._take("[") else self._name())
            elif self._take("."):
                steps.append(self._bracket() if self._take("[") else self._name())
            elif self._take("["):
                steps.append(self._bracket())
            else:
                return tuple(steps)

    def _name(self) -> Step:
        if self._take("*"):
            return Every()
        name, self._at = name_at(self._text, self._at, is_in_filter=self._filters > 0)
        if self._take("("):
            # Step Functions accepts Jayway's functions and finds nothing with them.
            self._expect(")")
            return Nowhere()
        return Members((name,))

    def _bracket(self) -> Step:
        self._skip_space()
        if self._take("*"):
            step: Step = Every()
        elif self._take("?"):
            self._skip_space()
            self._expect("(")
            self._filters += 1
            step = Filter(self._either())
            self._filters -= 1
            self._skip_space()
            self._expect(")")
        elif self._peek("'") or self._peek('"'):
            step = Members(self._listed(self._quoted))
        else:
            step = self._indices()
        self._skip_space()
        self._expect("]")
        return step

    def _listed(self, read: Callable[[], str | int]) -> tuple[str | int, ...]:
        values = [read()]
        while True:
            self._skip_space()
            if not self._take(","):
                return tuple(values)
            self._skip_space()
            values.append(read())

    def _quoted(self) -> str:
        match = _QUOTED.match(self._text, self._at)
        if match is None:
            raise InvalidPath(f"Expected a quoted name at position {self._at}: {self._text}")
        self._at = match.end()
        return _ESCAPE.sub(r"\1", match[1] if match[1] is not None else match[2])

    def _index(self) -> int:
        value, self._at = integer_at(self._text, self._at)
        if value is None:
            raise InvalidPath(f"Expected an index at position {self._at}: {self._text}")
        return value

    def _indices(self) -> Step:
        start, self._at = integer_at(self._text, self._at)
        self._skip_space()
        if self._take(":"):
            stop, self._at = integer_at(self._text, self._at)
            stride = None
            if self._take(":"):
                stride, self._at = integer_at(self._text, self._at)
            return Slice(start, stop, stride or None)
        if start is None:
            raise InvalidPath(f"Could not parse token at position {self._at}: {self._text}")
        values: list[str | int] = [start]
        while self._take(","):
            self._skip_space()
            values.append(self._index())
            self._skip_space()
        return Members(tuple(values))

    def _either(self) -> Predicate:
        parts = [self._both()]
        while self._after_space("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _Any(tuple(parts))

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self._after_space("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else _All(tuple(parts))

    def _after_space(self, token: str) -> bool:
        self._skip_space()
        return self._take(token)

    def _one(self) -> Predicate:
        self._skip_space()
        if self._peek("!") and not self._peek("!="):
            self._take("!")
            return _Not(self._one())
        if self._take("("):
            inside = self._either()
            self._skip_space()
            self._expect(")")
            return inside
        left = self._operand()
        self._skip_space()
        match = _OPERATOR.match(self._text, self._at)
        if match is None:
            return _Exists(left)
        self._at = match.end()
        self._skip_space()
        return _Compare(left, _TESTS[match[0].lower()], self._operand())

    def _operand(self) -> Operand:
        if self._take("@"):
            steps = self._steps()
            keys = definite_keys(steps)
            return lambda node, scope: _from(node, steps, keys, scope)
        if self._peek("$"):
            root, self._at = self._root()
            steps = self._steps()
            path = Path(self._text, root, steps, definite_keys(steps))
            return lambda _, scope: path.find(scope)
        return self._constant()

    def _root(self) -> tuple[str, int]:
        root, length = root_of(self._text[self._at :])
        return root, self._at + length

    def _constant(self) -> Operand:
        if self._peek("'") or self._peek('"'):
            value: object = self._quoted()
        elif (pattern := _PATTERN.match(self._text, self._at)) is not None:
            self._at = pattern.end()
            value = _compiled(pattern)
        elif self._peek("["):
            value = self._array()
        else:
            match = _LITERAL.match(self._text, self._at)
            if match is None:
                raise InvalidPath(f"Could not parse token at position {self._at}: {self._text}")
            self._at = match.end()
            value = _literal(match[0])
        return lambda _node, _scope: value

    def _array(self) -> object:
        end = self._text.find("]", self._at)
        text = self._text[self._at : end + 1]
        self._at = end + 1
        try:
            return decode(text.replace("'", '"'))
        except ValueError:
            raise InvalidPath(f"Could not parse token at position {self._at}: {self._text}") from None


def _literal(text: str) -> object:
    try:
        return decode(text)
    except ValueError:
        raise InvalidPath(f"Number out of range: {text}") from None


def _compiled(match: re.Match[str]) -> _Pattern:
    try:
        # Jayway wants the whole text to fit.
        return _Pattern(compile_jsonata(f"$contains($text, /^(?:{match[1]})$/{match[2]})"))
    except JsonataError:
        raise InvalidPath(f"Could not parse pattern: {match[0]}") from None


def _from(node: object, steps: tuple[Step, ...], keys: tuple[str | int, ...] | None, scope: Scope) -> object:
    if keys is None:
        return walk(node, steps, scope) or ABSENT
    for key in keys:
        node = member(node, key)
    return node
