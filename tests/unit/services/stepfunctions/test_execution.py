"""Executions: their tokens, the change that fences their progress, and when they can be redriven."""

import pytest
from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import ExecutionState, TaskKey
from forebay.services.stepfunctions.address import ExecutionName, MachineName
from forebay.services.stepfunctions.execution import (
    Execution,
    Pending,
    Progress,
    decode_execution,
    decode_progress,
    encode_execution,
    encode_progress,
    is_genuine,
    read_token,
    redrive_refusal,
    task_token,
    version_of,
)

EXECUTION = Execution(
    ExecutionName("000000000000", "us-east-1", "m", "e"),
    MachineName("000000000000", "us-east-1", "m"),
    "revision",
    "STANDARD",
    1_000.0,
    "{}",
    b"secret",
)
FAILED = replace(EXECUTION, status="FAILED", stopped_at=2_000.0, events=10)


def test_a_token_leads_to_its_task_and_proves_it() -> None:
    token = task_token(EXECUTION, TaskKey(3, 4))
    key, task, digest = read_token(token)
    assert (key, task) == (EXECUTION.key, TaskKey(3, 4))
    assert is_genuine(EXECUTION, task, digest)
    assert not is_genuine(EXECUTION, TaskKey(3, 5), digest)
    assert not is_genuine(replace(EXECUTION, secret=b"other"), task, digest)


@pytest.mark.parametrize("token", ["", "nonsense", "é", "YWJj"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(api.InvalidToken):
        read_token(token)


def test_what_is_kept_reads_back() -> None:
    assert decode_execution(encode_execution(FAILED)) == FAILED
    progress = Progress(ExecutionState({}, 5, 2), {"1.1": Pending("arn", "T")})
    data = encode_progress(progress, 7)
    assert decode_progress(data) == (progress, 7)
    assert version_of(data) == 7


@pytest.mark.parametrize(
    ("execution", "now", "reason"),
    [
        (FAILED, 3_000.0, None),
        (EXECUTION, 3_000.0, "Execution is RUNNING and cannot be redriven"),
        (replace(FAILED, status="SUCCEEDED"), 3_000.0, "Execution is SUCCEEDED and cannot be redriven"),
        (replace(FAILED, events=24_999), 3_000.0, "Execution history event limit exceeded"),
        (FAILED, 2_000.0 + 14 * 86_400, "Execution redrivable period exceeded"),
        (FAILED, 1_000.0 + 365 * 86_400, "Execution has exceeded the max execution time"),
    ],
)
def test_redrives_are_refused_with_their_reason(execution: Execution, now: float, reason: str | None) -> None:
    assert redrive_refusal(execution, execution.events, now, is_deleting=False) == reason


def test_nothing_of_a_machine_that_goes_is_redriven() -> None:
    refusal = redrive_refusal(FAILED, 10, 3_000.0, is_deleting=True)
    assert refusal == "State machine is in DELETING status."
