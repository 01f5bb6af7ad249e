"""Which integration calls a task."""

from collections.abc import Awaitable, Callable

import structlog

from forebay.operations.platform import Platform
from forebay.services.stepfunctions.integrations.functions import call_function, invoke_function
from forebay.services.stepfunctions.integrations.gateway import invoke_api
from forebay.services.stepfunctions.integrations.http import HttpTasks
from forebay.services.stepfunctions.integrations.optimised import call_optimised
from forebay.services.stepfunctions.integrations.outcome import Failed, Outcome, Task
from forebay.services.stepfunctions.integrations.sdk import call_sdk

log = structlog.get_logger()


class Integrations:
    """Calls tasks. `start_child` is set as the node's parts are built: starting executions needs what calls tasks."""

    def __init__(self, platform: Platform, http: HttpTasks) -> None:
        self._platform = platform
        self.http = http
        self.start_child: Callable[[Task], Awaitable[Outcome]] | None = None

    async def call(self, task: Task) -> Outcome:
        """Call a task and return what came of it; a bug of ours is a failure of the task, and in the node's log."""
        try:
            return await self._route(task)
        except Exception as error:
            log.exception("task.call_failed", resource=task.resource.text)
            return Failed("States.Runtime", f"The task could not be called: {type(error).__name__}.")

    async def _route(self, task: Task) -> Outcome:  # noqa: PLR0911 - one return for each integration
        resource, platform = task.resource, self._platform
        if resource.family == "function":
            return await call_function(platform, task)
        if resource.is_sdk:
            return await call_sdk(platform, task)
        match resource.service:
            case "lambda":
                return await invoke_function(platform, task)
            case "states":
                assert self.start_child is not None, "set before any task is called"
                return await self.start_child(task)
            case "http":
                return await self.http.call(task)
            case "apigateway":
                return await invoke_api(self.http, platform, task)
            case _:
                return await call_optimised(platform, task)
