"""Expressions as trees: conditions, updates and projections, by the grammar of the developer guide.

Only what the grammar decides is decided here. Names that are not defined, functions that do not exist and operands of
a wrong type are found when the tree is compiled, which is also DynamoDB's order.
"""

from collections.abc import Callable

from forebay.languages.dynamodb.lexer import Tokens, new_tokens
from forebay.languages.dynamodb.syntax import (
    Action,
    Arithmetic,
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Junction,
    Not,
    Operand,
    PathPart,
    RawPath,
    ValueRef,
)

_COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
_NESTING_MAX = 32
_OPERATORS_MAX = 300
_IN_MAX = 100
_INDEX_DIGITS_MAX = 9


def parse_condition(what: str, text: str) -> Condition:
    """Parse a condition, filter or key condition."""
    tokens = new_tokens(what, text)
    parser = _ConditionParser(tokens)
    condition = parser.condition()
    if tokens.next.kind != "end":
        tokens.refuse()
    tokens.check_parentheses()
    if parser.operators > _OPERATORS_MAX:
        raise tokens.error(f"The expression contains too many operators; operator count: {parser.operators}")
    return condition


def parse_projection(what: str, text: str) -> tuple[RawPath, ...]:
    """Parse a projection: paths with commas between."""
    tokens = new_tokens(what, text)
    paths = [parse_path(tokens)]
    while tokens.take_sign(","):
        paths.append(parse_path(tokens))
    if tokens.next.kind != "end":
        tokens.refuse()
    return tuple(paths)


def parse_update(text: str) -> tuple[Action, ...]:
    """Parse an update: each section once at most."""
    tokens = new_tokens("UpdateExpression", text)
    actions: list[Action] = []
    seen: set[str] = set()
    operators = 0
    while tokens.next.kind != "end":
        if not tokens.is_word(*_SECTIONS):
            tokens.refuse()
        section = tokens.take().text.upper()
        if section in seen:
            raise tokens.error(f'The "{section}" section can only be used once in an update expression;')
        seen.add(section)
        actions.append(_action(tokens, section))
        while tokens.take_sign(","):
            actions.append(_action(tokens, section))
        operators += 1
    tokens.check_parentheses()
    if len(actions) + operators > _OPERATORS_MAX:
        count = len(actions) + operators
        raise tokens.error(f"The expression contains too many operators; operator count: {count}")
    return tuple(actions)


def parse_path(tokens: Tokens) -> RawPath:
    """Read a document path."""
    if tokens.next.kind not in {"name", "alias"}:
        tokens.refuse()
    parts: list[PathPart] = [tokens.take().text]
    while True:
        if tokens.take_sign("."):
            if tokens.next.kind not in {"name", "alias"}:
                tokens.refuse()
            parts.append(tokens.take().text)
        elif tokens.take_sign("["):
            parts.append(_index(tokens))
        else:
            break
    if len(parts) > _NESTING_MAX:
        raise tokens.error(f"The document path has too many nesting elements; nesting levels: {len(parts)}")
    return RawPath(tuple(parts))


def _index(tokens: Tokens) -> int:
    if tokens.next.kind != "number":
        tokens.refuse()
    digits = tokens.take().text
    if len(digits.lstrip("0")) > _INDEX_DIGITS_MAX:
        raise tokens.error(f"List index is not within the allowable range; index: [{digits}]")
    tokens.expect_sign("]")
    return int(digits)


def _action(tokens: Tokens, section: str) -> Action:
    path = parse_path(tokens)
    if section == "REMOVE":
        return Action(section, path)
    if section == "SET":
        tokens.expect_sign("=")
        return Action(section, path, _sum(tokens))
    if tokens.next.kind != "value":
        tokens.refuse()
    return Action(section, path, ValueRef(tokens.take().text))


def _sum(tokens: Tokens) -> Operand:
    return _sum_from(tokens, parse_operand(tokens))


def _sum_from(tokens: Tokens, left: Operand) -> Operand:
    for sign in ("+", "-"):
        if tokens.take_sign(sign):
            return Arithmetic(sign, left, parse_operand(tokens))
    return left


def parse_operand(tokens: Tokens) -> Operand:
    """Read a path, a value or a function, in parentheses or not."""
    token = tokens.next
    if token.text == "(":
        return _parenthesised(tokens)
    if token.kind == "value":
        return ValueRef(tokens.take().text)
    if token.kind == "name" and tokens.after_next.text == "(":
        return _function(tokens)
    return parse_path(tokens)


def _parenthesised(tokens: Tokens) -> Operand:
    tokens.open_parenthesis()
    is_double = tokens.next.text == "("
    inner = parse_operand(tokens)
    operand = _sum_from(tokens, inner) if tokens.what == "UpdateExpression" else inner
    tokens.close_parenthesis()
    tokens.has_redundant_parentheses |= is_double and operand is inner
    return operand


def _function(tokens: Tokens) -> Function:
    name = tokens.take().text
    tokens.open_parenthesis()
    arguments = [parse_operand(tokens)]
    while tokens.take_sign(","):
        arguments.append(parse_operand(tokens))
    tokens.close_parenthesis()
    return Function(name, tuple(arguments))


class _ConditionParser:
    """Parses one condition, counting its operators."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.operators = 0

    def condition(self) -> Condition:
        return self._as_condition(self._or())

    def _or(self) -> Condition | Operand:
        return self._joined("OR", self._and)

    def _and(self) -> Condition | Operand:
        return self._joined("AND", self._not)

    def _joined(self, word: str, parse: Callable[[], Condition | Operand]) -> Condition | Operand:
        first = parse()
        if not self._tokens.is_word(word):
            return first
        conditions = [self._as_condition(first)]
        while self._tokens.take_word(word):
            self.operators += 1
            conditions.append(self._as_condition(parse()))
        return Junction(word, tuple(conditions))

    def _not(self) -> Condition | Operand:
        negations = 0
        while self._tokens.take_word("NOT"):
            negations += 1
        condition = self._primary()
        for _ in range(negations):
            self.operators += 1
            condition = Not(self._as_condition(condition))
        return condition

    def _primary(self) -> Condition | Operand:
        tokens = self._tokens
        if tokens.next.text == "(":
            inner = self._parenthesised()
            if not isinstance(inner, RawPath | ValueRef | Function):
                return inner
            left: Operand = inner
        else:
            left = parse_operand(tokens)
        return self._compared(left)

    def _parenthesised(self) -> Condition | Operand:
        tokens = self._tokens
        tokens.open_parenthesis()
        is_double = tokens.next.text == "("
        inner = self._or()
        if tokens.next.text == ")" and is_double and tokens.all[tokens.position - 1].text == ")":
            tokens.has_redundant_parentheses |= self._is_doubled()
        tokens.close_parenthesis()
        return inner

    def _is_doubled(self) -> bool:
        """Tell whether the parentheses that end before the next token belong to those that begin the inner part."""
        tokens = self._tokens.all
        depth = 0
        place = self._tokens.position - 1
        while True:
            text = tokens[place].text
            depth += (text == ")") - (text == "(")
            if depth == 0:
                # The opening one of the inner pair: doubled if another opens right before it, and is no function's.
                return tokens[place - 1].text == "(" and (
                    place < 2
                    or tokens[place - 2].kind != "name"
                    or tokens[place - 2].text.upper() in {"AND", "OR", "NOT", "IN", "BETWEEN"}
                )
            place -= 1

    def _compared(self, left: Operand) -> Condition | Operand:
        tokens = self._tokens
        if tokens.next.kind == "sign" and tokens.next.text in _COMPARATORS:
            sign = tokens.take().text
            self.operators += 1
            return Comparison(sign, left, parse_operand(tokens))
        if tokens.take_word("BETWEEN"):
            self.operators += 1
            low = parse_operand(tokens)
            tokens.expect_word("AND")
            return Between(left, low, parse_operand(tokens))
        if tokens.take_word("IN"):
            return self._in(left)
        self.operators += isinstance(left, Function)
        return left

    def _in(self, left: Operand) -> Condition:
        tokens = self._tokens
        tokens.expect_sign("(")
        others = [parse_operand(tokens)]
        while tokens.take_sign(","):
            others.append(parse_operand(tokens))
        tokens.expect_sign(")")
        self.operators += 1
        if len(others) > _IN_MAX:
            raise tokens.error(
                "Incorrect number of operands for operator or function; "
                f"operator or function: IN, number of operands: {len(others) + 1}"
            )
        return In(left, tuple(others))

    def _as_condition(self, parsed: Condition | Operand) -> Condition:
        if isinstance(parsed, RawPath | ValueRef | Arithmetic):
            self._tokens.refuse()
            raise AssertionError  # noqa: TRY004  refuse has raised
        return parsed
