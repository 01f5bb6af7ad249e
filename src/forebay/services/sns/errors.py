"""SNS's refusals, in the form of words that it gives nearly all of them."""

from forebay.api import sns as api
from forebay.core.errors import ServiceError


def invalid_parameter(text: str) -> ServiceError:
    """Return the answer to a parameter that is not as it must be."""
    return api.InvalidParameterException(f"Invalid parameter: {text}")


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
