"""What an expression's placeholders stand for: names when it is compiled, values when it is used.

A compiled expression depends on its text and on the names only, so that a statement that comes again and again is
compiled once. Values come with each use; what has to be known of them is noted as checks that run then.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.reserved import RESERVED_WORDS
from forebay.languages.dynamodb.syntax import PathPart, RawPath
from forebay.languages.dynamodb.value import Value

Values = Mapping[str, Value]
Path = tuple[PathPart, ...]
Check = Callable[[Values], None]
Names = tuple[tuple[str, str], ...]
"""Names of a request in a form that can be a key."""


@dataclass
class Scope:
    """The scope in which one expression is compiled. With `names` None every name means itself (legacy parameters)."""

    what: str
    names: Mapping[str, str] | None
    used_names: dict[str, None] = field(default_factory=dict[str, None])
    used_values: dict[str, None] = field(default_factory=dict[str, None])
    checks: list[Check] = field(default_factory=list[Check])

    def path(self, raw: RawPath) -> Path:
        """Return a path with its aliases replaced."""
        if self.names is None:
            return raw.parts
        return tuple(part if isinstance(part, int) else self._name(part, self.names) for part in raw.parts)

    def _name(self, part: str, names: Mapping[str, str]) -> str:
        if part[0] == "#":
            if part not in names:
                text = "An expression attribute name used in the document path is not defined; attribute name: "
                raise self.error(text + part)
            self.used_names[part] = None
            return names[part]
        if part.upper() in RESERVED_WORDS:
            raise self.error(f"Attribute name is a reserved keyword; reserved keyword: {part}")
        return part

    def value(self, name: str) -> None:
        """Note that a value is used."""
        if name not in self.used_values:
            self.used_values[name] = None
            self.checks.append(lambda values: self._check_defined(name, values))

    def _check_defined(self, name: str, values: Values) -> None:
        if name not in values:
            text = "An expression attribute value used in expression is not defined; attribute value: "
            raise self.error(text + name)

    def error(self, text: str) -> Exception:
        """Return this expression's error with a text of its own."""
        return invalid(f"Invalid {self.what}: {text}")


def show_path(path: Path) -> str:
    """Print a path as DynamoDB's errors do."""
    return "[" + ", ".join(f"[{part}]" if isinstance(part, int) else part for part in path) + "]"


def check_distinct(scope: Scope, paths: Iterable[Path]) -> None:
    """Refuse paths of which one contains another, or that take one attribute for a map and for a list."""
    seen: list[Path] = []
    for path in paths:
        for other in seen:
            _check_pair(scope, other, path)
        seen.append(path)


def _check_pair(scope: Scope, one: Path, other: Path) -> None:
    if one[0] != other[0]:
        return
    where = f"path one: {show_path(one)}, path two: {show_path(other)}"
    for part, against in zip(one, other, strict=False):
        if isinstance(part, int) != isinstance(against, int):
            text = "Two document paths conflict with each other; must remove or rewrite one of these paths; "
            raise scope.error(text + where)
        if part != against:
            return
    raise scope.error(f"Two document paths overlap with each other; must remove or rewrite one of these paths; {where}")
