"""How DynamoDB refuses a request: one code, and words that clients match on."""

from forebay.core.errors import ServiceError


def invalid(text: str) -> ServiceError:
    """Return the ValidationException with this text."""
    return ServiceError.of("ValidationException", text)


def invalid_parameter(text: str) -> ServiceError:
    """Return the ValidationException for a value that breaks a rule of its own."""
    return invalid(f"One or more parameter values were invalid: {text}")
