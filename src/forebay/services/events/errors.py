"""Answers of EventBridge that its model does not list, and texts that many operations share."""

from forebay.api import events as api
from forebay.core.errors import ServiceError


def validation_error(text: str) -> ServiceError:
    """Return ValidationException, which EventBridge answers for whatever is wrong with a request."""
    return ServiceError.of("ValidationException", text)


def malformed_arn(text: str) -> ServiceError:
    """Return the answer for something that should be an ARN and is not."""
    return validation_error(f"Parameter {text} is not valid. Reason: Provided Arn is not in correct format.")


def not_implemented(text: str) -> ServiceError:
    """Return the answer for what real EventBridge has and this one does not."""
    return ServiceError.of("NotImplemented", text, 501)


def too_many() -> api.LimitExceededException:
    """Return the answer for one bus, rule or target too many."""
    return api.LimitExceededException("The requested resource exceeds the maximum number allowed.")


def no_bus(name: str) -> api.ResourceNotFoundException:
    """Return the answer for a bus that is not there."""
    return api.ResourceNotFoundException(f"Event bus {name} does not exist.")


def no_archive(name: str) -> api.ResourceNotFoundException:
    """Return the answer for an archive that is not there."""
    return api.ResourceNotFoundException(f"Archive {name} does not exist.")


def no_replay(name: str) -> api.ResourceNotFoundException:
    """Return the answer for a replay that is not there."""
    return api.ResourceNotFoundException(f"Replay {name} does not exist.")


def one_filter(operation: str) -> ServiceError:
    """Return the answer for a list of archives or replays that is narrowed in more than one way."""
    return validation_error(
        f"At most one filter is allowed for {operation}. Use either : State, EventSourceArn, or NamePrefix."
    )


def no_rule(name: str, bus: str) -> api.ResourceNotFoundException:
    """Return the answer for a rule that is not there."""
    return api.ResourceNotFoundException(f"Rule {name} does not exist on EventBus {bus}.")
