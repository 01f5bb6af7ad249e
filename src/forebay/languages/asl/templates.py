"""Fields of JSONPath states: single paths, and payload templates whose names end in `.$`."""

from dataclasses import dataclass

from forebay.languages.asl import texts
from forebay.languages.asl.document import encode
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.intrinsics import is_intrinsic, parse_intrinsic
from forebay.languages.asl.machine import Expression
from forebay.languages.asl.paths import Path, member, parse_path, place
from forebay.languages.asl.scope import ABSENT, Scope
from forebay.languages.json_kinds import is_array, is_object

DYNAMIC = ".$"


@dataclass(frozen=True, slots=True)
class Static:
    """A value that depends on nothing."""

    value: object

    def evaluate(self, scope: Scope) -> object:
        """Return the value."""
        del scope
        return self.value


@dataclass(frozen=True, slots=True)
class PathField:
    """A field that is a path. `field` is its name in error texts."""

    path: Path
    field: str

    def evaluate(self, scope: Scope) -> object:
        """Return what the path leads to."""
        value = self.path.find(scope)
        if value is not ABSENT:
            return value
        if scope.document is None and self.path.root == "$":
            raise StateFailure(ErrorName.RUNTIME, texts.NULL_INPUT)
        if self._is_beyond_array(scope):
            return None
        searched = scope.context if self.path.root == "$$" else scope.document
        raise StateFailure(ErrorName.RUNTIME, texts.path_not_found(self.path.text, self.field, encode(searched)))

    def _is_beyond_array(self, scope: Scope) -> bool:
        """Tell whether the path ends with an index that an array does not have: AWS takes that for null."""
        *way, last = self.path.keys or ("",)
        node = self.path.start(scope)
        for key in way:
            node = member(node, key)
        return is_array(node) and isinstance(last, int)


@dataclass(frozen=True, slots=True)
class DocumentField:
    """InputPath and OutputPath, whose failures AWS reports in the words of its path library, Jayway."""

    path: Path

    def evaluate(self, scope: Scope) -> object:
        """Return what the path leads to."""
        value = self.path.find(scope)
        if value is not ABSENT:
            return value
        if scope.document is None and self.path.root == "$":
            raise StateFailure(ErrorName.RUNTIME, texts.NULL_INPUT)
        raise StateFailure(ErrorName.RUNTIME, texts.invalid_path(self.path.text, self._reason(scope)))

    def _reason(self, scope: Scope) -> str:
        keys = self.path.keys or ()
        node = self.path.start(scope)
        for at, key in enumerate(keys[:-1]):
            node = member(node, key)
            if node is ABSENT:
                return f"Missing property in path {canonical(keys[: at + 1])}"
        return f"No results for path: {canonical(keys)}"


@dataclass(frozen=True, slots=True)
class InputField:
    """A path to a number or an instant (SecondsPath, TimestampPath)."""

    path: Path
    field: str

    def evaluate(self, scope: Scope) -> object:
        """Return what the path leads to."""
        value = self.path.find(scope)
        if value is ABSENT:
            raise StateFailure(ErrorName.RUNTIME, texts.no_input_value(self.field, self.path.text))
        return value


def canonical(keys: tuple[str | int, ...]) -> str:
    """Return a path as Jayway writes it: $['a'][0]."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f"['{key}']" for key in keys)


@dataclass(frozen=True, slots=True)
class PlaceField:
    """A field that is a reference path into the document, as ItemsPath."""

    path: Path

    def evaluate(self, scope: Scope) -> object:
        """Return what the path leads to, step by step."""
        node = self.path.start(scope)
        for key in self.path.keys or ():
            node = member(node, key)
            if node is ABSENT:
                sentence = texts.step_not_found(key, encode(scope.document))
                raise StateFailure(ErrorName.REFERENCE_PATH_CONFLICT, sentence)
        return node


@dataclass(frozen=True, slots=True)
class EmptyObject:
    """What a null InputPath or OutputPath gives."""

    def evaluate(self, scope: Scope) -> object:
        """Return an empty object."""
        del scope
        return {}


@dataclass(frozen=True, slots=True)
class ObjectTemplate:
    """An object with at least one member that depends on the data."""

    members: tuple[tuple[str, Expression], ...]

    def evaluate(self, scope: Scope) -> object:
        """Return the object with every member evaluated."""
        return {name: value.evaluate(scope) for name, value in self.members}


@dataclass(frozen=True, slots=True)
class ArrayTemplate:
    """An array with at least one element that depends on the data."""

    elements: tuple[Expression, ...]

    def evaluate(self, scope: Scope) -> object:
        """Return the array with every element evaluated."""
        return [element.evaluate(scope) for element in self.elements]


def compile_path(text: str, field: str) -> Expression:
    """Compile a path or an intrinsic function call.

    Raises:
        InvalidPath: it is neither.
    """
    if is_intrinsic(text):
        return parse_intrinsic(text)
    return PathField(parse_path(text), field)


def compile_template(value: object) -> Expression:
    """Compile a payload template.

    Raises:
        InvalidPath: a member whose name ends in `.$` holds no path.
    """
    if is_object(value):
        members = tuple(_member(name, one) for name, one in value.items())
        if all(isinstance(one, Static) for _, one in members):
            return Static({name: one.value for name, one in members if isinstance(one, Static)})
        return ObjectTemplate(members)
    if is_array(value):
        elements = tuple(compile_template(one) for one in value)
        if all(isinstance(one, Static) for one in elements):
            return Static(value)
        return ArrayTemplate(elements)
    return Static(value)


def _member(name: str, value: object) -> tuple[str, Expression]:
    if name.endswith(DYNAMIC) and isinstance(value, str):
        return name.removesuffix(DYNAMIC), compile_path(value, name)
    return name, compile_template(value)


@dataclass(frozen=True, slots=True)
class ReferenceResultPath:
    """A ResultPath that names a place."""

    text: str
    keys: tuple[str | int, ...]

    def place(self, document: object, result: object) -> object:
        """Return the document with the result in its place."""
        try:
            return place(document, self.keys, result)
        except LookupError as error:
            step = str(error.args[0])
            raise StateFailure(
                ErrorName.RESULT_PATH_MATCH_FAILURE, texts.step_not_found(step, encode(document))
            ) from None


@dataclass(frozen=True, slots=True)
class Discard:
    """A null ResultPath: the result is dropped."""

    def place(self, document: object, result: object) -> object:
        """Return the document."""
        del result
        return document
