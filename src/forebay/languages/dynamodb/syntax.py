"""What expressions are made of, before names and values are put in."""

from dataclasses import dataclass
from typing import Union

PathPart = str | int


@dataclass(frozen=True, slots=True)
class RawPath:
    """A document path as it was written: names, aliases (`#name`) and positions in lists."""

    parts: tuple[PathPart, ...]


@dataclass(frozen=True, slots=True)
class ValueRef:
    """A value of the request, by its name with the colon."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function's use, whatever its name."""

    name: str
    arguments: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The sum or difference of two operands, as SET knows it."""

    sign: str
    left: "Operand"
    right: "Operand"


Operand = Union[RawPath, ValueRef, Function, Arithmetic]  # noqa: UP007  forward references


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and =, <>, <, <=, > or >=."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """Whether an operand lies between two others, both included."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """Whether an operand is among others."""

    operand: Operand
    others: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by AND or OR."""

    word: str
    conditions: tuple["Condition", ...]


Condition = Union[Comparison, Between, In, Not, Junction, Function]  # noqa: UP007  forward references


@dataclass(frozen=True, slots=True)
class Action:
    """One action of an update: `section` is SET, REMOVE, ADD or DELETE; REMOVE has no operand."""

    section: str
    path: RawPath
    operand: Operand | None = None
