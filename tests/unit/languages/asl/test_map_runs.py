import json

import pytest

from forebay.languages.asl import StartMapRun, TaskFailed, TaskSucceeded, batches, item_inputs
from forebay.languages.asl.failures import StateFailure
from tests.unit.languages.asl.executions import Execution, environment

PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
    "StartAt": "I",
    "States": {"I": {"Type": "Pass", "End": True}},
}


def distributed(**fields):
    return {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": PROCESSOR, "End": True, **fields}}}


def test_map_run_gets_items_and_settings():
    fields = {
        "ItemsPath": "$.items",
        "Label": "L",
        "MaxConcurrencyPath": "$.most",
        "ToleratedFailurePercentage": 5,
        "ToleratedFailureCount": 2,
        "ItemBatcher": {"MaxItemsPerBatchPath": "$.most", "BatchInput": {"most.$": "$.most"}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix.$": "$.p"}},
    }
    run = Execution(distributed(**fields), {"items": [1, 2], "most": 3, "p": "x"})
    (effect,) = run.effects
    assert isinstance(effect, StartMapRun)
    assert (effect.items, effect.reader, effect.label, effect.execution_type) == ("[1,2]", None, "L", "EXPRESS")
    assert (effect.max_concurrency, effect.tolerated_failure_count, effect.tolerated_failure_percentage) == (3, 2, 5.0)
    assert json.loads(effect.batcher) == {"MaxItemsPerBatch": 3, "BatchInput": {"most": 3}}
    assert json.loads(effect.writer)["Parameters"] == {"Bucket": "b", "Prefix": "x"}
    assert run.machine.processor_of("M").start_at == "I"
    run.give(TaskSucceeded(effect.key, "[1,2]"))
    assert run.events[1:] == [
        (3, 2, "MapStateStarted"),
        (4, 3, "MapStateSucceeded"),
        (5, 3, "MapStateExited"),
        (6, 5, "ExecutionSucceeded"),
    ]


def test_reader_stands_in_for_items():
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$.n"},
        "Parameters": {"Bucket.$": "$.b", "Key": "k"},
    }
    run = Execution(distributed(ItemReader=reader), {"b": "bucket", "n": 7})
    (effect,) = run.effects
    assert effect.items is None
    assert json.loads(effect.reader) == {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON", "MaxItems": 7},
        "Parameters": {"Bucket": "bucket", "Key": "k"},
    }


def test_failed_map_run_fails_the_state():
    run = Execution(distributed(), [1])
    cause = "The specified tolerated failure threshold was exceeded"
    run.give(TaskFailed(run.effects[0].key, "States.ExceedToleratedFailureThreshold", cause))
    assert run.failure == ("States.ExceedToleratedFailureThreshold", cause)
    assert [event for _, _, event in run.events][-2:] == ["MapStateFailed", "ExecutionFailed"]


def test_selector_makes_inputs_of_items_in_portions():
    fields = {
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value.x", "a.$": "$.a"},
        "ItemsPath": "$.l",
    }
    run = Execution(distributed(**fields), {"a": 1, "l": []})
    key = run.effects[0].key
    made = item_inputs(run.machine, run.state, key, [{"x": "p"}, {"x": "q"}], environment(), first_index=10)
    assert made == ['{"i":10,"v":"p","a":1}', '{"i":11,"v":"q","a":1}']
    with pytest.raises(StateFailure):
        item_inputs(run.machine, run.state, key, [{}], environment())


def test_batches_respect_count_and_bytes():
    texts = ['"aaaa"', '"bbbb"', '"cccc"']
    assert list(batches(texts, '{"MaxItemsPerBatch":2}')) == ['{"Items":["aaaa","bbbb"]}', '{"Items":["cccc"]}']
    settings = '{"MaxInputBytesPerBatch":45,"BatchInput":{"k":1}}'
    assert list(batches(texts, settings)) == [
        '{"BatchInput":{"k":1},"Items":["aaaa"]}',
        '{"BatchInput":{"k":1},"Items":["bbbb"]}',
        '{"BatchInput":{"k":1},"Items":["cccc"]}',
    ]
    assert list(batches([], "{}")) == []
