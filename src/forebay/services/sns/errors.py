"""SNS's refusals, in the form of words that it gives nearly all of them."""

from forebay.api import sns as api
from forebay.core.errors import ServiceError
from forebay.core.validation import Violation, violations_error

_INVALID = "Invalid parameter: "


def invalid_parameter(text: str) -> ServiceError:
    """Return the answer to a parameter that is not as it must be."""
    return api.InvalidParameterException(f"{_INVALID}{text}")


def invalid_within(parameter: str, refused: ServiceError) -> ServiceError:
    """Return a refusal as AWS words it where the value came inside a parameter, such as Subscribe's Attributes."""
    return invalid_parameter(f"{parameter} Reason: {refused.message.removeprefix(_INVALID)}")


def broken_constraint(path: str, value: object, constraint: str) -> ServiceError:
    """Return the answer to a value that breaks a constraint of the model; `path` is in AWS's words."""
    return violations_error("sns", [Violation(path, f"'{value}'", constraint)])


def invalid_value(text: str) -> ServiceError:
    """Return the answer to a message attribute that is not as it must be."""
    return api.InvalidParameterValueException(text)


def no_topic() -> ServiceError:
    """Return the answer about a topic that is not there; AWS's text bears no name."""
    return api.NotFoundException("Topic does not exist")


def no_subscription() -> ServiceError:
    """Return the answer about a subscription that is not there."""
    return api.NotFoundException("Subscription does not exist")


def not_implemented(text: str) -> ServiceError:
    """Return the answer to what AWS can do and this node cannot."""
    return ServiceError.of("NotImplemented", f"{text} not implemented by Forebay.", 501)
