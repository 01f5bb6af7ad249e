"""The intrinsic functions of JSONPath states: `States.Format('Hello, {}', $.name)`.

Syntax: Amazon States Language specification, appendix B. The functions themselves are in intrinsic_functions.py.
"""

import re
from dataclasses import dataclass

from forebay.languages.asl.document import decode, encode
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.intrinsic_functions import FUNCTIONS, FunctionFailure, Signature
from forebay.languages.asl.machine import Expression
from forebay.languages.asl.paths import InvalidPath, Path, parse_path
from forebay.languages.asl.scope import ABSENT, Scope

# "You can nest up to 10 intrinsic functions" (developer guide).
NESTING_MAX = 10

_PREFIX = "States."
_NAME = re.compile(r"States\.([A-Za-z0-9]+)\s*\(")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_CONSTANT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])|true\b|false\b|null\b")
_ESCAPED = re.compile(r"\\(['\\])")
_SPACE = re.compile(r"\s*")


def is_intrinsic(text: str) -> bool:
    """Return whether a text calls a function, well or badly."""
    return text.startswith(_PREFIX)


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal argument."""

    value: object

    def evaluate(self, scope: Scope) -> object:
        """Return the value."""
        del scope
        return self.value


@dataclass(frozen=True, slots=True)
class PathArgument:
    """A path argument. `call` is the whole call, for the error text."""

    path: Path
    call: str

    def evaluate(self, scope: Scope) -> object:
        """Return what the path leads to."""
        value = self.path.find(scope)
        if value is ABSENT:
            searched = scope.context if self.path.root == "$$" else scope.document
            sentence = f"The JsonPath argument for the field '{self.path.text}' could not be found in the input"
            raise StateFailure(
                ErrorName.RUNTIME,
                f"The function '{self.call}' had the following error: {sentence} '{encode(searched)}'",
            )
        return value


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments. `call` is its text."""

    call: str
    signature: Signature
    arguments: tuple[Expression, ...]

    def evaluate(self, scope: Scope) -> object:
        """Return the function's result."""
        values = [argument.evaluate(scope) for argument in self.arguments]
        try:
            return self.signature.apply(values, scope.ids)
        except FunctionFailure as failure:
            raise StateFailure(
                ErrorName.INTRINSIC_FAILURE, f"The function '{self.call}' had the following error: {failure}"
            ) from None


def parse_intrinsic(text: str) -> Expression:
    """Compile a function call.

    Raises:
        InvalidPath: it is none.
    """
    reader = _Reader(text)
    call = reader.call(1)
    if reader.rest():
        raise InvalidPath(f"Invalid intrinsic function call: {text}")
    return call


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def rest(self) -> str:
        return self._text[self._at :].strip()

    def _fail(self) -> InvalidPath:
        return InvalidPath(f"Invalid intrinsic function call: {self._text}")

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def call(self, depth: int) -> Call:
        start = self._at
        match = _NAME.match(self._text, self._at)
        signature = FUNCTIONS.get(match[1]) if match else None
        if match is None or signature is None or depth > NESTING_MAX:
            raise self._fail()
        self._at = match.end()
        end = _end_of_call(self._text, match.end() - 1)
        arguments = self._arguments(depth, self._text[start:end])
        if not signature.takes(len(arguments)):
            raise self._fail()
        return Call(self._text[start : self._at], signature, arguments)

    def _arguments(self, depth: int, call: str) -> tuple[Expression, ...]:
        arguments: list[Expression] = []
        self._skip_space()
        if self._text.startswith(")", self._at):
            self._at += 1
            return ()
        while True:
            self._skip_space()
            arguments.append(self._argument(depth, call))
            self._skip_space()
            mark = self._text[self._at : self._at + 1]
            self._at += 1
            if mark == ")":
                return tuple(arguments)
            if mark != ",":
                raise self._fail()

    def _argument(self, depth: int, call: str) -> Expression:
        if self._text.startswith(_PREFIX, self._at):
            return self.call(depth + 1)
        for pattern, read in ((_STRING, _string), (_CONSTANT, _constant)):
            match = pattern.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return read(match)
        if self._text.startswith("$", self._at):
            end = _end_of_path(self._text, self._at)
            path = parse_path(self._text[self._at : end].rstrip())
            self._at = end
            return PathArgument(path, call)
        raise self._fail()


def _string(match: re.Match[str]) -> Expression:
    # `\{` and `\}` mean something to States.Format only, and stay.
    return Constant(_ESCAPED.sub(r"\1", match[1]))


def _constant(match: re.Match[str]) -> Expression:
    try:
        return Constant(decode(match[0]))
    except ValueError:
        raise InvalidPath(f"Number out of range: {match[0]}") from None


def _end_of_path(text: str, at: int) -> int:
    """Return where a path argument ends: at a comma or parenthesis outside brackets, quotes and filters."""
    depth = 0
    while at < len(text):
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            at = quoted.end()
            continue
        character = text[at]
        if not depth and character in ",)":
            break
        depth += (character in "[(") - (character in "])")
        at += 1
    return at


def _end_of_call(text: str, at: int) -> int:
    """Return where the call whose parenthesis opens at an offset ends."""
    depth = 0
    while at < len(text):
        match = _STRING.match(text, at)
        if match is not None:
            at = match.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            break
    return at
