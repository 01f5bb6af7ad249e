"""What a task is given and what comes of calling it."""

import msgspec

from forebay.core.errors import ServiceError
from forebay.languages.asl.contract import StartTask, TaskKey
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.stepfunctions.execution import Execution
from forebay.services.stepfunctions.payload import as_object
from forebay.services.stepfunctions.resource import Resource


class Task(msgspec.Struct, frozen=True):
    """One attempt of a task. `arguments` is JSON; `role` is whom it acts as."""

    execution: Execution
    key: TaskKey
    resource: Resource
    arguments: str
    role: str
    state_name: str


class Done(msgspec.Struct, frozen=True):
    """It has ended with an output, JSON."""

    output: str


class Failed(msgspec.Struct, frozen=True):
    """It has failed. `is_submit`: it was not even taken."""

    error: str
    cause: str | None
    is_submit: bool = False


class Begun(msgspec.Struct, frozen=True):
    """It was taken, and its end comes later; `child` is the key of an execution that it waits for."""

    output: str
    child: str | None = None


Outcome = Done | Failed | Begun


def caller_for(platform: Platform, task: Task) -> Caller:
    """Return the caller that a task acts as: the execution's role, in its account and region."""
    name = task.execution.name
    caller = new_caller(name.region, name.account, platform.ids, platform.endpoint(), "stepfunctions")
    trace = task.execution.trace_header
    return msgspec.structs.replace(caller, principal=task.role, trace_header=trace)


def role_of(started: StartTask) -> str | None:
    """Return the role that a state's Credentials name, if it has any."""
    if started.credentials is None:
        return None
    role = as_object(msgspec.json.decode(started.credentials)).get("RoleArn")
    return role if isinstance(role, str) else None


def is_of_model(error: ServiceError) -> bool:
    """Tell whether an error is one that its service's model lists."""
    return type(error).__module__.startswith("forebay.api.")
