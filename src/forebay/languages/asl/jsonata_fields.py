"""Fields of JSONata states: strings of the form `{% expression %}`, alone or anywhere inside an object or array."""

from dataclasses import dataclass

from forebay.languages.asl.document import decode, encode
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.machine import Expression
from forebay.languages.asl.scope import Scope
from forebay.languages.asl.templates import ArrayTemplate, ObjectTemplate, Static
from forebay.languages.json_kinds import is_array, is_object
from forebay.languages.jsonata import UNBOUND, JsonataError, compile_jsonata
from forebay.languages.jsonata import Expression as Jsonata

_OPEN, _CLOSE = "{%", "%}"
_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def is_expression(value: object) -> bool:
    """Return whether a value is a JSONata expression."""
    return isinstance(value, str) and value.startswith(_OPEN) and value.endswith(_CLOSE) and len(value) >= 4


def expression_text(value: str) -> str:
    """Return the expression between its braces."""
    return value[len(_OPEN) : -len(_CLOSE)].strip()


@dataclass(frozen=True, slots=True)
class JsonataValue:
    """One expression. `field` says where it stands, as in "Output/total"."""

    expression: Jsonata
    field: str

    def evaluate(self, scope: Scope) -> object:
        """Return the result."""
        try:
            text = self.expression.evaluate(_Bindings(scope, self.expression).read, scope.ids, scope.now)
        except JsonataError as error:
            # A message with a code is a sentence of its own.
            mark = ":" if error.code is None else "."
            raise self.failed(f"threw an error during evaluation{mark} {error}") from None
        if text is None:
            raise self.failed("returned nothing (undefined).")
        return decode(text)

    def failed(self, sentence: str) -> StateFailure:
        """Return the failure that a sentence about this expression makes."""
        return StateFailure(
            ErrorName.QUERY_EVALUATION_ERROR,
            f"The JSONata expression '{self.expression.text}' specified for the field '{self.field}' {sentence}",
            location=self.field,
        )


class _Bindings:
    """Gives an expression `$states` and the variables; of `$states` only what it reads."""

    def __init__(self, scope: Scope, expression: Jsonata) -> None:
        self._scope = scope
        self._reads = expression.reads

    def read(self, name: str) -> object:
        """Return a binding's value, or UNBOUND if there is none."""
        if name != "states":
            return self._scope.variables.get(name, UNBOUND)
        read = self._reads["states"]
        wants_context = not is_object(read) or "context" in read
        return {**self._scope.states, "context": self._scope.context} if wants_context else self._scope.states


def compile_jsonata_value(value: object, field: str) -> Expression:
    """Compile a field's value, with every expression in it.

    Raises:
        JsonataError: an expression does not parse.
    """
    if isinstance(value, str):
        if is_expression(value):
            return JsonataValue(compile_jsonata(expression_text(value)), field)
        return Static(value)
    if is_object(value):
        members = tuple((str(name), compile_jsonata_value(one, f"{field}/{name}")) for name, one in value.items())
        return Static(value) if all(isinstance(one, Static) for _, one in members) else ObjectTemplate(members)
    if is_array(value):
        elements = tuple(compile_jsonata_value(one, f"{field}[{at}]") for at, one in enumerate(value))
        return Static(value) if all(isinstance(one, Static) for one in elements) else ArrayTemplate(elements)
    return Static(value)


@dataclass(frozen=True, slots=True)
class JsonataCondition:
    """A Choice rule's Condition."""

    value: Expression

    def holds(self, scope: Scope) -> bool:
        """Return what the condition gives, which has to be a boolean."""
        result = self.value.evaluate(scope)
        if isinstance(result, bool):
            return result
        raise unexpected(self.value, result, "boolean")


def unexpected(expression: Expression, result: object, wanted: str) -> StateFailure:
    """Return the failure of a field whose value is of the wrong kind."""
    kind = "null" if result is None else _KINDS.get(type(result), "object")
    sentence = f"returned an unexpected result type. Expected '{wanted}', but was '{kind}' for value: {encode(result)}"
    if isinstance(expression, JsonataValue):
        return expression.failed(sentence)
    return StateFailure(ErrorName.QUERY_EVALUATION_ERROR, f"The value {sentence}")
