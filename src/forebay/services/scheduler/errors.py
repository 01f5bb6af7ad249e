"""Answers that several operations of Scheduler share."""

from forebay.api import scheduler as api
from forebay.core.errors import ServiceError


def invalid(text: str) -> api.ValidationException:
    """Return the answer for a request that is wrong in itself."""
    return api.ValidationException(text)


def not_implemented(text: str) -> ServiceError:
    """Return the answer for what real Scheduler has and this one does not."""
    return ServiceError.of("NotImplemented", text, 501)


def no_schedule(name: str) -> api.ResourceNotFoundException:
    """Return the answer for a schedule that is not there."""
    return api.ResourceNotFoundException(f"Schedule {name} does not exist.")


def no_group(name: str) -> api.ResourceNotFoundException:
    """Return the answer for a schedule group that is not there."""
    return api.ResourceNotFoundException(f"Schedule group {name} does not exist.")
