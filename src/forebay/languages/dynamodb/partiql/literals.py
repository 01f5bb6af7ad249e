"""Values in statements: texts, numbers, lists, maps, sets, and parameters anywhere in them."""

from collections.abc import Sequence

from forebay.languages.dynamodb import number
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.partiql.lexer import Cursor, ill_formed
from forebay.languages.dynamodb.partiql.statement import Literals, Template
from forebay.languages.dynamodb.syntax import ValueRef
from forebay.languages.dynamodb.value import Value

_DEPTH_MAX = 32
_SETS = {"S": "SS", "N": "NS", "B": "BS"}


class LiteralReader:
    """Reads the literals of one statement and names them."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._templates: list[Template] = []
        self._parameters = 0
        self._depth = 0

    def is_next(self) -> bool:
        """Tell whether a literal comes next."""
        cursor = self._cursor
        if cursor.next.kind in {"text", "number"}:
            return True
        return cursor.is_sign("?", "{", "[", "<<", "-", "+") or cursor.is_word("TRUE", "FALSE", "NULL")

    def ref(self) -> ValueRef:
        """Read a literal and return its name."""
        template = self._template()
        self._templates.append(template)
        return ValueRef(f":{len(self._templates) - 1}")

    def text(self, text: str) -> ValueRef:
        """Return the name of a text that the statement only implies."""
        self._templates.append(lambda _parameters: {"S": text})
        return ValueRef(f":{len(self._templates) - 1}")

    def literals(self) -> Literals:
        """Return all that was read."""
        return Literals(tuple(self._templates), self._parameters)

    def _template(self) -> Template:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise invalid("Nesting Levels have exceeded supported limits")
        template = self._read()
        self._depth -= 1
        return template

    def _read(self) -> Template:  # noqa: PLR0911  a table of literals
        cursor = self._cursor
        if cursor.take_sign("?"):
            place = self._parameters
            self._parameters += 1
            return lambda parameters: parameters[place]
        if cursor.take_sign("{"):
            return self._map()
        if cursor.take_sign("["):
            return _list_of(self._elements("]"))
        if cursor.take_sign("<<"):
            return _set_of(self._elements(">>"))
        if cursor.next.kind == "text":
            return _constant({"S": cursor.take().text})
        if cursor.take_word("NULL"):
            return _constant({"NULL": True})
        if cursor.is_word("TRUE", "FALSE"):
            return _constant({"BOOL": cursor.take().text.upper() == "TRUE"})
        return self._number()

    def _number(self) -> Template:
        cursor = self._cursor
        sign = cursor.take().text if cursor.is_sign("-", "+") else ""
        if cursor.next.kind != "number":
            cursor.refuse("expected a value")
        return _constant({"N": number.canonical(sign + cursor.take().text)})

    def _elements(self, end: str) -> list[Template]:
        elements: list[Template] = []
        while not self._cursor.take_sign(end):
            if elements:
                self._cursor.expect_sign(",")
            elements.append(self._template())
        return elements

    def _map(self) -> Template:
        cursor = self._cursor
        members: dict[str, Template] = {}
        while not cursor.take_sign("}"):
            if members:
                cursor.expect_sign(",")
            if cursor.next.kind not in {"text", "quoted", "name"}:
                cursor.refuse("expected a name")
            name = cursor.take().text
            cursor.expect_sign(":")
            members[name] = self._template()
        return lambda parameters: {"M": {name: template(parameters) for name, template in members.items()}}


def _constant(value: Value) -> Template:
    return lambda _parameters: value


def _list_of(elements: list[Template]) -> Template:
    return lambda parameters: {"L": [element(parameters) for element in elements]}


def _set_of(elements: list[Template]) -> Template:
    def make(parameters: Sequence[Value]) -> Value:
        values = [element(parameters) for element in elements]
        kinds = {next(iter(value)) for value in values}
        if len(kinds) != 1 or not kinds <= _SETS.keys():
            raise ill_formed("A set has elements of one type: strings, numbers or binary")
        (kind,) = kinds
        return {_SETS[kind]: [value[kind] for value in values]}

    return make
