"""What a Task state's Resource names: a service and an operation, a function, or an activity; and how it is awaited."""

from typing import Literal

import msgspec

from forebay.api import stepfunctions as api
from forebay.core.arn import Arn

Family = Literal["task", "function", "activity"]
"""Which history events tell of it: Task..., LambdaFunction... or Activity..."""

TOKEN = "waitForTaskToken"  # noqa: S105 - a word of the Amazon States Language
SYNC = "sync"


class Resource(msgspec.Struct, frozen=True):
    """A resource taken apart. `pattern` is "", "sync", "sync:2" or "waitForTaskToken".

    `is_sdk` tells the SDK integrations from the optimised ones.
    """

    text: str
    family: Family
    service: str = ""
    operation: str = ""
    pattern: str = ""
    is_sdk: bool = False

    @property
    def type(self) -> str:
        """What history events call the resource type."""
        return f"aws-sdk:{self.service}" if self.is_sdk else self.service

    @property
    def name(self) -> str:
        """What history events call the resource."""
        return f"{self.operation}.{self.pattern}" if self.pattern else self.operation


def parse_resource(text: str) -> Resource:
    """Take a Task state's Resource apart; the definition's validation has seen to its form.

    Raises:
        ValueError: it is none that this knows.
    """
    arn = Arn.parse(text)
    if arn.service == "lambda":
        return Resource(text, "function")
    if arn.service != "states":
        raise ValueError(f"no resource of a task: {text}")
    if arn.resource.startswith("activity:"):
        return Resource(text, "activity")
    action, _, pattern = arn.resource.partition(".")
    service, _, operation = action.rpartition(":")
    is_sdk = service.startswith("aws-sdk:")
    if not service or not operation or pattern not in {"", SYNC, "sync:2", TOKEN}:
        raise ValueError(f"no resource of a task: {text}")
    return Resource(text, "task", service.removeprefix("aws-sdk:"), operation, pattern, is_sdk)


def scheduled(  # noqa: PLR0913 - AWS's details have as many members
    resource: Resource,
    arguments: str,
    *,
    at: float,
    region: str,
    timeout_seconds: int | None,
    heartbeat_seconds: int | None,
    credentials: api.TaskCredentials | None,
) -> api.HistoryEvent:
    """Return the event that a task is scheduled."""
    if resource.family == "function":
        details = api.LambdaFunctionScheduledEventDetails(
            resource=resource.text,
            input=arguments,
            input_details=WHOLE,
            timeout_in_seconds=timeout_seconds,
            task_credentials=credentials,
        )
        return event(at, "LambdaFunctionScheduled", lambda_function_scheduled_event_details=details)
    if resource.family == "activity":
        activity = api.ActivityScheduledEventDetails(
            resource=resource.text,
            input=arguments,
            input_details=WHOLE,
            timeout_in_seconds=timeout_seconds,
            heartbeat_in_seconds=heartbeat_seconds,
        )
        return event(at, "ActivityScheduled", activity_scheduled_event_details=activity)
    task = api.TaskScheduledEventDetails(
        resource_type=resource.type,
        resource=resource.name,
        region=region,
        parameters=arguments,
        timeout_in_seconds=timeout_seconds,
        heartbeat_in_seconds=heartbeat_seconds,
        task_credentials=credentials,
    )
    return event(at, "TaskScheduled", task_scheduled_event_details=task)


def started(resource: Resource, at: float, worker: str | None = None) -> api.HistoryEvent:
    """Return the event that a task is started."""
    if resource.family == "function":
        return event(at, "LambdaFunctionStarted")
    if resource.family == "activity":
        details = api.ActivityStartedEventDetails(worker_name=worker)
        return event(at, "ActivityStarted", activity_started_event_details=details)
    task = api.TaskStartedEventDetails(resource_type=resource.type, resource=resource.name)
    return event(at, "TaskStarted", task_started_event_details=task)


def submitted(resource: Resource, at: float, output: str) -> api.HistoryEvent:
    """Return the event that a service has taken a task whose end comes later."""
    details = api.TaskSubmittedEventDetails(
        resource_type=resource.type, resource=resource.name, output=output, output_details=WHOLE
    )
    return event(at, "TaskSubmitted", task_submitted_event_details=details)


def succeeded(resource: Resource, at: float, output: str) -> api.HistoryEvent:
    """Return the event that a task has succeeded."""
    if resource.family == "function":
        function = api.LambdaFunctionSucceededEventDetails(output=output, output_details=WHOLE)
        return event(at, "LambdaFunctionSucceeded", lambda_function_succeeded_event_details=function)
    if resource.family == "activity":
        activity = api.ActivitySucceededEventDetails(output=output, output_details=WHOLE)
        return event(at, "ActivitySucceeded", activity_succeeded_event_details=activity)
    details = api.TaskSucceededEventDetails(
        resource_type=resource.type, resource=resource.name, output=output, output_details=WHOLE
    )
    return event(at, "TaskSucceeded", task_succeeded_event_details=details)


def failed(resource: Resource, at: float, error: str | None, cause: str | None) -> api.HistoryEvent:
    """Return the event that a task has failed."""
    if resource.family == "function":
        function = api.LambdaFunctionFailedEventDetails(error=error, cause=cause)
        return event(at, "LambdaFunctionFailed", lambda_function_failed_event_details=function)
    if resource.family == "activity":
        activity = api.ActivityFailedEventDetails(error=error, cause=cause)
        return event(at, "ActivityFailed", activity_failed_event_details=activity)
    details = api.TaskFailedEventDetails(resource_type=resource.type, resource=resource.name, error=error, cause=cause)
    return event(at, "TaskFailed", task_failed_event_details=details)


def submit_failed(resource: Resource, at: float, error: str | None, cause: str | None) -> api.HistoryEvent:
    """Return the event that a service has refused a task whose end would have come later."""
    if resource.family != "task" or not resource.pattern:
        return failed(resource, at, error, cause)
    details = api.TaskSubmitFailedEventDetails(
        resource_type=resource.type, resource=resource.name, error=error, cause=cause
    )
    return event(at, "TaskSubmitFailed", task_submit_failed_event_details=details)


def timed_out(resource: Resource, at: float, error: str) -> api.HistoryEvent:
    """Return the event that a task has not ended, or given no sign of life, in time."""
    if resource.family == "function":
        function = api.LambdaFunctionTimedOutEventDetails(error=error)
        return event(at, "LambdaFunctionTimedOut", lambda_function_timed_out_event_details=function)
    if resource.family == "activity":
        activity = api.ActivityTimedOutEventDetails(error=error)
        return event(at, "ActivityTimedOut", activity_timed_out_event_details=activity)
    details = api.TaskTimedOutEventDetails(resource_type=resource.type, resource=resource.name, error=error)
    return event(at, "TaskTimedOut", task_timed_out_event_details=details)


WHOLE = api.HistoryEventExecutionDataDetails(truncated=False)
"""Says that an input or output is there as a whole, which here it always is."""


def event(at: float, type_: api.HistoryEventType, **details: object) -> api.HistoryEvent:
    """Return an event without its ids."""
    # Ids are the interpreter's to give.
    return api.HistoryEvent(timestamp=at, type=type_, id=0, **details)  # pyright: ignore[reportArgumentType]
