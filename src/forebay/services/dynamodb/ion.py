"""Items as Amazon Ion, as DynamoDB's exports and imports write them (developer guide, "Amazon Ion" under exports).

Sets are lists with an annotation (`$dynamodb_SS`), numbers are decimals, binary is a blob. Reading and writing Ion is
Amazon's library, which is an extra of the package (`forebay[ion]`).
"""

from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from importlib import import_module
from typing import Any

from forebay.languages.dynamodb.value import Item, Value, binary
from forebay.services.dynamodb.errors import not_implemented

_SETS = {"$dynamodb_SS": "SS", "$dynamodb_NS": "NS", "$dynamodb_BS": "BS"}
_ANNOTATIONS = {kind: annotation for annotation, kind in _SETS.items()}


def check_ion() -> None:
    """Refuse Ion where its library is not installed.

    Raises:
        NotImplemented: it is not.
    """
    _library()


def _library() -> Any:
    try:
        return import_module("amazon.ion.simpleion")
    except ImportError:
        raise not_implemented("Ion without its library (pip install 'forebay[ion]')") from None


def write_item(item: Item) -> bytes:
    """Return an item's line in an export."""
    library = _library()
    text: str = library.dumps({"Item": _struct(item)}, binary=False)
    return text.encode() + b"\n"


def _struct(item: Item) -> dict[str, Any]:
    return {name: _written(value) for name, value in item.items()}


def _written(value: Value) -> Any:  # noqa: PLR0911  a table of types
    ((kind, held),) = value.items()
    match kind:
        case "N":
            return Decimal(held)
        case "B":
            return binary(held)
        case "NULL":
            return None
        case "M":
            return _struct(held)
        case "L":
            return [_written(element) for element in held]
        case "SS" | "NS" | "BS":
            return _annotated(kind, held)
        case _:
            return held


def _annotated(kind: str, held: list[str]) -> Any:
    types, core = import_module("amazon.ion.simple_types"), import_module("amazon.ion.core")
    elements: list[Any] = [_written({kind[0]: element}) for element in held]
    return types.IonPyList.from_value(core.IonType.LIST, elements, (_ANNOTATIONS[kind],))


def read_items(content: bytes) -> Iterator[Item | None]:
    """Read items of an Ion file, text or binary; None for a value that is none."""
    library, exceptions = _library(), import_module("amazon.ion.exceptions")
    try:
        values: list[Any] = library.loads(content, single_value=False)
    except (exceptions.IonException, ValueError, EOFError):
        # What follows an error in a file cannot be told apart.
        yield None
        return
    for value in values:
        try:
            yield {str(name): _read(held) for name, held in value["Item"].items()}
        except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation):
            yield None


def _read(value: Any) -> Value:  # noqa: C901, PLR0911  a table of types
    kind = value.ion_type.name
    match kind:
        case "NULL":
            return {"NULL": True}
        case "BOOL":
            return {"BOOL": bool(value)}
        case "INT" | "DECIMAL":
            return {"N": str(value)}
        case "FLOAT":
            return {"N": str(Decimal(repr(float(value))))}
        case "STRING" | "SYMBOL" | "TIMESTAMP":
            return {"S": str(getattr(value, "text", value))}
        case "BLOB" | "CLOB":
            return {"B": b64encode(bytes(value)).decode()}
        case "STRUCT":
            return {"M": {str(name): _read(held) for name, held in value.items()}}
        case "LIST" | "SEXP":
            return _read_list(value)
        case _:
            raise ValueError(kind)


def _read_list(value: Any) -> Value:
    elements: list[Value] = [_read(element) for element in value]
    names: list[str] = [str(annotation.text) for annotation in value.ion_annotations]
    kind = next((_SETS[name] for name in names if name in _SETS), None)
    if kind is None:
        return {"L": elements}
    return {kind: [element[kind[0]] for element in elements]}
