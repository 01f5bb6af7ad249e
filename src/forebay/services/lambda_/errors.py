"""Answers that more than one operation gives, with the `Type` that Lambda's errors carry."""

from typing import TypeVar

from forebay.api import lambda_ as api
from forebay.core.errors import ServiceError

E = TypeVar("E", bound=ServiceError)


def user_error(error_type: type[E], text: str) -> E:
    """Return an error of the caller, marked as such: `Type` is `User`."""
    return error_type(text, type="User")


def invalid(text: str) -> api.InvalidParameterValueException:
    """Return InvalidParameterValueException."""
    return user_error(api.InvalidParameterValueException, text)


def not_found(text: str) -> api.ResourceNotFoundException:
    """Return ResourceNotFoundException."""
    return user_error(api.ResourceNotFoundException, text)


def conflict(text: str) -> api.ResourceConflictException:
    """Return ResourceConflictException."""
    return user_error(api.ResourceConflictException, text)


def function_not_found(arn: str) -> api.ResourceNotFoundException:
    """Return the answer for a function, or a version of it, that does not exist."""
    return not_found(f"Function not found: {arn}")


def broken_constraint(value: object, member: str, constraint: str) -> ServiceError:
    """Return a validation error in the words of AWS's models, for bounds that the model itself does not draw."""
    text = f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    return ServiceError.of("ValidationException", text)


def check_revision(given: str | None, current: str) -> None:
    """Check the revision that a caller says it changes.

    Raises:
        PreconditionFailedException: it is not the current one.
    """
    if given is not None and given != current:
        raise user_error(
            api.PreconditionFailedException,
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
        )


def not_implemented(text: str) -> ServiceError:
    """Return the answer for what Lambda has and this node does not."""
    return ServiceError.of("NotImplemented", text, 501)
