"""What a map run needs of its state machine: the inputs of its children, one by one or in batches."""

from collections.abc import Iterator, Sequence
from typing import Any

from forebay.languages.asl.contract import Environment, ExecutionState, TaskKey
from forebay.languages.asl.data_flow import effective_input
from forebay.languages.asl.document import byte_count, decode, encode
from forebay.languages.asl.machine import Machine, MapBody
from forebay.languages.asl.map_items import select
from forebay.languages.asl.run import Run

# "The maximum size of a batch" (ItemBatcher: MaxInputBytesPerBatch, at most 256 KiB).
BATCH_BYTES_MAX = 262_144


def item_inputs(
    machine: Machine,
    state: ExecutionState,
    key: TaskKey,
    items: Sequence[object],
    environment: Environment,
    *,
    first_index: int = 0,
) -> list[str]:
    """Return the children's inputs, JSON, for some of the items: themselves, or what the ItemSelector makes of them.

    Raises:
        StateFailure: the ItemSelector does not fit an item.
    """
    run = Run(machine, state, environment)
    frame = run.frames[key.frame]
    definition = run.definition(frame)
    body = definition.body
    assert isinstance(body, MapBody)
    if body.selector is None:
        return [encode(item) for item in items]
    scope, raw = run.scope(frame), run.input_of(frame)
    document = effective_input(definition, raw, scope)
    return select(body.selector, scope if document is raw else scope.on(document.value), items, first_index=first_index)


def batches(inputs: Sequence[str], batcher: str) -> Iterator[str]:
    """Yield the children's inputs, JSON, where an ItemBatcher (as `StartMapRun.batcher`) puts items together."""
    settings: Any = decode(batcher)
    items_max = settings.get("MaxItemsPerBatch") or len(inputs) or 1
    bytes_max = settings.get("MaxInputBytesPerBatch") or BATCH_BYTES_MAX
    head = "" if "BatchInput" not in settings else f'"BatchInput":{encode(settings["BatchInput"])},'
    empty = byte_count(head) + len('{"Items":[]}')
    batch: list[str] = []
    size = empty
    for text in inputs:
        length = byte_count(text) + 1
        if batch and (len(batch) == items_max or size + length > bytes_max):
            yield _batch(head, batch)
            batch, size = [], empty
        batch.append(text)
        size += length
    if batch:
        yield _batch(head, batch)


def _batch(head: str, texts: list[str]) -> str:
    return "{" + head + '"Items":[' + ",".join(texts) + "]}"
