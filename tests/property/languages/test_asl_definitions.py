"""Whatever a definition holds, reading it gives a machine or findings, never an exception."""

import json
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.languages.asl import parse

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
DEFINITION = {
    "StartAt": "T",
    "QueryLanguage": "JSONPath",
    "TimeoutSeconds": 60,
    "States": {
        "T": {
            "Type": "Task",
            "Resource": LAMBDA,
            "Parameters": {"a.$": "$.a", "b": ["x", {"c.$": "States.Format('{}', $.d)"}]},
            "Credentials": {"RoleArn": "r"},
            "ResultSelector": {"x.$": "$.y"},
            "ResultPath": "$.r",
            "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1, "BackoffRate": 2.0}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C", "ResultPath": "$.e", "Assign": {"v": 1}}],
            "TimeoutSecondsPath": "$.t",
            "Next": "C",
        },
        "C": {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [{"Variable": "$.a", "IsNull": True}, {"Not": {"Variable": "$.b", "StringEquals": "x"}}],
                    "Next": "M",
                }
            ],
            "Default": "P",
        },
        "M": {
            "Type": "Map",
            "ItemsPath": "$.l",
            "ItemSelector": {"v.$": "$$.Map.Item.Value"},
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSON"},
                "Parameters": {"Bucket": "b"},
            },
            "ItemBatcher": {"MaxItemsPerBatch": 2},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                "StartAt": "I",
                "States": {"I": {"Type": "Wait", "Seconds": 1, "End": True}},
            },
            "Next": "P",
        },
        "P": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Fail", "ErrorPath": "$.e", "Cause": "c"}}}],
            "Next": "J",
        },
        "J": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": {"x": "{% $states.input.a %}"},
            "Assign": {"v": "{% 1 %}"},
            "End": True,
        },
    },
}
TEXTS = st.sampled_from(
    ["", "$", "$.a", "$..", "States.Format(", "{% 1", "{% 1 %}", "{% ( %}", "T", "Map", "JSONata", "arn:", "2020"]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 3), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)


def places(value, at=()):
    """Yield the paths to everything inside a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*at, key)
        yield from places(inner, (*at, key))


PLACES = list(places(DEFINITION))


def put(definition, path, value):
    for key in path[:-1]:
        if not isinstance(definition, dict | list) or (isinstance(definition, dict) and key not in definition):
            return
        if isinstance(definition, list) and (not isinstance(key, int) or key >= len(definition)):
            return
        definition = definition[key]
    if isinstance(definition, dict) or (
        isinstance(definition, list) and isinstance(path[-1], int) and path[-1] < len(definition)
    ):
        definition[path[-1]] = value


def test_the_definition_itself_is_fine():
    assert parse(json.dumps(DEFINITION)).machine is not None


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3), st.booleans())
def test_changed_definition_gives_machine_or_findings(changes, express):
    definition = deepcopy(DEFINITION)
    for path, value in changes:
        put(definition, path, value)
    parsed = parse(json.dumps(definition), express=express)
    errors = [one for one in parsed.diagnostics if one.severity == "ERROR"]
    assert (parsed.machine is None) is bool(errors)
