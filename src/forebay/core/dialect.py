"""How a service words what it cannot read: most alike, DynamoDB in the words of its own reader.

A `Dialect` also tells constraints which a service enforces though its public model has others.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from forebay.core.schema import Flag, ListOf, MapOf, Member, Node, Number, Structure, Text
from forebay.core.validation import Violation

Unexpected = Callable[[object, Node], str]


def unexpected(raw: object, wanted: Node) -> str:
    """Word a value of the wrong kind as most of AWS's JSON protocols do."""
    match raw:
        case dict():
            return "Start of structure or map found where not expected."
        case list():
            return "Start of list found where not expected"
        case _ if isinstance(wanted, Structure | ListOf | MapOf):
            return "Unexpected value type in payload"
        case _:
            return f"{token_name(raw)} cannot be converted to {scalar_name(wanted)}"


def token_name(raw: object) -> str:
    """Name a scalar's token as AWS's JSON reader does."""
    match raw:
        case bool():
            return "TRUE_VALUE" if raw else "FALSE_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case str():
            return "STRING_VALUE"
        case _:
            return "EMBEDDED_VALUE"


def scalar_name(wanted: Node) -> str:
    """Name the type of a value without parts."""
    match wanted:
        case Text():
            return "String"
        case Flag():
            return "Boolean"
        case Number():
            return "Integer" if wanted.whole else "Double"
        case _:
            return "Blob"


def no_base64(_text: str) -> str:
    """Word a text that is no base64."""
    return "Invalid base64 data"


def as_modelled(_member: Member, _value: object, _path: str) -> Sequence[Violation] | None:
    """Leave it to the model's constraints."""
    return None


def any_keys(_path: str, _keys: Iterable[str]) -> str | None:
    """Leave maps' keys to the model's constraints."""
    return None


@dataclass(frozen=True)
class Dialect:
    """One service's words: for a value of the wrong kind, for what is no base64.

    `constraints` names what a member breaks of rules that stand in the place of the model's; None: the model's hold.
    `broken_keys` words the rules for keys of the map at a path where one breaks them. With `truncates` a number with a
    fraction is read as an integer; at most `violations_max` violations are told.
    """

    unexpected: Unexpected = unexpected
    no_base64: Callable[[str], str] = no_base64
    constraints: Callable[[Member, object, str], Sequence[Violation] | None] = as_modelled
    broken_keys: Callable[[str, Iterable[str]], str | None] = any_keys
    truncates: bool = False
    violations_max: int | None = None


PLAIN = Dialect()


def decode_base64(text: str) -> bytes | None:
    """Return the bytes of a base64 text, None where it is none."""
    try:
        return a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        return None
