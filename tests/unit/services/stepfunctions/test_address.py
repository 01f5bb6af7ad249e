"""Names and ARNs of Step Functions' resources."""

import pytest

from forebay.api import stepfunctions as api
from forebay.services.stepfunctions.address import (
    ExecutionName,
    MachineName,
    MapRunName,
    activity_name,
    check_name,
    execution_name,
    machine_name,
    map_run_name,
    standard_execution_name,
    unlabelled,
)

PREFIX = "arn:aws:states:us-east-1:000000000000:"


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("stateMachine:m", MachineName("000000000000", "us-east-1", "m")),
        ("stateMachine:m:7", MachineName("000000000000", "us-east-1", "m", "7")),
        ("stateMachine:m:live", MachineName("000000000000", "us-east-1", "m", "live")),
        ("stateMachine:m/each", MachineName("000000000000", "us-east-1", "m", None, "each")),
    ],
)
def test_state_machines_are_read_and_written_alike(arn: str, name: MachineName) -> None:
    assert machine_name(PREFIX + arn) == name
    assert name.arn() == PREFIX + arn


def test_a_version_is_a_qualifier_of_digits() -> None:
    assert machine_name(PREFIX + "stateMachine:m:7").version == 7
    assert machine_name(PREFIX + "stateMachine:m:live").version is None


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("execution:m:e", ExecutionName("000000000000", "us-east-1", "m", "e")),
        ("execution:m/each:e", ExecutionName("000000000000", "us-east-1", "m", "e", "each")),
        ("express:m:e:id", ExecutionName("000000000000", "us-east-1", "m", "e", None, "id")),
    ],
)
def test_executions_are_read_and_written_alike(arn: str, name: ExecutionName) -> None:
    assert execution_name(PREFIX + arn) == name
    assert name.arn() == PREFIX + arn


def test_map_runs_and_activities_are_read() -> None:
    run = MapRunName("000000000000", "us-east-1", "m", "each", "id")
    assert map_run_name(run.arn()) == run
    assert activity_name(PREFIX + "activity:a").arn() == PREFIX + "activity:a"


@pytest.mark.parametrize("arn", ["", "no arn", "arn:aws:sqs:us-east-1:000000000000:q", PREFIX + "stateMachine:m:"])
def test_what_is_no_arn_of_a_state_machine_is_refused(arn: str) -> None:
    with pytest.raises(api.InvalidArn):
        machine_name(arn)


def test_other_resources_are_named_in_the_refusal() -> None:
    with pytest.raises(api.InvalidArn) as refused:
        machine_name(PREFIX + "activity:a")
    assert refused.value.message == "Invalid Arn: 'Resource type not valid in this context: activity'"
    with pytest.raises(api.InvalidArn) as refused:
        standard_execution_name(PREFIX + "express:m:e:id")
    assert refused.value.message == "Invalid Arn: 'Resource type not valid in this context: express'"


def test_labels_are_refused_with_their_reason() -> None:
    with pytest.raises(api.ValidationException) as refused:
        unlabelled(PREFIX + "stateMachine:m/each")
    assert refused.value.members == {"reason": "API_DOES_NOT_SUPPORT_LABELED_ARNS"}


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "é", "x" * 80])
def test_names_are_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["a b", "a\tb", "a/b", "a:b", "a\x7f"])
def test_names_are_refused(name: str) -> None:
    with pytest.raises(api.InvalidName):
        check_name(name)
