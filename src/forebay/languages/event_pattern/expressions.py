"""Reads one match expression of a pattern: {"prefix": "a"}, {"numeric": [">", 0]}, {"anything-but": ...}.

Error texts, and the order in which they win, are those of aws/event-ruler's JsonRuleCompiler, oddities included
("prefix match pattern must be a string" for cidr).
"""

from collections.abc import Callable
from typing import NamedTuple

from forebay.languages.event_pattern.dialect import Dialect
from forebay.languages.event_pattern.matchers import (
    AnythingBut,
    Cidr,
    EqualsIgnoreCase,
    Matcher,
    NumericRange,
    Prefix,
    PrefixIgnoreCase,
    Present,
    Suffix,
    SuffixIgnoreCase,
    Wildcard,
)
from forebay.languages.event_pattern.scalar import MILLION, Key, find_address, parse_millionths
from forebay.languages.event_pattern.tokens import InvalidPattern, TokenReader
from forebay.languages.json_tokens import Token


class Entry(NamedTuple):
    """What one entry of a leaf's array adds to the leaf."""

    keys: tuple[Key, ...] = ()
    matcher: Matcher | None = None
    absent: bool = False


_ONE_KEY = "Only one key allowed in match expression"
_TOO_MANY = "Too many elements in numeric expression"


def parse_expression(reader: TokenReader, dialect: Dialect) -> Entry:
    """Read a match expression, whose opening brace has been read, up to its closing one."""
    token = reader.next()
    if token.kind != "name":
        reader.fail("Match expression name not found")
    if token.value not in dialect.operators:
        reader.fail(f"Unrecognized match type {token.value}")
    return _PARSERS[token.value](reader, dialect)


def _exactly(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    text = _closed_text(reader, reader.next(), "exact match pattern must be a string")
    return Entry(keys=(text,))


def _prefix(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    token = reader.next()
    if token.kind == "{":
        return Entry(matcher=PrefixIgnoreCase(_ignoring_case(reader, "prefix")))
    return Entry(matcher=Prefix(_closed_text(reader, token, "prefix match pattern must be a string")))


def _suffix(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    token = reader.next()
    if token.kind == "{":
        return Entry(matcher=SuffixIgnoreCase(_ignoring_case(reader, "suffix")))
    return Entry(matcher=Suffix(_closed_text(reader, token, "suffix match pattern must be a string")))


def _ignoring_case(reader: TokenReader, operator: str) -> str:
    name = reader.next()
    if name.kind != "name":
        reader.fail(f"{operator.title()} expression name not found")
    if name.value != "equals-ignore-case":
        reader.fail(f"Unsupported {operator} pattern: {name.value}")
    text = _closed_text(reader, reader.next(), "equals-ignore-case match pattern must be a string")
    _close(reader, _ONE_KEY)
    return text.lower()


def _equals_ignore_case(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    text = _closed_text(reader, reader.next(), "equals-ignore-case match pattern must be a string")
    return Entry(matcher=EqualsIgnoreCase(text.lower()))


def _wildcard(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    text = _text(reader, reader.next(), "wildcard match pattern must be a string")
    matcher = _wildcard_of(reader, text)
    _close(reader, _ONE_KEY)
    return Entry(matcher=matcher)


def _wildcard_of(reader: TokenReader, text: str) -> Wildcard:
    parts: list[str] = [""]
    # Ruler counts positions in bytes, from the opening quote.
    position, at = 1, 0
    while at < len(text):
        character, following = text[at], text[at + 1 : at + 2]
        if character == "*" and following == "*":
            reader.fail(f"Consecutive wildcard characters at pos {position}")
        if character == "*":
            parts.append("")
        elif character != "\\":
            parts[-1] += character
        elif following and following in "*\\":
            parts[-1] += following
            position, at = position + 1, at + 1
        else:
            reader.fail(f"Invalid escape character at pos {position}")
        position, at = position + len(character.encode("utf-8", "surrogatepass")), at + 1
    return Wildcard(tuple(parts))


def _exists(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    token = reader.next()
    if token.kind not in {"true", "false"}:
        reader.fail("exists match pattern must be either true or false.")
    _close(reader, _ONE_KEY)
    return Entry(matcher=Present()) if token.kind == "true" else Entry(absent=True)


def _cidr(reader: TokenReader, dialect: Dialect) -> Entry:
    del dialect
    matcher = _cidr_of(_text(reader, reader.next(), "prefix match pattern must be a string"))
    _close(reader, _ONE_KEY)
    return Entry(matcher=matcher)


def _cidr_of(text: str) -> Cidr:
    # Ruler raises these outside its parser, hence without a place.
    address, slash, mask = text.partition("/")
    if not slash or "/" in mask:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    if not mask.lstrip("+-").isdecimal() or len(mask.lstrip("+-")) < len(mask) - 1:
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
    bits = int(mask)
    if bits < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    packed = find_address(address)
    if packed is None:
        raise InvalidPattern(f"Nonstandard IP address: {address}")
    size = len(packed) * 8
    if bits >= size:
        raise InvalidPattern(f"IPv{4 if size == 32 else 6} mask bits must be < {size}")
    variable = (1 << (size - bits)) - 1
    low = int.from_bytes(packed) & ~variable
    return Cidr(low.to_bytes(len(packed)), (low | variable).to_bytes(len(packed)))


def _anything_but(reader: TokenReader, dialect: Dialect) -> Entry:
    token = reader.next()
    operator = None
    if token.kind == "{":
        name = reader.next()
        if name.kind != "name":
            reader.fail("Anything-But expression name not found")
        if name.value not in dialect.negated_operators:
            reader.fail(f"Unsupported anything-but pattern: {name.value}")
        operator, token = name.value, reader.next()
    if token.kind not in {"[", "string", "number"}:
        reader.fail("Value of anything-but must be an array or single string/number value.")
    if token.kind == "[":
        items = _items(reader, {"string", "number"} if operator is None else {"string"})
    else:
        items = [token]
        reader.take(token)
    if operator is None:
        keys, inner = _excluded_values(reader, items, dialect), ()
    else:
        keys, inner = frozenset[Key](), _excluded_forms(reader, items, operator)
    _close(reader, _TOO_MANY)
    if operator is not None:
        _close(reader, _TOO_MANY)
    return Entry(matcher=AnythingBut(keys, inner, dialect.number_max))


def _items(reader: TokenReader, kinds: set[str]) -> list[Token]:
    """Read an array's items of some kinds; stop at the first of another one, for the caller to refuse."""
    items: list[Token] = []
    while True:
        token = reader.next()
        if token.kind == "]":
            return items
        items.append(token)
        if token.kind not in kinds:
            return items
        reader.take(token)


def _excluded_values(reader: TokenReader, items: list[Token], dialect: Dialect) -> frozenset[Key]:
    keys: set[Key] = set()
    for token in items:
        if token.kind == "string":
            keys.add(token.value)
        elif token.kind == "number":
            keys.add(("millionths", _millionths(reader, token, dialect, point_back=True)))
        else:
            reader.fail("Inside anything but list, start|null|boolean is not supported.")
    if len({token.kind for token in items}) != 1:
        reader.fail("Inside anything but list, either all values are number or string, mixed type is not supported")
    return frozenset(keys)


def _excluded_forms(reader: TokenReader, items: list[Token], operator: str) -> tuple[Matcher, ...]:
    reason = {
        "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not "
        "supported.",
        "wildcard": "wildcard match pattern must be a string",
    }.get(operator, "prefix/suffix match pattern must be a string")
    matchers: list[Matcher] = []
    for token in items:
        if token.kind != "string":
            reader.fail(reason)
        text = token.value
        if not text and operator in {"prefix", "suffix"}:
            reader.take(token)
            reader.fail("Null prefix/suffix not allowed")
        if operator == "wildcard":
            matchers.append(_wildcard_of(reader, text))
        elif operator == "equals-ignore-case":
            matchers.append(EqualsIgnoreCase(text.lower()))
        else:
            matchers.append(Prefix(text) if operator == "prefix" else Suffix(text))
    return tuple(matchers)


def _numeric(reader: TokenReader, dialect: Dialect) -> Entry:
    if reader.next().kind != "[":
        reader.fail("Value of numeric must be an array.")
    token = reader.next()
    operator = _text(reader, token, f"Invalid member in numeric match: {token.value}")
    if operator not in {"=", "<", "<=", ">", ">="}:
        reader.next()
        reader.fail(f"Unrecognized numeric range operator: {operator}")
    bottom = _number(reader, operator)
    following = reader.next()
    if following.kind == "]":
        value = _millionths(reader, bottom, dialect)
        _close(reader, _TOO_MANY)
        if operator == "=":
            return Entry(keys=(("millionths", value),))
        return Entry(matcher=_half_range(operator, value, dialect))
    if operator not in {">", ">="}:
        reader.fail(_TOO_MANY)
    matcher = _range(reader, operator, bottom, following, dialect)
    _close(reader, _TOO_MANY)
    return Entry(matcher=matcher)


def _half_range(operator: str, value: int, dialect: Dialect) -> NumericRange:
    end = dialect.number_max * MILLION
    if operator in {">", ">="}:
        return NumericRange(value + (operator == ">"), end, dialect.number_max)
    return NumericRange(-end, value - (operator == "<"), dialect.number_max)


def _range(reader: TokenReader, lower: str, bottom: Token, following: Token, dialect: Dialect) -> NumericRange:
    upper = _text(reader, following, f"Bad value in numeric range: {following.value}")
    if upper not in {"<", "<="}:
        reader.fail(f"Bad numeric range operator: {upper}")
    top = _number(reader, upper)
    if reader.next().kind != "]":
        reader.fail("Too many terms in numeric range expression")
    low, high = _millionths(reader, bottom, dialect), _millionths(reader, top, dialect)
    if high <= low:
        reader.fail("Bottom must be less than top")
    return NumericRange(low + (lower == ">"), high - (upper == "<"), dialect.number_max)


def _number(reader: TokenReader, operator: str) -> Token:
    token = reader.next()
    if token.kind != "number":
        reader.fail(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    return token


def _millionths(reader: TokenReader, token: Token, dialect: Dialect, *, point_back: bool = False) -> int:
    try:
        return parse_millionths(token.value, dialect.number_max)
    except ValueError as error:
        if point_back:
            reader.take(token)
        reader.fail(str(error))


def _text(reader: TokenReader, token: Token, reason: str) -> str:
    if token.kind != "string":
        reader.fail(reason)
    return reader.take(token)


def _closed_text(reader: TokenReader, token: Token, reason: str) -> str:
    text = _text(reader, token, reason)
    _close(reader, _ONE_KEY)
    return text


def _close(reader: TokenReader, reason: str) -> None:
    if reader.next().kind != "}":
        reader.fail(reason)


_PARSERS: dict[str, Callable[[TokenReader, Dialect], Entry]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
}
