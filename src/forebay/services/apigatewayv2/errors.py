"""Answers of API Gateway that many operations give, in its words."""

from forebay.api import apigatewayv2 as api
from forebay.core.errors import ServiceError


def invalid_identifier(noun: str) -> api.NotFoundException:
    """Return the answer for an id that leads to nothing: `Invalid Stage identifier specified`."""
    return api.NotFoundException(f"Invalid {noun} identifier specified")


def bad_request(text: str) -> api.BadRequestException:
    """Return BadRequestException."""
    return api.BadRequestException(text)


def not_implemented(text: str) -> ServiceError:
    """Return the answer for what real API Gateway has and this one does not."""
    return ServiceError.of("NotImplemented", text, 501)
