"""An error's parts, as all protocols write them."""

from collections.abc import Callable
from typing import Any

from forebay.core.convert import base64_text, plain
from forebay.core.errors import ServiceError
from forebay.core.shapes import ServiceModel, Shape

_GENERATED = "forebay.api."
# Errors of the signature, which are shapes where errors have a namespace.
_OF_SIGNATURES = frozenset({"IncompleteSignature", "MissingAuthenticationToken"})


def error_type(model: ServiceModel | None, error: ServiceError) -> str:
    """Give `__type`: the code, behind its namespace where the service's real answers have one."""
    if model is None or model.error_namespace is None:
        return error.code
    if type(error).__module__.startswith(_GENERATED):
        return f"{model.error_namespace}#{error.code}"
    if error.code == "ValidationException":
        return "com.amazon.coral.validate#ValidationException"
    # AWS's common errors are shapes too, called exceptions; the code that Query knew is in the header.
    named = error.code.endswith(("Exception", "Error", "Failure")) or not (
        model.query_compatible or error.code in _OF_SIGNATURES
    )
    return f"com.amazon.coral.service#{error.code if named else error.code + 'Exception'}"


def query_error(error: ServiceError) -> str:
    """Give `x-amzn-query-error`, by which clients find the code that the Query protocol had."""
    return f"{error.query_code or error.code};{error.fault}"


def error_members(error: ServiceError, write: Callable[[Shape], Any]) -> dict[str, Any]:
    """Give the error's body by wire names: its text and its further modelled members."""
    body: dict[str, Any] = {}
    for field, name in error.wire_names.items():
        value = error.members.get(field)
        if value is None and field == "type":
            # Lambda says in every error whose fault it was.
            value = "User" if error.fault == "Sender" else "Server"
        if value is not None:
            body[name] = _written(value, write)
    if error.message or error.status < 500:
        body[error.message_name] = error.message
    return body


def error_headers(error: ServiceError) -> list[tuple[str, str]]:
    """Give those modelled members that travel in headers."""
    found = ((name, error.members.get(field)) for field, name in error.wire_headers.items())
    return [(name, str(value)) for name, value in found if value is not None]


def json_plain(shape: Shape) -> dict[str, Any]:
    """Give a structure inside an error as JSON values."""
    return plain(shape, names="wire", time=lambda at, _: at, blob=base64_text)


def _written(value: Any, write: Callable[[Shape], Any]) -> Any:
    if isinstance(value, Shape):
        return write(value)
    if isinstance(value, list | tuple):
        return [_written(item, write) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: _written(item, write) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
