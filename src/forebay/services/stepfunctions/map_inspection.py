"""What TestState tells of a Map state beside its input and output: its items at each stage, and its bounds."""

from typing import Any

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl import Environment, Machine, TaskKey
from forebay.languages.asl.contract import ExecutionState, Frame, StartMapRun
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.inspection import Given, inspect_state
from forebay.languages.asl.machine import MapBody
from forebay.languages.asl.map_runs import batches, item_inputs
from forebay.services.stepfunctions.item_reader import ReadFailed, parse_items, point_at
from forebay.services.stepfunctions.payload import as_object

_ROOT = 1


class MapStages(msgspec.Struct, frozen=True):
    """The stages of a Map state's items, each as JSON, and its bounds."""

    items_path: str | None = None
    items_pointer: str | None = None
    item_selector: str | None = None
    item_batcher: str | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    max_concurrency: int | None = None


def map_stages(
    machine: Machine, name: str, given: Given, environment: Environment, reader_data: str | None
) -> MapStages:
    """Return what becomes of a Map state's items.

    Raises:
        ValidationException: there is no reader for the data that is given, or it cannot be read.
    """
    begun = inspect_state(machine, name, given, environment)
    state = machine.states[name]
    body = state.body
    assert isinstance(body, MapBody)
    has_path = body.items is not None and state.query_language == "JSONPath"
    concurrency = begun.stages.get("maxConcurrency")
    stages = MapStages(
        begun.stages.get("afterItemsPath") if has_path else None,
        item_selector=begun.stages.get("afterItemSelector") if body.selector is not None else None,
        max_concurrency=None if concurrency is None else int(concurrency),
    )
    run = begun.pending
    if not isinstance(run, StartMapRun):
        if reader_data is not None:
            raise api.ValidationException("mapItemReaderData can only be specified for a Map state with an ItemReader.")
        return stages
    stages = msgspec.structs.replace(
        stages,
        tolerated_failure_count=run.tolerated_failure_count,
        tolerated_failure_percentage=run.tolerated_failure_percentage,
        max_concurrency=run.max_concurrency or None,
    )
    items, pointed = _items(run, reader_data)
    if items is None:
        return stages
    frame = Frame(_ROOT, 0, 0, name, given.input, variables=given.variables)
    state = ExecutionState({_ROOT: frame}, 2, _ROOT + 1)
    try:
        inputs = item_inputs(machine, state, TaskKey(_ROOT, 0), items, environment)
    except StateFailure as failure:
        raise api.ValidationException(failure.cause or failure.error) from None
    selected = "[" + ",".join(inputs) + "]"
    batched = None if run.batcher is None else "[" + ",".join(batches(inputs, run.batcher)) + "]"
    return msgspec.structs.replace(
        stages,
        items_pointer=pointed,
        item_selector=None if body.selector is None else selected,
        item_batcher=batched,
    )


def _items(run: StartMapRun, reader_data: str | None) -> tuple[list[Any] | None, str | None]:
    """Return the items, and what the reader's pointer has led to if it has one."""
    if run.items is not None:
        return msgspec.json.decode(run.items, type=list[Any]), None
    if reader_data is None:
        return None, None
    config = as_object(as_object(msgspec.json.decode(run.reader or "{}")).get("ReaderConfig"))
    try:
        items = parse_items(reader_data, config)
        pointer = config.get("ItemsPointer")
        pointed = None
        if isinstance(pointer, str):
            pointed = msgspec.json.encode(point_at(msgspec.json.decode(reader_data), pointer)).decode()
    except (ReadFailed, msgspec.MsgspecError) as error:
        raise api.ValidationException(f"The mapItemReaderData cannot be read: {error}") from None
    return items, pointed
