"""Values that fit botocore's models, made from a seeded Random: what clients would send and services answer."""

import random
import re
import string
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from tools.patterns import translate
from tools.services import REQUIRED

# The standard library's own parser of expressions; how else to make what an expression matches?
sre, sre_parse = re._constants, re._parser

DEPTH_MAX = 4
_ASCII = string.ascii_letters + string.digits
_UNICODE = _ASCII + " -_.:/+%&<>'\"\\\n\té雪😀"


class Unfit(Exception):
    """No value was found that a model's constraints allow."""


class Values:
    """Makes values for shapes; `located` ones are plain enough for paths, headers and query strings."""

    def __init__(self, seed: int, *, alphabet: str = _UNICODE, full: bool = False) -> None:
        self.random = random.Random(seed)
        self.alphabet = alphabet
        # Forms and XML cannot tell what is empty from what is absent.
        self.full = full

    def for_input(self, operation: OperationModel) -> dict[str, Any]:
        return self.structure(operation.input_shape, 0) if operation.input_shape else {}

    def for_output(self, operation: OperationModel) -> dict[str, Any]:
        return self.structure(operation.output_shape, 0) if operation.output_shape else {}

    def structure(self, shape: StructureShape, depth: int) -> dict[str, Any]:  # noqa: C901  one decision a member
        required = set(shape.required_members).union(*(more.get(shape.name, ()) for more in REQUIRED.values()))
        members = dict(shape.members.items())
        made: dict[str, Any] = {}
        union = shape.metadata.get("union") or getattr(shape, "is_tagged_union", False)
        free = [name for name, member in members.items() if not member.serialization.get("eventstream")]
        if not union:
            free = [name for name in free if not isinstance(members[name], StructureShape)]
        alone = union or (self.full and depth > 0 and not required)
        chosen = self.random.choice(free) if alone and free else None
        payload = shape.serialization.get("payload")
        for name, member in members.items():
            if member.serialization.get("eventstream") or _is_exception(member):
                continue
            if union and name != chosen:
                continue
            always = name in required or name == chosen or member.serialization.get("location") == "statusCode"
            wanted = always or self.random.random() < (0.6 if depth < 2 else 0.3)
            if not wanted or (depth > DEPTH_MAX and not always):
                continue
            location = member.serialization.get("location")
            if name == payload and member.type_name in {"blob", "string"}:
                location = "payload"
            try:
                made[name] = self.value(member, depth + 1, located=location)
            except Unfit:
                if name in required:
                    raise
        return made

    def value(self, shape: Shape, depth: int, *, located: str | None = None) -> Any:
        if depth > DEPTH_MAX * 3:
            raise Unfit(shape.name)
        if isinstance(shape, StructureShape):
            made = self.structure(shape, depth)
            if self.full and not made:
                raise Unfit(shape.name)
            return made
        if isinstance(shape, ListShape):
            size = self._size(shape, depth, least=1 if located or self.full else 0)
            return [self.value(shape.member, depth + 1, located=located) for _ in range(size)]
        if isinstance(shape, MapShape):
            return self._map(shape, depth, located)
        return self._scalar(shape, located)

    def _map(self, shape: MapShape, depth: int, located: str | None) -> dict[str, Any]:
        made: dict[str, Any] = {}
        size = self._size(shape, depth, least=1 if located or self.full else 0)
        for _ in range(size * 4):
            if len(made) == size:
                break
            key = self._string(shape.key, located)
            made[key.lower() if located == "headers" else key] = self.value(shape.value, depth + 1, located=located)
        if len(made) < shape.metadata.get("min", 0):
            raise Unfit(shape.name)
        return made

    def _size(self, shape: Shape, depth: int, *, least: int) -> int:
        low = max(shape.metadata.get("min", 0), least)
        high = min(shape.metadata.get("max", low + 2), low + (2 if depth < 3 else 1))
        return self.random.randint(low, max(low, high))

    def _scalar(self, shape: Shape, located: str | None) -> Any:  # noqa: PLR0911  one kind of value a line
        kind = shape.type_name
        if kind in {"string", "character"}:
            return self._string(shape, located)
        if kind == "boolean":
            return self.random.random() < 0.5
        if kind in {"integer", "long"}:
            return self._integer(shape, located)
        if kind in {"float", "double"}:
            return self._float(shape)
        if kind == "timestamp":
            whole = located or shape.serialization.get("timestampFormat") == "rfc822"
            millis = 0 if whole else self.random.randrange(1000)
            return datetime.fromtimestamp(self.random.randrange(0, 4_000_000_000), UTC).replace(
                microsecond=millis * 1000
            )
        assert kind == "blob", kind
        low = shape.metadata.get("min", 0)
        if located:
            # botocore's parsers read some bodies as text.
            return "".join(self.random.choices(_ASCII, k=low + 3)).encode()
        return self.random.randbytes(self.random.randint(low, min(shape.metadata.get("max", low + 9), low + 9)))

    def _integer(self, shape: Shape, located: str | None) -> int:
        if located == "statusCode":
            return self.random.randint(200, 299)
        bound = 2**31 if shape.type_name == "integer" else 2**63
        low, high = shape.metadata.get("min", -bound), shape.metadata.get("max", bound - 1)
        return self.random.choice(
            [low, high, self.random.randint(low, high), min(max(self.random.randint(0, 99), low), high)]
        )

    def _float(self, shape: Shape) -> float:
        low, high = shape.metadata.get("min", -1e6), shape.metadata.get("max", 1e6)
        # Halves are exact in every width of a float.
        return float(max(low, min(high, round(self.random.uniform(low, high) * 2) / 2)))

    def _string(self, shape: Shape, located: str | None) -> str:
        assert isinstance(shape, StringShape)
        if shape.enum:
            return self.random.choice(shape.enum)
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
        pattern = shape.metadata.get("pattern")
        low = max(low, 1 if located or pattern else 0)
        if pattern is None:
            alphabet = _ASCII if located else self.alphabet
            return "".join(self.random.choices(alphabet, k=self.random.randint(low, min(high, low + 12))))
        for _ in range(60):
            text = self._matching(pattern, low, located)
            if low <= len(text) <= high and matches(pattern, text):
                return text
        raise Unfit(f"{shape.name}: {pattern}")

    def _matching(self, pattern: str, low: int, located: str | None) -> str:
        return self._from(_parsed(pattern), low)

    def _from(self, parsed: Any, low: int) -> str:
        return "".join(self._token(op, argument, low) for op, argument in parsed)

    def _token(self, op: Any, argument: Any, low: int) -> str:  # noqa: PLR0911  one kind of token a line
        match op:
            case sre.LITERAL:
                return chr(argument)
            case sre.NOT_LITERAL:
                return self.random.choice([c for c in _ASCII if ord(c) != argument])
            case sre.ANY:
                return self.random.choice(_ASCII)
            case sre.IN:
                return self._one_of(argument)
            case sre.BRANCH:
                return self._from(self.random.choice(argument[1]), low)
            case sre.SUBPATTERN:
                return self._from(argument[3], low)
            case sre.MAX_REPEAT | sre.MIN_REPEAT:
                least, most, inner = argument
                more = max(low, least) if most > least and self.random.random() < 0.8 else least
                times = self.random.randint(min(more, most), min(most, max(more, least + 4)))
                return "".join(self._from(inner, 0) for _ in range(times))
            case _:
                return ""

    def _one_of(self, parts: Any) -> str:
        allowed, plain = _members(tuple(parts))
        if not allowed:
            raise Unfit("class")
        return self.random.choice(plain if plain and self.random.random() < 0.8 else allowed)


def matches(pattern: str, text: str) -> bool:
    """Tell whether Java's expression matches the whole ASCII text."""
    return re.fullmatch(python_pattern(pattern), text) is not None


@cache
def python_pattern(pattern: str) -> str:
    """Give Java's expression as Python's; what neither Python nor the generator can say becomes letters and digits."""
    try:
        re.compile(pattern)
    except re.error:
        return translate(pattern) or "[a-zA-Z0-9]*"
    return pattern


@cache
def _members(parts: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """Give a class's printable characters, and the letters and digits among them."""
    negated = parts[0][0] is sre.NEGATE
    allowed = [chr(code) for code in range(32, 127) if _in_class(chr(code), parts) != negated]
    return allowed, [character for character in allowed if character.isalnum()]


@cache
def _parsed(pattern: str) -> Any:
    return sre_parse.parse(python_pattern(pattern))


def _in_class(character: str, parts: Any) -> bool:
    code = ord(character)
    for op, argument in parts:
        if op is sre.LITERAL and argument == code:
            return True
        if op is sre.RANGE and argument[0] <= code <= argument[1]:
            return True
        if op is sre.CATEGORY:
            kinds = {
                sre.CATEGORY_DIGIT: character.isdigit(),
                sre.CATEGORY_NOT_DIGIT: not character.isdigit(),
                sre.CATEGORY_SPACE: character.isspace(),
                sre.CATEGORY_NOT_SPACE: not character.isspace(),
                sre.CATEGORY_WORD: character.isalnum() or character == "_",
                sre.CATEGORY_NOT_WORD: not (character.isalnum() or character == "_"),
            }
            if kinds.get(argument):
                return True
    return False


def _is_exception(shape: Shape) -> bool:
    return bool(shape.metadata.get("exception"))
