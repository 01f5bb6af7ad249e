"""TestState through boto3: one state, its data at each stage, mocks."""

import json
from typing import Any

import pytest

from tests.aws.stepfunctions.conftest import ROLE, States


def run(states: States, definition: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = {"definition": json.dumps(definition), "roleArn": ROLE, "inspectionLevel": "DEBUG", **more}
    answer = states.client.test_state(**given)
    del answer["ResponseMetadata"]
    return answer


def test_a_pass_state_shows_its_stages(states: States) -> None:
    definition = {"Type": "Pass", "InputPath": "$.a", "Parameters": {"b.$": "$.x"}, "ResultPath": "$.r", "Next": "N"}
    answer = run(states, definition, input='{"a":{"x":1}}')
    assert answer["status"] == "SUCCEEDED"
    assert answer["nextState"] == "N"
    assert json.loads(answer["output"]) == {"a": {"x": 1}, "r": {"b": 1}}
    data = answer["inspectionData"]
    assert (data["input"], data["afterInputPath"], data["afterParameters"]) == ('{"a":{"x":1}}', '{"x":1}', '{"b":1}')


def test_info_shows_no_data(states: States) -> None:
    answer = run(states, {"Type": "Succeed"}, inspectionLevel="INFO", input="1")
    assert answer == {"status": "SUCCEEDED", "output": "1"}


def test_a_choice_tells_where_it_leads(states: States) -> None:
    definition = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.x", "NumericGreaterThan": 5, "Next": "Big"}],
        "Default": "Small",
    }
    assert run(states, definition, input='{"x":6}')["nextState"] == "Big"
    assert run(states, definition, input='{"x":5}')["nextState"] == "Small"


def test_a_task_is_called(states: States) -> None:
    states.node.client("sqs").create_queue(QueueName="tested")
    definition = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
        "Parameters": {"QueueName": "tested"},
        "End": True,
    }
    answer = run(states, definition)
    assert json.loads(answer["output"])["QueueUrl"].endswith("/tested")


def test_a_mocked_error_is_retried_then_caught(states: States) -> None:
    definition = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f"},
        "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 3}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
        "End": True,
    }
    mock = {"errorOutput": {"error": "E", "cause": "C"}}
    first = run(states, definition, mock=mock, stateConfiguration={"retrierRetryCount": 1})
    assert (first["status"], first["error"], first["cause"]) == ("RETRIABLE", "E", "C")
    assert first["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 6}
    last = run(states, definition, mock=mock, stateConfiguration={"retrierRetryCount": 2})
    assert (last["status"], last["nextState"]) == ("CAUGHT_ERROR", "Caught")
    assert json.loads(last["output"]) == {"Error": "E", "Cause": "C"}
    assert last["inspectionData"]["errorDetails"] == {"catchIndex": 0}


def test_mocks_are_held_to_the_model(states: States) -> None:
    definition = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
        "Parameters": {"QueueName": "q"},
        "End": True,
    }
    good = run(states, definition, mock={"result": '{"QueueUrl":"u"}'})
    assert good["output"] == '{"QueueUrl":"u"}'
    # What the model does not have is ignored in all modes.
    assert run(states, definition, mock={"result": '{"Colour":1}'})["output"] == '{"Colour":1}'
    given = {"definition": json.dumps(definition), "mock": {"result": '{"QueueUrl":1}'}}
    code, text = states.refusal("test_state", **given)
    assert (code, "QueueUrl" in text) == ("ValidationException", True)
    loose = {**given["mock"], "fieldValidationMode": "NONE"}
    assert run(states, definition, mock=loose)["output"] == '{"QueueUrl":1}'


def test_a_state_of_a_machine_sees_variables_and_context(states: States) -> None:
    choice = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {
            "StateMachineArn": "arn",
            "Input": {"v": "{% $v %}", "e": "{% $states.context.Execution.Name %}"},
        },
        "Assign": {"w": "{% $states.result.Output %}"},
        "End": True,
    }
    definition = {"QueryLanguage": "JSONata", "StartAt": "T", "States": {"T": choice}}
    answer = run(
        states,
        definition,
        stateName="T",
        variables='{"v":7}',
        context='{"Execution":{"Name":"me"}}',
        mock={"result": '{"Output":{"o":1}}', "fieldValidationMode": "NONE"},
    )
    assert json.loads(answer["inspectionData"]["afterArguments"])["Input"] == {"v": 7, "e": "me"}
    assert json.loads(answer["inspectionData"]["variables"]) == {"v": 7, "w": {"o": 1}}


_PASS = {"Type": "Pass", "End": True}
_TASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
_CHILD = {**_TASK, "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "a"}}
_PARALLEL = {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": _PASS}}], "End": True}


@pytest.mark.parametrize(
    ("definition", "more", "code", "text"),
    [
        (
            _PASS,
            {"mock": {"result": "1"}},
            "ValidationException",
            "State type 'Pass' is not supported when a mock is specified",
        ),
        # Unverified text.
        (
            _PASS,
            {"context": "{}"},
            "ValidationException",
            "A context can only be specified when a mock is specified.",
        ),
        (
            _PARALLEL,
            {},
            "InvalidDefinition",
            # Unverified text.
            "State type 'Parallel' is not supported when a mock is not specified",
        ),
        (
            _TASK,
            {"mock": {"result": "{}", "errorOutput": {"error": "E"}}},
            "ValidationException",
            "A test mock should have only one of the following fields: [result, errorOutput].",
        ),
        # Unverified text; that texts are wanted is known.
        (
            _CHILD,
            {"mock": {"result": '{"Output":{"o":1}}', "fieldValidationMode": "PRESENT"}},
            "ValidationException",
            "Mock result schema validation error: Field 'Output' must be a string",
        ),
        (
            {"Type": "Unknown"},
            {},
            "InvalidDefinition",
            (
                "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Value should be one of the following: "
                "[Pass, Task, Wait, Parallel, Map, Choice, Succeed, Fail] at /Type'"
            ),
        ),
        (
            {"Type": "Pass"},
            {},
            "InvalidDefinition",
            (
                "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: This object should have only one of the "
                "following fields: [Next, End] at /'"
            ),
        ),
        (
            _PASS,
            {"input": '{"a": }'},
            "InvalidExecutionInput",
            (
                "Invalid State Machine Execution Input: 'com.fasterxml.jackson.core.JsonParseException: Unexpected "
                "character ('}' (code 125)): expected a valid value (JSON String, Number, Array, Object or token "
                "'null', 'true' or 'false')\n at [Source: (String)\"{\"a\": }\"; line: 1, column: 7]'"
            ),
        ),
    ],
)
def test_what_cannot_be_tested_is_refused(
    states: States, definition: dict[str, Any], more: dict[str, Any], code: str, text: str
) -> None:
    assert states.refusal("test_state", definition=json.dumps(definition), roleArn=ROLE, **more) == (code, text)


_PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "P",
    "States": {"P": _TASK},
}


@pytest.mark.parametrize(
    ("definition", "more", "data"),
    [
        # AWS's announcement of mocks shows these answers.
        (
            _TASK,
            {"mock": {"result": '{"orderId":"12345"}'}},
            {
                "input": "{}",
                "afterInputPath": "{}",
                "afterParameters": '{"FunctionName":"f"}',
                "result": '{"orderId":"12345"}',
                "afterResultSelector": '{"orderId":"12345"}',
                "afterResultPath": '{"orderId":"12345"}',
            },
        ),
        (
            _TASK,
            {"mock": {"errorOutput": {"error": "E", "cause": "C"}}},
            {"input": "{}", "afterInputPath": "{}", "afterParameters": '{"FunctionName":"f"}'},
        ),
        (
            {"Type": "Map", "ItemProcessor": _PROCESSOR, "End": True},
            {"mock": {"result": "[5,6]"}, "input": "[1,2]"},
            {
                "input": "[1,2]",
                "afterInputPath": "[1,2]",
                "afterResultSelector": "[5,6]",
                "afterResultPath": "[5,6]",
            },
        ),
        (
            _PARALLEL,
            {"mock": {"result": "[5]"}},
            {"input": "{}", "afterResultSelector": "[5]", "afterResultPath": "[5]"},
        ),
        # And this one the developer guide.
        (
            {
                "Type": "Pass",
                "InputPath": "$.payload",
                "Parameters": {"data": 1},
                "ResultPath": "$.result",
                "OutputPath": "$.result.data",
                "Next": "Another State",
            },
            {"input": '{"payload": {"foo": "bar"}}'},
            {
                "input": '{"payload": {"foo": "bar"}}',
                "afterInputPath": '{"foo":"bar"}',
                "afterParameters": '{"data":1}',
                "afterResultSelector": '{"data":1}',
                "afterResultPath": '{"payload":{"foo":"bar"},"result":{"data":1}}',
            },
        ),
    ],
)
def test_the_stages_of_data_are_those_of_aws(
    states: States, definition: dict[str, Any], more: dict[str, Any], data: dict[str, str]
) -> None:
    assert run(states, definition, **more)["inspectionData"] == data


def test_a_state_in_a_map_sees_the_first_item(states: States) -> None:
    inner = {**_PASS, "Parameters": {"at.$": "$$.Map.Item.Index", "of.$": "$$.Map.Item.Value"}}
    processor = {"StartAt": "P", "States": {"P": inner}}
    definition = {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": processor, "End": True}}}
    answer = run(states, definition, stateName="P", input='"x"')
    assert json.loads(answer["output"]) == {"at": 0, "of": "x"}


def test_causes_do_not_name_the_state(states: States) -> None:
    output = {"v": "{% $states.input.a %}"}
    answer = run(states, {"QueryLanguage": "JSONata", "Type": "Pass", "Output": output, "End": True})
    assert (answer["status"], answer["error"]) == ("FAILED", "States.QueryEvaluationError")
    sentence = "specified for the field 'Output/v' returned nothing (undefined)."
    assert answer["cause"] == f"The JSONata expression '$states.input.a' {sentence}"


def test_a_map_shows_its_items_and_bounds(states: States) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    definition = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/rows"},
            "Parameters": {"Bucket": "b", "Key": "k"},
        },
        "ItemSelector": {"n.$": "$$.Map.Item.Value"},
        "ItemBatcher": {"MaxItemsPerBatch": 2},
        "ItemProcessor": processor,
        "MaxConcurrency": 5,
        "ToleratedFailureCount": 2,
        "End": True,
    }
    answer = run(
        states,
        definition,
        mock={"result": "[1,2]"},
        stateConfiguration={"mapItemReaderData": '{"rows":[1,2,3]}'},
    )
    data = answer["inspectionData"]
    assert answer["output"] == "[1,2]"
    assert json.loads(data["afterItemsPointer"]) == [1, 2, 3]
    assert json.loads(data["afterItemSelector"]) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert json.loads(data["afterItemBatcher"]) == [{"Items": [{"n": 1}, {"n": 2}]}, {"Items": [{"n": 3}]}]
    assert (data["maxConcurrency"], data["toleratedFailureCount"]) == (5, 2)
    too_many = run(
        states,
        definition,
        mock={"errorOutput": {"error": "E"}},
        stateConfiguration={"mapIterationFailureCount": 3},
    )
    assert too_many["error"] == "States.ExceedToleratedFailureThreshold"
