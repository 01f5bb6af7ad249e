"""Answers of SQS that its model does not list.

The JSON protocol names them after their exception class, the Query protocol (and the entries of a batch answer) by
the older code; `query_code` carries the latter.
"""

from forebay.core.errors import ServiceError


def invalid_parameter(text: str) -> ServiceError:
    """Return InvalidParameterValue with a text of its own."""
    return ServiceError.of("InvalidParameterValueException", text, 400, "InvalidParameterValue")


def invalid_value(value: object, parameter: str, reason: str) -> ServiceError:
    """Return InvalidParameterValue in AWS's usual form, which quotes the value and gives the reason."""
    return invalid_parameter(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing_parameter(name: str) -> ServiceError:
    """Return MissingParameter: the request lacks a parameter, or it is empty."""
    text = f"The request must contain the parameter {name}."
    return ServiceError.of("MissingRequiredParameterException", text, 400, "MissingParameter")


def empty_value(text: str) -> ServiceError:
    """Return EmptyValue, which AWS answers for an entry of a batch whose body is empty."""
    return ServiceError.of("EmptyValueException", text, 400, "EmptyValue")


def not_implemented(text: str) -> ServiceError:
    """Return the answer for what real SQS has and this one does not."""
    return ServiceError.of("NotImplemented", text, 501)


def batch_code(error: ServiceError) -> str:
    """Return the code that an entry of a batch answer bears for an error."""
    code = error.query_code or error.code
    return code.removeprefix("AWS.SimpleQueueService.")
