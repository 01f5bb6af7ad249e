"""The operation that runs one state by itself: TestState."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl import Environment, ExecutionContext, Machine, StartTask, TaskKey, parse
from forebay.languages.asl.document import decode
from forebay.languages.asl.inspection import Answer, Given, Inspection, inspect_state
from forebay.languages.asl.machine import MapBody, ParallelBody, PassBody, State, TaskBody
from forebay.languages.asl.parser import inner_chains
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.address import ExecutionName, check_role, own_machine
from forebay.services.stepfunctions.execution import Execution, task_token
from forebay.services.stepfunctions.integrations.dispatch import Integrations
from forebay.services.stepfunctions.integrations.http import HttpExchange
from forebay.services.stepfunctions.integrations.mocks import check_mock
from forebay.services.stepfunctions.integrations.outcome import Begun, Done, Failed, Task
from forebay.services.stepfunctions.map_inspection import MapStages, map_stages
from forebay.services.stepfunctions.payload import read_json
from forebay.services.stepfunctions.resource import parse_resource
from forebay.services.stepfunctions.task_rules import task_rules
from forebay.services.stepfunctions.transition import iso_time

# What a state without a state machine is called.
_ALONE = "StateUnderTest"
_HIDDEN = "[REDACTED]"
_MOCKED = (TaskBody, MapBody, ParallelBody)
_TEST_SECONDS_MAX = 300.0


@operation
async def test_state(call: Call, request: api.TestStateInput) -> api.TestStateOutput:
    """Run one state once: its task is called, or mocked; then say what became of its data.

    Raises:
        InvalidDefinition: the definition is none of a state (or, with `stateName`, of a state machine).
        InvalidExecutionInput: the input is not JSON.
        ValidationException: the mock does not go with the state.
    """
    if request.role_arn is not None:
        check_role(request.role_arn)
    machine, name = _machine(request)
    state = machine.states[name]
    _check_request(request, state)
    execution = _execution(call, request)
    environment = _environment(call, request, execution)
    variables = _object(request.variables, "variables")
    count = 0 if request.state_configuration is None else request.state_configuration.retrier_retry_count or 0
    given = Given(
        execution.input,
        {key: msgspec.json.encode(value).decode() for key, value in variables.items()},
        (count,) * len(state.retry),
    )
    answer, exchange = await _mocked(call, request, state), None
    inspected = inspect_state(machine, name, given, environment, answer=answer)
    if answer is None and isinstance(inspected.pending, StartTask):
        answer, exchange = await _answer(call, request, execution, inspected.pending)
        inspected = inspect_state(machine, name, given, environment, answer=answer)
    stages = MapStages()
    if isinstance(state.body, MapBody):
        settings = request.state_configuration
        data = None if settings is None else settings.map_item_reader_data
        stages = map_stages(machine, name, given, environment, data)
    return _shown(
        request, execution, replace(inspected, stages=_told_stages(state, inspected)), _Seen(exchange, stages)
    )


def _told_stages(state: State, inspected: Inspection) -> dict[str, str]:
    """Return the stages that AWS tells of a state's type (blog and developer guide, their examples)."""
    hidden: set[str] = set()
    match state.body:
        case PassBody(result=None) | MapBody():
            hidden.add("result")
        case ParallelBody():
            hidden |= {"result", "afterInputPath"} if state.input_path is None else {"result"}
            hidden |= {"afterParameters", "afterArguments"} if state.arguments is None else set()
        case _:
            pass
    return {name: text for name, text in inspected.stages.items() if name not in hidden}


class _Seen(msgspec.Struct, frozen=True):
    """What was seen beside the state's data."""

    exchange: HttpExchange | None
    stages: MapStages


def _machine(request: api.TestStateInput) -> tuple[Machine, str]:
    """Return the compiled definition and the state that is tested.

    Raises:
        InvalidDefinition: it has faults.
    """
    if request.state_name is not None:
        parsed = parse(request.definition, task_rules=task_rules)
        if parsed.machine is None:
            raise api.InvalidDefinition(parsed.invalid_definition_text)
        if request.state_name not in parsed.machine.states:
            raise api.ValidationException(f"State not found in the state machine definition: '{request.state_name}'")
        return parsed.machine, request.state_name
    parsed = parse(_around(request.definition), task_rules=task_rules)
    if parsed.machine is None:
        where = f"/States/{_ALONE}"
        text = parsed.invalid_definition_text.replace(f"{where}/", "/").replace(where, "/")
        raise api.InvalidDefinition(text)
    return parsed.machine, _ALONE


def _around(definition: str) -> str:
    """Return a state machine around a state: whatever it leads to is there."""
    try:
        state: Any = msgspec.json.decode(definition)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # The parser says what is wrong with it.
        return definition
    if not isinstance(state, dict):
        return definition
    fields = cast("dict[str, Any]", state)
    inner = [fields, *_dicts(fields.get("Choices")), *_dicts(fields.get("Catch"))]
    targets = [each.get(name) for each in inner for name in ("Next", "Default")]
    others = {target: {"Type": "Succeed"} for target in targets if isinstance(target, str) and target != _ALONE}
    return msgspec.json.encode({"StartAt": _ALONE, "States": {_ALONE: fields, **others}}).decode()


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []


def _check_request(request: api.TestStateInput, state: State) -> None:
    if request.mock is None:
        _check_unmocked(request, state)
        return
    if not isinstance(state.body, _MOCKED):
        raise api.ValidationException(f"State type '{state.type}' is not supported when a mock is specified")
    if (request.mock.result is None) == (request.mock.error_output is None):
        raise api.ValidationException(
            "A test mock should have only one of the following fields: [result, errorOutput]."
        )
    if request.reveal_secrets:
        raise api.ValidationException("TestState does not support RevealSecrets when a mock is specified.")


def _check_unmocked(request: api.TestStateInput, state: State) -> None:
    if request.context is not None:
        raise api.ValidationException("A context can only be specified when a mock is specified.")
    if request.state_configuration is not None:
        raise api.ValidationException("A stateConfiguration can only be specified when a mock is specified.")
    if isinstance(state.body, MapBody | ParallelBody):
        # In words of ours: AWS's are not published.
        raise api.InvalidDefinition(f"State type '{state.type}' is not supported when a mock is not specified")
    if isinstance(state.body, TaskBody):
        resource = parse_resource(state.body.resource)
        if resource.family == "activity" or resource.pattern:
            raise api.ValidationException(
                f"Task resource '{state.body.resource}' is not supported when a mock is not specified."
            )
        if request.role_arn is None:
            raise api.ValidationException("A roleArn must be specified when a mock is not specified.")


def _execution(call: Call, request: api.TestStateInput) -> Execution:
    """Return the execution that a state under test believes to be in."""
    text = request.input or "{}"
    if len(text.encode()) > limits.PAYLOAD_BYTES_MAX:
        raise api.InvalidExecutionInput("Invalid State Machine Execution Input: 'The input is too large'")
    try:
        text = read_json(text)
    except ValueError as error:
        raise api.InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from None
    machine = own_machine(call, _ALONE)
    name = ExecutionName(call.account, call.region, _ALONE, call.ids.uuid(), None, call.ids.uuid())
    return Execution(name, machine, "", "EXPRESS", call.now, text, call.ids.bytes(16))


def _environment(call: Call, request: api.TestStateInput, execution: Execution) -> Environment:
    about = ExecutionContext(
        id=execution.name.arn(),
        name=execution.name.name,
        input=execution.input,
        role_arn=request.role_arn or "",
        start_time=iso_time(call.now),
        state_machine_id=execution.machine.arn(),
        state_machine_name=execution.machine.name,
        overrides=_context(request, execution),
    )
    return Environment(
        now=call.now,
        execution=about,
        ids=call.ids,
        token=lambda key: task_token(execution, key),
        history_events_max=None,
    )


def _context(request: api.TestStateInput, execution: Execution) -> Mapping[str, Any]:
    """Return what replaces the context object: in a Map state's processor without a given one, the first item."""
    if request.context is not None or request.state_name is None:
        return _object(request.context, "context")
    if not _is_iterated(msgspec.json.decode(request.definition), request.state_name):
        return {}
    return {"Map": {"Item": {"Index": 0, "Value": decode(execution.input)}}}


def _is_iterated(chain: Mapping[str, Any], name: str, *, is_inside: bool = False) -> bool:
    """Tell whether a state of a chain, or of the chains below it, stands in a Map state's processor."""
    for each, fields in chain["States"].items():
        if each == name:
            return is_inside
        is_map = is_inside or fields["Type"] == "Map"
        if any(_is_iterated(inner, name, is_inside=is_map) for inner in inner_chains(fields)):
            return True
    return False


def _object(text: str | None, name: str) -> Mapping[str, Any]:
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise api.ValidationException(f"The value of {name} must be a JSON object.") from None


async def _mocked(call: Call, request: api.TestStateInput, state: State) -> Answer | None:
    """Return what the mock stands for."""
    mock = request.mock
    if mock is None:
        return None
    failures = _failure_of_items(request, state)
    if failures is not None:
        return failures
    if mock.error_output is not None:
        return Answer(error=mock.error_output.error or "", cause=mock.error_output.cause)
    assert mock.result is not None
    try:
        read_json(mock.result)
    except ValueError:
        raise api.ValidationException("The mocked result must be valid JSON.") from None
    if isinstance(state.body, ParallelBody | MapBody):
        _check_list(mock.result, state)
    elif isinstance(state.body, TaskBody):
        mode = mock.field_validation_mode or "STRICT"
        await check_mock(call.platform.table, parse_resource(state.body.resource), mock.result, mode)
    return Answer(result=mock.result)


def _failure_of_items(request: api.TestStateInput, state: State) -> Answer | None:
    """Return the failure of a Map state of which more items are said to have failed than it tolerates."""
    settings = request.state_configuration
    count = None if settings is None else settings.map_iteration_failure_count
    if not count or not isinstance(state.body, MapBody):
        return None
    tolerated = msgspec.json.decode(request.definition).get("ToleratedFailureCount", 0) if not request.state_name else 0
    if isinstance(tolerated, int) and count <= tolerated:
        return None
    text = "The specified tolerated failure threshold was exceeded"
    return Answer(error="States.ExceedToleratedFailureThreshold", cause=text)


def _check_list(result: str, state: State) -> None:
    value = msgspec.json.decode(result)
    if not isinstance(value, list):
        if isinstance(state.body, MapBody) and state.body.distributed is not None:
            return
        raise api.ValidationException(f"The mocked result of a {state.type} state must be a JSON array.")
    if isinstance(state.body, ParallelBody) and len(cast("list[Any]", value)) != len(state.body.branches):
        raise api.ValidationException(
            "The mocked result of a Parallel state must have as many items as the state has branches."
        )


async def _answer(
    call: Call, request: api.TestStateInput, execution: Execution, started: StartTask
) -> tuple[Answer, HttpExchange | None]:
    """Call the state's task, for real."""
    resource = parse_resource(started.resource)
    task = Task(execution, TaskKey(1, 1), resource, started.arguments, request.role_arn or "", started.state_name)
    integrations = call.part(Integrations)
    exchange: HttpExchange | None = None
    try:
        async with asyncio.timeout(min(started.timeout_seconds or _TEST_SECONDS_MAX, _TEST_SECONDS_MAX)):
            if resource.service == "http" and request.inspection_level == "TRACE":
                outcome, exchange = await integrations.http.exchange(task)
            else:
                outcome = await integrations.call(task)
    except TimeoutError:
        return Answer(error="States.Timeout"), None
    match outcome:
        case Done(output) | Begun(output):
            return Answer(result=output), exchange
        case Failed(error, cause):
            return Answer(error=error, cause=cause), exchange


def _shown(
    request: api.TestStateInput,
    execution: Execution,
    inspected: Inspection,
    seen: _Seen,
) -> api.TestStateOutput:
    assert inspected.status is not None, "the state's work was answered"
    is_final = inspected.status in {"SUCCEEDED", "CAUGHT_ERROR"}
    return api.TestStateOutput(
        output=inspected.output if is_final else None,
        error=inspected.error if inspected.status != "SUCCEEDED" else None,
        cause=inspected.cause if inspected.status != "SUCCEEDED" else None,
        inspection_data=_inspection(request, execution, inspected, seen),
        next_state=inspected.next_state,
        status=inspected.status,
    )


def _inspection(
    request: api.TestStateInput,
    execution: Execution,
    inspected: Inspection,
    seen: _Seen,
) -> api.InspectionData | None:
    if request.inspection_level not in {"DEBUG", "TRACE"}:
        return None
    stages, of_map, exchange = inspected.stages, seen.stages, seen.exchange
    details = None
    if inspected.catch_index is not None or inspected.retry_index is not None:
        delay = inspected.retry_backoff_seconds
        details = api.InspectionErrorDetails(
            catch_index=inspected.catch_index,
            retry_index=inspected.retry_index,
            retry_backoff_interval_seconds=None if delay is None else math.ceil(delay),
        )
    variables = None
    if inspected.variables:
        members = {name: msgspec.Raw(text.encode()) for name, text in inspected.variables.items()}
        variables = msgspec.json.encode(members).decode()
    return api.InspectionData(
        input=execution.input,
        after_arguments=stages.get("afterArguments"),
        after_input_path=stages.get("afterInputPath"),
        after_parameters=stages.get("afterParameters"),
        result=stages.get("result"),
        after_result_selector=stages.get("afterResultSelector"),
        after_result_path=stages.get("afterResultPath"),
        after_items_path=of_map.items_path,
        after_items_pointer=of_map.items_pointer,
        after_item_selector=of_map.item_selector,
        after_item_batcher=of_map.item_batcher,
        tolerated_failure_count=of_map.tolerated_failure_count,
        tolerated_failure_percentage=of_map.tolerated_failure_percentage,
        max_concurrency=of_map.max_concurrency,
        variables=variables,
        error_details=details,
        request=None if exchange is None else _request(exchange, reveals=bool(request.reveal_secrets)),
        response=None if exchange is None or exchange.response is None else _response(exchange),
    )


def _request(exchange: HttpExchange, *, reveals: bool) -> api.InspectionDataRequest:
    sent = exchange.request
    hidden = () if reveals else {name.lower() for name in sent.secrets}
    headers = {name: _HIDDEN if name.lower() in hidden else text for name, text in sent.headers.items()}
    return api.InspectionDataRequest(
        protocol=sent.url.partition(":")[0],
        method=sent.method,
        url=sent.url,
        headers=msgspec.json.encode(headers).decode(),
        body=sent.body.decode(errors="replace") or None,
    )


def _response(exchange: HttpExchange) -> api.InspectionDataResponse:
    got = exchange.response
    assert got is not None
    return api.InspectionDataResponse(
        protocol=exchange.request.url.partition(":")[0],
        status_code=str(got.status),
        status_message=got.reason,
        headers=msgspec.json.encode(dict(got.headers)).decode(),
        body=got.body.decode(errors="replace"),
    )
