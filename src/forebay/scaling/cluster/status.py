"""What the API refuses, in Kubernetes' words: `Status` objects with their reasons, details and causes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forebay.core.errors import ForebayError
from forebay.scaling.cluster.kinds import Resource


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field."""

    path: str
    reason: str
    text: str

    def line(self) -> str:
        """Return it as it stands in the message."""
        return f"{self.path}: {self.text}"


class StatusError(ForebayError):
    """A request that is answered with a `Status` of failure."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def as_object(self) -> dict[str, Any]:
        """Return the `Status`."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            status["details"] = self.details
        return status | {"code": self.code}


def _details(resource: Resource, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}


def not_found(resource: Resource, name: str) -> StatusError:
    """Return what is said of an object that is not there."""
    return StatusError(404, "NotFound", f'{resource.id} "{name}" not found', _details(resource, name))


def no_such_path() -> StatusError:
    """Return what is said of a path or kind that is not served."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> StatusError:
    """Return what is said of a second object with a name."""
    return StatusError(409, "AlreadyExists", f'{resource.id} "{name}" already exists', _details(resource, name))


def conflict(resource: Resource, name: str, why: str | None = None) -> StatusError:
    """Return what is said of a change to an object that somebody else has changed."""
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    text = f'Operation cannot be fulfilled on {resource.id} "{name}": {why}'
    return StatusError(409, "Conflict", text, _details(resource, name))


def forbidden(resource: Resource, name: str, why: str) -> StatusError:
    """Return what is said of something that is not allowed."""
    return StatusError(403, "Forbidden", f'{resource.id} "{name}" is forbidden: {why}', _details(resource, name))


def bad_request(message: str) -> StatusError:
    """Return what is said of a request that cannot be read."""
    return StatusError(400, "BadRequest", message)


def expired(message: str) -> StatusError:
    """Return what is said of a version that is no longer kept."""
    return StatusError(410, "Expired", message)


def invalid(resource: Resource, name: str, errors: Sequence[FieldError]) -> StatusError:
    """Return what is said of an object whose fields break rules."""
    lines = [error.line() for error in errors]
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    details: dict[str, Any] = {
        "name": name,
        **({"group": resource.group} if resource.group else {}),
        "kind": resource.kind,
        "causes": [{"reason": error.reason, "message": error.text, "field": error.path} for error in errors],
    }
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)


def required(path: str, text: str = "") -> FieldError:
    """Say that a field is missing."""
    return FieldError(path, "FieldValueRequired", f"Required value{': ' + text if text else ''}")


def invalid_value(path: str, value: object, text: str) -> FieldError:
    """Say that a field's value breaks a rule."""
    return FieldError(path, "FieldValueInvalid", f"Invalid value: {shown(value)}: {text}")


def unsupported(path: str, value: object, supported: Sequence[str]) -> FieldError:
    """Say that a field takes certain values only."""
    allowed = ", ".join(f'"{one}"' for one in supported)
    return FieldError(path, "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {allowed}")


def shown(value: object) -> str:
    """Return a value as messages show it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else "{}" if value is None else str(value)
