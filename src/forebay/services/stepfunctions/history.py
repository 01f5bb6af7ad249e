"""The operation on the histories of executions: GetExecutionHistory."""

from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.pages import encode_token
from forebay.operations.service import operation
from forebay.services.stepfunctions.address import standard_execution_name
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.executions import no_execution
from forebay.services.stepfunctions.pages import page_size, token_text
from forebay.services.stepfunctions.transition import decode_event
from forebay.store.commands import ReadLog

# Members of details that `includeExecutionData` leaves out.
_DATA = ("input", "output", "parameters", "assigned_variables")
_DETAILS = tuple(name for name in api.HistoryEvent.__struct_fields__ if name.endswith("_details"))


@operation
async def get_execution_history(call: Call, request: api.GetExecutionHistoryInput) -> api.GetExecutionHistoryOutput:
    """Return the events of an execution in order, or the newest first."""
    name = standard_execution_name(request.execution_arn)
    execution = await call.part(Engine).find(name.key())
    if execution is None:
        raise no_execution(name)
    most, at = page_size(request.max_results), _position(request.next_token)
    is_backward = bool(request.reverse_order)
    query = ReadLog(
        execution.stream,
        most + 1,
        after=0 if is_backward else at or 0,
        before=at if is_backward else None,
        newest_first=is_backward,
    )
    entries = await call.query(query)
    shown = entries[:most]
    events = [decode_event(entry.data) for entry in shown]
    if request.include_execution_data is False:
        events = [_without_data(event) for event in events]
    token = encode_token(str(shown[-1].position)) if len(entries) > most else None
    return api.GetExecutionHistoryOutput(events=events, next_token=token)


def _position(token: str | None) -> int | None:
    text = token_text(token)
    if not text:
        return None
    if not text.isdecimal():
        raise api.InvalidToken("Invalid Token: 'Invalid token'")
    return int(text)


def _without_data(event: api.HistoryEvent) -> api.HistoryEvent:
    for name in _DETAILS:
        details = getattr(event, name)
        if details is None:
            continue
        left_out = {member: None for member in _DATA if getattr(details, member, None) is not None}
        if "parameters" in left_out:
            # A member that the model requires.
            left_out["parameters"] = ""  # pyright: ignore[reportArgumentType]
        return replace(event, **{name: replace(details, **left_out)}) if left_out else event
    return event
