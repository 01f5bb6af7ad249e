"""What a statement is: where it reads or writes, under which condition, with which values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forebay.languages.dynamodb.scope import Values
from forebay.languages.dynamodb.syntax import Action, Condition, RawPath
from forebay.languages.dynamodb.value import Value

Template = Callable[[Sequence[Value]], Value]
"""A value in which parameters may stand: given them, it is the value."""


@dataclass(frozen=True)
class Literals:
    """The values of a statement by their names (`:0`, `:1` ...), and how many parameters these have."""

    templates: tuple[Template, ...]
    parameters: int

    def values(self, parameters: Sequence[Value]) -> Values:
        """Return the values with parameters put in."""
        return {f":{place}": template(parameters) for place, template in enumerate(self.templates)}


@dataclass(frozen=True)
class Select:
    """SELECT; `paths` None is `*`. `order` is the attribute and whether it descends."""

    table: str
    index: str | None
    paths: tuple[RawPath, ...] | None
    where: Condition | None
    order: tuple[tuple[str, bool], ...]
    literals: Literals
    is_existence: bool = False


@dataclass(frozen=True)
class Insert:
    """INSERT INTO; the item is the value `:0`."""

    table: str
    literals: Literals


@dataclass(frozen=True)
class Update:
    """UPDATE; `returning` is as ReturnValues."""

    table: str
    actions: tuple[Action, ...]
    where: Condition
    returning: str
    literals: Literals


@dataclass(frozen=True)
class Delete:
    """DELETE FROM; `returning` is as ReturnValues."""

    table: str
    where: Condition
    returning: str
    literals: Literals


Statement = Select | Insert | Update | Delete
