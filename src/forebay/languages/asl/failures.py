"""How a state fails: AWS's predefined error names, and the exception that carries a failure to its Retry and Catch.

Names and which of them wildcards match: Step Functions developer guide, "Handling errors in Step Functions workflows".
"""

from enum import StrEnum


class ErrorName(StrEnum):
    """Error names that Step Functions itself gives."""

    ALL = "States.ALL"
    BRANCH_FAILED = "States.BranchFailed"
    DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
    EXCEED_TOLERATED_FAILURE_THRESHOLD = "States.ExceedToleratedFailureThreshold"
    HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
    INTRINSIC_FAILURE = "States.IntrinsicFailure"
    ITEM_READER_FAILED = "States.ItemReaderFailed"
    NO_CHOICE_MATCHED = "States.NoChoiceMatched"
    PARAMETER_PATH_FAILURE = "States.ParameterPathFailure"
    PERMISSIONS = "States.Permissions"
    QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"
    REFERENCE_PATH_CONFLICT = "States.ReferencePathConflict"
    RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"
    RESULT_WRITER_FAILED = "States.ResultWriterFailed"
    RUNTIME = "States.Runtime"
    TASK_FAILED = "States.TaskFailed"
    TIMEOUT = "States.Timeout"


# "A terminal error that can't be caught by the States.ALL error type."
_TERMINAL = (ErrorName.DATA_LIMIT_EXCEEDED, ErrorName.RUNTIME)


class StateFailure(Exception):
    """A state failed.

    `error` and `cause` are what the execution reports. `location` names the field at fault where AWS records an
    EvaluationFailed event. `is_own` says that the cause is a sentence about the state, to which AWS puts the state's
    name and its entry's event id in front.
    """

    def __init__(self, error: str, cause: str | None, *, location: str | None = None, is_own: bool = True) -> None:
        super().__init__(cause)
        self.error = str(error)
        self.cause = cause
        self.location = location
        self.is_own = is_own


def does_match(names: tuple[str, ...], error: str) -> bool:
    """Return whether a retrier's or catcher's ErrorEquals covers an error."""
    for name in names:
        if name == error:
            return error != ErrorName.RUNTIME
        if name == ErrorName.ALL and error not in _TERMINAL:
            return True
        if name == ErrorName.TASK_FAILED and error not in (*_TERMINAL, ErrorName.TIMEOUT):
            return True
        # A missed heartbeat is a timeout too ("States.Timeout ... or failed to send a heartbeat").
        if name == ErrorName.TIMEOUT and error == ErrorName.HEARTBEAT_TIMEOUT:
            return True
    return False
