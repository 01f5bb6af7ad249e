"""The items of a Map state: where they come from, what each iteration gets, and the start of a distributed map run."""

from collections.abc import Sequence
from dataclasses import dataclass

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import Frame, Phase, StartMapRun
from forebay.languages.asl.data_flow import effective_input
from forebay.languages.asl.document import Document, decode, encode, sayable
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.jsonata_fields import unexpected
from forebay.languages.asl.machine import DistributedMode, Expression, MapBody, State
from forebay.languages.asl.run import Run
from forebay.languages.asl.scope import Scope
from forebay.languages.asl.typed_values import percentage, whole_number
from forebay.languages.json_kinds import is_array, is_object


@dataclass(frozen=True, slots=True)
class Items:
    """A Map state's items, each as JSON: the values, their keys if they come from an object, the iterations' inputs."""

    values: tuple[str, ...]
    keys: tuple[str, ...] = ()
    # Empty where the values are the inputs.
    inputs: tuple[str, ...] = ()


def work_items(state: State, body: MapBody, raw: Document, scope: Scope) -> Items:
    """Return the items of a Map state that has them in its data."""
    document = effective_input(state, raw, scope)
    seeing = scope if document is raw else scope.on(document.value)
    found = document.value if body.items is None else body.items.evaluate(seeing)
    if is_object(found) and (state.query_language == "JSONata" or body.distributed is not None):
        pairs = [(sayable(key), value) for key, value in found.items()]
    elif is_array(found):
        pairs = [("", value) for value in found]
    else:
        raise _no_items(state, body, found)
    scope.note("afterItemsPath", found)
    keys = tuple(key for key, _ in pairs) if is_object(found) else ()
    values = [value for _, value in pairs]
    inputs: tuple[str, ...] = ()
    if body.selector is not None:
        inputs = tuple(select(body.selector, seeing, values, keys=keys))
    elif keys:
        inputs = tuple(encode({"Key": key, "Value": value}) for key, value in pairs)
    if scope.trace is not None and inputs:
        scope.note("afterItemSelector", [decode(text) for text in inputs])
    return Items(tuple(encode(value) for value in values), keys, inputs)


def _no_items(state: State, body: MapBody, found: object) -> StateFailure:
    if state.query_language == "JSONata":
        items = body.items
        return (
            unexpected(items, found, "array")
            if items is not None
            else StateFailure(
                ErrorName.QUERY_EVALUATION_ERROR,
                f"The input of the Map state must be an array or an object: {encode(found)}",
            )
        )
    path = getattr(getattr(body.items, "path", None), "text", "$")
    return StateFailure(ErrorName.RUNTIME, f'Reference path "{path}" must point to array.')


def select(
    selector: Expression, scope: Scope, values: Sequence[object], *, keys: Sequence[str] = (), first_index: int = 0
) -> list[str]:
    """Return the inputs that an ItemSelector makes of items, each as JSON."""
    return [
        encode(selector.evaluate(_with_item(scope, first_index + at, value, keys[at] if keys else None)))
        for at, value in enumerate(values)
    ]


def _with_item(scope: Scope, index: int, value: object, key: str | None) -> Scope:
    item: dict[str, object] = {"Index": index, "Value": value}
    if key is not None:
        item["Key"] = key
    return scope.in_context({"Map": {"Item": item}})


def _evaluated(expression: Expression | None, scope: Scope) -> str | None:
    return None if expression is None else encode(expression.evaluate(scope))


def do_distributed_map(run: Run, frame: Frame, state: State, body: MapBody, mode: DistributedMode) -> None:
    """Start a map run."""
    key = run.next_key(frame.id)
    frame = run.frames[frame.id]
    scope = run.scope(frame)
    raw = run.input_of(frame)
    document = effective_input(state, raw, scope)
    seeing = scope if document is raw else scope.on(document.value)
    # The selector is applied by `item_inputs`, in portions.
    bare = MapBody(body.processor, body.items, distributed=mode)
    items = None if mode.reader is not None else work_items(state, bare, raw, scope)
    count, tolerated = body.tolerated_failure_count, body.tolerated_failure_percentage
    effect = StartMapRun(
        key,
        state.name,
        mode.label,
        mode.execution_type,
        None if items is None else "[" + ",".join(items.inputs or items.values) + "]",
        _evaluated(mode.reader, seeing),
        _evaluated(mode.writer, seeing),
        _evaluated(mode.batcher, seeing),
        0 if body.max_concurrency is None else whole_number(body.max_concurrency, seeing, "MaxConcurrency"),
        None if count is None else whole_number(count, seeing, "ToleratedFailureCount"),
        None if tolerated is None else percentage(tolerated, seeing, "ToleratedFailurePercentage"),
    )
    length = 0 if items is None else len(items.values)
    details = api.MapStateStartedEventDetails(length=length)
    run.emit(frame.id, "MapStateStarted", map_state_started_event_details=details)
    run.owe(effect)
    run.change(frame.id, phase=Phase.WORKING)
