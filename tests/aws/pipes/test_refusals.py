"""What Pipes refuses, on one node that all cases share.

The form of the text is AWS's (`ValidationErrorFields`); what it says of a field is known for missing parameters only.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode

PREFIX = f"arn:aws:sqs:us-east-1:{ACCOUNT}:"
GIVEN = {
    "Name": "pipe",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/pipe",
    "Source": PREFIX + "source",
    "Target": PREFIX + "target",
    "DesiredState": "STOPPED",
}


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    node = RunningNode(tmp_path_factory.mktemp("data")).start()
    client = node.client("pipes")
    client.create_pipe(**{**GIVEN, "Name": "there"})
    yield client
    node.stop()


STREAM = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t/stream/2030-01-01T00:00:00.000"
MISSING = "Missing required parameter."


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        ({"Source": STREAM}, "SourceParameters.DynamoDBStreamParameters.StartingPosition", MISSING),
        ({"Target": f"{PREFIX}t.fifo"}, "TargetParameters.SqsQueueParameters.MessageGroupId", MISSING),
        (
            {"Source": f"arn:aws:sns:us-east-1:{ACCOUNT}:t"},
            "Source",
            "sns is not a supported source.",
        ),
        ({"Target": f"arn:aws:s3:us-east-1:{ACCOUNT}:b"}, "Target", "s3 is not a supported target."),
        (
            {"Enrichment": f"arn:aws:sns:us-east-1:{ACCOUNT}:t"},
            "Enrichment",
            "sns is not a supported enrichment.",
        ),
        (
            {"SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": '{"a": 1}'}]}}},
            "SourceParameters.FilterCriteria.Filters[0].Pattern",
            (
                'Event pattern is not valid. Reason: "a" must be an object or an array\n'
                ' at [Source: (String)"{"a": 1}"; line: 1, column: 8]'
            ),
        ),
        (
            {"Source": f"{PREFIX}s.fifo", "SourceParameters": {"SqsQueueParameters": {"BatchSize": 11}}},
            "SourceParameters.SqsQueueParameters.BatchSize",
            "FIFO queues have batches of at most 10 messages.",
        ),
    ],
)
def test_field_is_refused(pipes: Any, settings: Any, field: str, message: str) -> None:
    code, text = refusal(lambda: pipes.create_pipe(**{**GIVEN, **settings}))
    assert code == "ValidationException"
    assert json.loads(text) == {"ValidationErrorFields": [{"Name": field, "Message": message}]}


@pytest.mark.parametrize(
    ("settings", "path", "value", "constraint"),
    [
        ({"Name": "a b"}, "name", "'a b'", r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"),
        ({"DesiredState": "X"}, "desiredState", "'X'", "Member must satisfy enum value set: [RUNNING, STOPPED]"),
        (
            {"SourceParameters": {"SqsQueueParameters": {"BatchSize": 0}}},
            "sourceParameters.sqsQueueParameters.batchSize",
            "'0'",
            "Member must have value greater than or equal to 1",
        ),
        ({"RoleArn": None}, "roleArn", "null", "Member must not be null"),
    ],
)
def test_constraint_is_kept(pipes: Any, settings: Any, path: str, value: str, constraint: str) -> None:
    text = f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {constraint}"
    assert refusal(lambda: pipes.create_pipe(**{**GIVEN, **settings})) == ("ValidationException", text)


def test_name_is_taken_once(pipes: Any) -> None:
    answer = ("ConflictException", "Pipe there already exists.")
    assert refusal(lambda: pipes.create_pipe(**{**GIVEN, "Name": "there"})) == answer


@pytest.mark.parametrize("operation", ["describe_pipe", "start_pipe", "stop_pipe", "delete_pipe", "update_pipe"])
def test_pipe_that_is_not_there_is_named(pipes: Any, operation: str) -> None:
    more = {"RoleArn": GIVEN["RoleArn"]} if operation == "update_pipe" else {}
    answer = ("NotFoundException", "Pipe none does not exist.")
    assert refusal(lambda: getattr(pipes, operation)(Name="none", **more)) == answer
