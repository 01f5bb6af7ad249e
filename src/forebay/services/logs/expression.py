"""Conditions joined by `&&`, `||` and parentheses: the part that JSON and space-delimited filter patterns share. Pure.

Source: "Filter pattern syntax" (CloudWatch Logs user guide). A condition compares what a selector finds with a value:
text with `*` wildcards, a number, a `%regex%`, or `IS TRUE`, `IS NULL`, `EXISTS` and the like.
"""

import re
from collections.abc import Callable
from typing import Generic, TypeVar

from forebay.api import logs as api

T = TypeVar("T")

# What a selector finds: every value it stands for (none, where there is nothing).
Find = Callable[[T], list[object]]
Predicate = Callable[[T], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<mark>\(|\)|&&|\|\||>=|<=|!=|=|>|<)
      | "(?P<quoted>(?:\\.|[^"\\])*)"
      | %(?P<regex>[^%]*)%
      | (?P<word>(?:\[[^\]]*\]|[^\s()=<>!&|"%\[])+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    ">": lambda left, right: left > right,
    "<": lambda left, right: left < right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
}
_DEPTH_MAX = 50

Token = tuple[str, str]


def invalid_pattern(detail: str = "") -> api.InvalidParameterException:
    """Return the error for a pattern that is none."""
    return api.InvalidParameterException(f"Invalid filter pattern: {detail}" if detail else "Invalid filter pattern")


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of an expression, each with its kind: `mark`, `quoted`, `regex` or `word`.

    Raises:
        InvalidParameterException: something is no token.
    """
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at, end)
        if match is None or match.lastgroup is None:
            raise invalid_pattern(f"Invalid character(s) in term '{text[at:end].strip()[:1]}'")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


class Parser(Generic[T]):
    """Turns tokens into a predicate; `selector` turns a word into what finds its values."""

    def __init__(self, tokens: list[Token], selector: Callable[[str], Find[T]]) -> None:
        self._tokens = tokens
        self._selector = selector
        self._at = 0

    def parse(self) -> Predicate[T]:
        """Return the predicate of all tokens.

        Raises:
            InvalidParameterException: they are no expression.
        """
        predicate = self._any(0)
        if self._at < len(self._tokens):
            raise invalid_pattern()
        return predicate

    def _any(self, depth: int) -> Predicate[T]:
        if depth > _DEPTH_MAX:
            raise invalid_pattern()
        choices = [self._all(depth)]
        while self._take_mark("||"):
            choices.append(self._all(depth))
        return choices[0] if len(choices) == 1 else lambda item: any(choice(item) for choice in choices)

    def _all(self, depth: int) -> Predicate[T]:
        conditions = [self._one(depth)]
        while self._take_mark("&&"):
            conditions.append(self._one(depth))
        return conditions[0] if len(conditions) == 1 else lambda item: all(each(item) for each in conditions)

    def _one(self, depth: int) -> Predicate[T]:
        if self._take_mark("("):
            inner = self._any(depth + 1)
            if not self._take_mark(")"):
                raise invalid_pattern()
            return inner
        find = self._selector(self._take("word"))
        kind, text = self._next()
        if kind == "word":
            return _state(find, text.upper(), self)
        if kind != "mark" or text not in _COMPARISONS:
            raise invalid_pattern()
        value_kind, value = self._next()
        if value_kind == "mark":
            raise invalid_pattern()
        return comparison(find, text, value, value_kind)

    def take_word(self, *expected: str) -> str:
        """Take a word that is one of some, in upper case."""
        word = self._take("word").upper()
        if word not in expected:
            raise invalid_pattern()
        return word

    def _next(self) -> Token:
        if self._at == len(self._tokens):
            raise invalid_pattern()
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str) -> str:
        found, text = self._next()
        if found != kind:
            raise invalid_pattern()
        return text

    def _take_mark(self, mark: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark):
            self._at += 1
            return True
        return False


def _state(find: Find[T], word: str, parser: Parser[T]) -> Predicate[T]:
    match word:
        case "IS":
            wanted = {"TRUE": True, "FALSE": False, "NULL": None}[parser.take_word("TRUE", "FALSE", "NULL")]
            return lambda item: any(value is wanted for value in find(item))
        case "EXISTS":
            return lambda item: bool(find(item))
        case "NOT":
            parser.take_word("EXISTS")
            return lambda item: not find(item)
        case _:
            raise invalid_pattern()


def comparison(find: Find[T], operator: str, value: str, kind: str) -> Predicate[T]:
    """Return the predicate that compares what is found with a value, which is quoted, a regex or a word.

    Raises:
        InvalidParameterException: texts and expressions can only be equal or not.
    """
    number = float(value) if kind == "word" and _NUMBER.fullmatch(value) else None
    if number is not None:
        compare = _COMPARISONS[operator]
        return lambda item: any(_compares(compare, found, number) for found in find(item))
    if operator not in ("=", "!="):
        raise invalid_pattern()
    matches = regex_search(value) if kind == "regex" else wildcard_match(value)
    is_equal = operator == "="
    return lambda item: any(
        matches(_text(found)) is is_equal for found in find(item) if not isinstance(found, dict | list)
    )


def regex_search(text: str) -> Callable[[str], bool]:
    """Return what searches for a regular expression.

    Raises:
        InvalidParameterException: it is none, or has parentheses, which are not supported.
    """
    if "(" in text or ")" in text:
        raise invalid_pattern(f"Invalid character(s) in term '{text}'")
    try:
        pattern = re.compile(text)
    except re.error:
        raise invalid_pattern(f"Invalid regular expression '{text}'") from None
    return lambda value: pattern.search(value) is not None


def wildcard_match(text: str) -> Callable[[str], bool]:
    """Return what compares with a text in which `*` stands for anything."""
    unescaped = re.sub(r"\\(.)", r"\1", text)
    if "*" not in unescaped:
        return lambda value: value == unescaped
    pattern = re.compile(".*".join(re.escape(part) for part in unescaped.split("*")), re.DOTALL)
    return lambda value: pattern.fullmatch(value) is not None


def _compares(compare: Callable[[float, float], bool], found: object, number: float) -> bool:
    if isinstance(found, bool) or found is None:
        return False
    if isinstance(found, int | float):
        return compare(float(found), number)
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        return compare(float(found), number)
    return False


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
