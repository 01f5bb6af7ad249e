"""JSON read token by token, with the places and error texts of Jackson, the parser that AWS's services use.

A general JSON parser cannot serve where AWS's error texts name the line and column where Jackson stood when it gave
up, or where the order and repetition of keys matter. Jackson looks one value ahead after a field name and reads a
string's content only on demand; both show in the columns and are kept here.
"""

import json
import re
from collections.abc import Iterator
from typing import NoReturn

import msgspec

SNIPPET_CHARACTERS_MAX = 500

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z0-9_$]+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_LITERALS = ("true", "false", "null")
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_CONTAINERS = {"{": ("Object", "}"), "[": ("Array", "]")}


class InvalidJson(ValueError):
    """A text is not JSON; `reason` and `place` are Jackson's words."""

    def __init__(self, reason: str, place: str) -> None:
        super().__init__(f"{reason}\n at {place}")
        self.reason = reason
        self.place = place


class Token(msgspec.Struct, frozen=True):
    """A piece of JSON. `at` is where the parser stands with it at hand, `end` where it stands once it is read.

    `kind` is one of `{ } [ ] name string number true false null end`; `value` the decoded string, or the text.
    """

    kind: str
    value: str
    at: int
    end: int


def place_of(text: str, offset: int) -> str:
    """Describe an offset as Jackson's JsonLocation does."""
    line, start = 1, 0
    for end in _LINE_END.finditer(text, 0, offset):
        line, start = line + 1, end.end()
    snippet = text[:SNIPPET_CHARACTERS_MAX]
    more = len(text) - len(snippet)
    cut = f"[truncated {more} chars]" if more else ""
    return f'[Source: (String)"{snippet}"{cut}; line: {line}, column: {offset - start + 1}]'


def _fail(text: str, reason: str, offset: int) -> NoReturn:
    raise InvalidJson(reason, place_of(text, offset))


def _named(character: str) -> str:
    code = ord(character)
    return f"(CTRL-CHAR, code {code})" if code < 0x20 else f"'{character}' (code {code})"


def _unexpected(text: str, offset: int, expectation: str) -> NoReturn:
    _fail(text, f"Unexpected character ({_named(text[offset])}): {expectation}", offset)


def _skip_space(text: str, offset: int) -> int:
    match = _SPACE.match(text, offset)
    return match.end() if match else offset


def scan(text: str, offset: int = 0) -> Iterator[Token]:
    """Yield the tokens of the JSON value that starts at an offset; nothing where only space is left.

    Raises:
        InvalidJson: while iterating, at the first token that is wrong.
    """
    offset = _skip_space(text, offset)
    if offset == len(text):
        return
    token = _value(text, offset)
    yield token
    opened = [token] if token.kind in _CONTAINERS else []
    first = True
    while opened:
        container = opened[-1]
        offset = _entry(text, _skip_space(text, token.end), container, first=first)
        if text[offset] == _CONTAINERS[container.kind][1]:
            opened.pop()
            token, first = Token(text[offset], text[offset], offset + 1, offset + 1), False
            yield token
            continue
        if container.kind == "{":
            name, offset = _name(text, offset)
            token = _value(text, offset)
            yield Token("name", name, token.at, token.at)
        else:
            token = _value(text, offset)
        yield token
        first = token.kind in _CONTAINERS
        if first:
            opened.append(token)


def _entry(text: str, offset: int, container: Token, *, first: bool) -> int:
    """Return where the next entry, or the closing mark, of a container stands."""
    described, closing = _CONTAINERS[container.kind]
    if offset == len(text) or text[offset] in "}]":
        return _closing(text, offset, container)
    if first:
        return offset
    if text[offset] != ",":
        _unexpected(text, offset, f"was expecting comma to separate {described} entries")
    offset = _skip_space(text, offset + 1)
    if offset == len(text):
        _fail(text, f"Unexpected end-of-input within/between {described} entries", offset)
    if text[offset] == closing and closing == "}":
        _unexpected(text, offset, "was expecting double-quote to start field name")
    if text[offset] == closing:
        _unexpected(text, offset, f"expected a valid value {_VALUES}")
    return offset


def _closing(text: str, offset: int, container: Token) -> int:
    """Return the place of a container's closing mark, refusing the end of the text and the other kind's mark."""
    described, closing = _CONTAINERS[container.kind]
    if text[offset : offset + 1] == closing:
        return offset
    start = place_of(text, container.at - 1)
    if offset == len(text):
        reason = f"expected close marker for {described} (start marker at {start})"
        _fail(text, f"Unexpected end-of-input: {reason}", offset)
    reason = f"expected '{closing}' (for {described} starting at {start})"
    _fail(text, f"Unexpected close marker '{text[offset]}': {reason}", offset)


def _name(text: str, offset: int) -> tuple[str, int]:
    """Read a field's name and its colon; return it and where its value starts."""
    if text[offset] != '"':
        _unexpected(text, offset, "was expecting double-quote to start field name")
    name, offset = _string(text, offset)
    offset = _skip_space(text, offset)
    if offset < len(text) and text[offset] != ":":
        _unexpected(text, offset, "was expecting a colon to separate field name and value")
    offset = _skip_space(text, offset + 1)
    if offset >= len(text):
        _fail(text, "Unexpected end-of-input within/between Object entries", len(text))
    return name, offset


def _value(text: str, offset: int) -> Token:
    first = text[offset]
    if first in _CONTAINERS:
        return Token(first, first, offset + 1, offset + 1)
    if first == '"':
        value, end = _string(text, offset)
        return Token("string", value, offset + 1, end)
    if first == "-" or first.isdecimal():
        return _number(text, offset)
    word = _WORD.match(text, offset)
    if word is None:
        _unexpected(text, offset, f"expected a valid value {_VALUES}")
    if word[0] not in _LITERALS:
        _fail(text, f"Unrecognized token '{word[0]}': was expecting {_VALUES}", word.end())
    return Token(word[0], word[0], word.end(), word.end())


def _number(text: str, offset: int) -> Token:
    number = _NUMBER.match(text, offset)
    if number is None:
        bad = min(offset + 1, len(text) - 1)
        _unexpected(text, bad, "expected digit (0-9) to follow minus sign, for valid numeric value")
    end = number.end()
    if number[0] in {"0", "-0"} and text[end : end + 1].isdecimal():
        _fail(text, "Invalid numeric value: Leading zeroes not allowed", end)
    if end < len(text) and text[end] not in " \t\r\n,]}":
        _unexpected(text, end, "Expected space separating root-level values")
    return Token("number", number[0], end, end)


def _string(text: str, offset: int) -> tuple[str, int]:
    match = _STRING.match(text, offset)
    if match:
        return json.loads(match[0]), match.end()
    at = offset + 1
    while at < len(text) and text[at] >= " " and text[at] != '"':
        escape = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})').match(text, at)
        if text[at] == "\\" and not escape:
            _bad_escape(text, at + 1)
        at = escape.end() if escape else at + 1
    if at >= len(text):
        _fail(text, "Unexpected end-of-input: was expecting closing quote for a string value", len(text))
    reason = f"Illegal unquoted character ({_named(text[at])[1:-1]})"
    _fail(text, f"{reason}: has to be escaped using backslash to be included in string value", at + 1)


def _bad_escape(text: str, offset: int) -> NoReturn:
    if offset >= len(text):
        _fail(text, "Unexpected end-of-input in character escape sequence", offset)
    if text[offset] != "u":
        _fail(text, f"Unrecognized character escape {_named(text[offset])}", offset)
    digits = re.compile("[0-9a-fA-F]*").match(text, offset + 1)
    bad = digits.end() if digits else offset + 1
    if bad >= len(text):
        _fail(text, "Unexpected end-of-input in character escape sequence", bad)
    _unexpected(text, bad, "expected a hex-digit for character escape sequence")
