"""Answers that several operations of Pipes share."""

import json

from forebay.api import pipes as api
from forebay.core.errors import ServiceError


def invalid(member: str, message: str) -> api.ValidationException:
    """Return the answer for a member that is wrong, in the form in which Pipes words it."""
    fields = [{"Name": member, "Message": message}]
    text = json.dumps({"ValidationErrorFields": fields}, separators=(",", ":"))
    return api.ValidationException(text, field_list=[api.ValidationExceptionField(name=member, message=message)])


def not_implemented(text: str) -> ServiceError:
    """Return the answer for what real Pipes has and this one does not."""
    return ServiceError.of("NotImplemented", text, 501)


def no_pipe(name: str) -> api.NotFoundException:
    """Return the answer for a pipe that is not there."""
    return api.NotFoundException(f"Pipe {name} does not exist.")


def conflict(name: str, text: str) -> api.ConflictException:
    """Return the answer for a pipe that is in the way, or not in a state to be changed."""
    return api.ConflictException(text, resource_id=name, resource_type="Pipe")
