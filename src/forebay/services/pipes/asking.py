"""What a pipe asks and waits for: functions, Express workflows, HTTP endpoints, as enrichments and as targets.

Each answers with bytes, or stops the batch: with `Busy` where it is to be asked again, with `Failed` otherwise.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from forebay.api import lambda_ as lambda_api
from forebay.api import pipes as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.delivery.contract import Deferred, Delivered, Delivery, Rejected, Retry, RetryPolicy
from forebay.delivery.poller import Busy, Failed
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.pipes.pipe import Pipe

# The source gives its records again; there is no retry besides.
NO_RETRY = RetryPolicy(0, 0)
HTTP_PARAMETERS = "HttpParameters"

_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException"})

HttpParameters = api.PipeEnrichmentHttpParameters | api.PipeTargetHttpParameters


class NotTaken(Exception):
    """A batch went no further; `outcome` says why."""

    def __init__(self, outcome: Failed | Busy) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


class Asking:
    """Asks on behalf of one pipe."""

    def __init__(self, pipe: Pipe, platform: Platform) -> None:
        self._pipe = pipe
        self._platform = platform

    async def ask(self, arn: str, payload: bytes, http: Mapping[str, str]) -> bytes:
        """Ask a function, an Express workflow or an HTTP endpoint and return the answer.

        Raises:
            NotTaken: there is none.
        """
        match Arn.parse(arn).service:
            case "lambda":
                return await self.invoke(arn, payload)
            case "states":
                return await self.execute(arn, payload)
            case _:
                return await self._request(arn, payload, http)

    async def invoke(self, function: str, payload: bytes, *, forgets: bool = False) -> bytes:
        """Run a function and return what it answered; with `forgets`, have it run later."""
        request = lambda_api.InvocationRequest(
            function_name=function,
            invocation_type="Event" if forgets else "RequestResponse",
            payload=payload,
        )
        try:
            answer: Any = await self._platform.table.run(self._caller(), "lambda", "Invoke", request)
        except ServiceError as error:
            raise NotTaken(_outcome(error)) from None
        if answer.function_error is not None:
            raise NotTaken(Failed(answer.function_error))
        return answer.payload or b""

    async def execute(self, machine: str, payload: bytes) -> bytes:
        """Run an Express workflow to its end and return its output."""
        params = {"stateMachineArn": machine, "input": payload.decode()}
        try:
            answer = await self._run("stepfunctions", "StartSyncExecution", params)
        except ServiceError as error:
            raise NotTaken(_outcome(error)) from None
        if answer.get("status") != "SUCCEEDED":
            raise NotTaken(Failed(str(answer.get("error") or answer.get("status")), str(answer.get("cause") or "")))
        return str(answer.get("output") or "").encode()

    async def start(self, machine: str, payload: bytes) -> None:
        """Start an execution of a workflow."""
        try:
            await self._run("stepfunctions", "StartExecution", {"stateMachineArn": machine, "input": payload.decode()})
        except ServiceError as error:
            raise NotTaken(_outcome(error)) from None

    async def is_express(self, machine: str) -> bool:
        """Return whether a state machine's executions can be waited for."""
        try:
            described = await self._run("stepfunctions", "DescribeStateMachine", {"stateMachineArn": machine})
        except ServiceError as error:
            raise NotTaken(_outcome(error)) from None
        return described.get("type") == "EXPRESS"

    async def append(self, group: str, stream: str, message: str, at_ms: int) -> None:
        """Append an event to a stream of a log group; the stream is made where it is not there yet."""
        name = Arn.parse(group).resource.removeprefix("log-group:").removesuffix(":*")
        place = {"logGroupName": name, "logStreamName": stream}
        entry = {**place, "logEvents": [{"timestamp": at_ms, "message": message}]}
        try:
            try:
                await self._run("logs", "PutLogEvents", entry)
            except ServiceError as error:
                if error.code != "ResourceNotFoundException":
                    raise
                await self._run("logs", "CreateLogStream", place)
                await self._run("logs", "PutLogEvents", entry)
        except ServiceError as error:
            raise NotTaken(_outcome(error)) from None

    async def put_event(self, endpoint_id: str, bus: str, payload: str, given: Mapping[str, str]) -> str | None:
        """Put an event on a bus by way of a global endpoint; return the code of its failure.

        `given` are the parameters of a delivery to the bus (`BusTarget`).
        """
        entry: dict[str, Any] = {
            "EventBusName": bus,
            "Source": given["Source"],
            "DetailType": given["DetailType"],
            "Resources": msgspec.json.decode(given["Resources"]),
            "Detail": payload,
        }
        if "Time" in given:
            entry["Time"] = float(given["Time"])
        try:
            answer = await self._run("events", "PutEvents", {"EndpointId": endpoint_id, "Entries": [entry]})
        except ServiceError as error:
            raise NotTaken(_outcome(error)) from None
        return answer["Entries"][0].get("ErrorCode")

    async def _request(self, arn: str, payload: bytes, http: Mapping[str, str]) -> bytes:
        platform = self._platform
        delivery = Delivery(
            platform.ids.uuid(),
            self._pipe.arn(),
            arn,
            payload.decode(),
            platform.clock.now(),
            NO_RETRY,
            parameters=http,
        )
        target = await platform.deliveries.target_of(delivery)
        assert target is not None, "pipes are made with what the node has"
        taken = await target.accept(delivery)
        outcome = await target.deliver(delivery) if isinstance(taken, Deferred) else taken
        match outcome:
            case Delivered(detail):
                return detail
            case Retry(code, message, counts=False):
                raise NotTaken(Busy(f"{code}: {message}"))
            case Retry(code, message) | Rejected(code, message):
                raise NotTaken(Failed(code, message))
            case _:
                raise NotTaken(Failed("INVALID_PARAMETER", f"{arn} gives no answer."))

    async def _run(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return await self._platform.table.run_params(self._caller(), service, operation, params)

    def _caller(self) -> Caller:
        pipe, platform = self._pipe, self._platform
        return new_caller(pipe.region, pipe.account, platform.ids, platform.endpoint(), "pipes")


def http_parameters(given: HttpParameters | None, fill: Callable[[str], str | None]) -> dict[str, str]:
    """Return a delivery's parameter with what is added to an HTTP request; `fill` finds the values of paths."""
    if given is None:
        return {}
    filled = {
        "PathParameterValues": [fill(text) or "" for text in given.path_parameter_values or ()],
        "HeaderParameters": {name: fill(text) or "" for name, text in (given.header_parameters or {}).items()},
        "QueryStringParameters": {
            name: fill(text) or "" for name, text in (given.query_string_parameters or {}).items()
        },
    }
    return {HTTP_PARAMETERS: msgspec.json.encode(filled).decode()}


def _outcome(error: ServiceError) -> Failed | Busy:
    return Busy(error.code) if error.code in _THROTTLED else Failed(error.code, error.message)
