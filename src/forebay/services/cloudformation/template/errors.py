"""The one error that templates cause: CloudFormation's `ValidationError`."""

from forebay.core.errors import ServiceError


def invalid(text: str) -> ServiceError:
    """Return the error that CloudFormation answers for what the caller wrote."""
    return ServiceError.of("ValidationError", text)
