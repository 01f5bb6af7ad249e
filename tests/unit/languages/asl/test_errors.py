import pytest

from forebay.languages.asl import SetTimer, TimerKind
from tests.unit.languages.asl.executions import START, Execution, TaskError

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def task(**fields):
    return {
        "StartAt": "T",
        "States": {
            "T": {"Type": "Task", "Resource": LAMBDA, "Next": "Good", **fields},
            "Good": {"Type": "Succeed"},
            "Bad": {"Type": "Pass", "End": True},
        },
    }


def failing(error, cause="why"):
    def work(_):
        raise TaskError(error, cause)

    return work


def reachable(definition):
    """Let the state for errors be reached, which validation asks for."""
    definition["States"]["T"].setdefault("Catch", [{"ErrorEquals": ["Never"], "Next": "Bad"}])
    return definition


def delays(run):
    return [one.due_at - START for one in run.effects if isinstance(one, SetTimer) and one.kind is TimerKind.RETRY]


def test_retry_backs_off_and_gives_up():
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 3, "MaxDelaySeconds": 10}]
    run = Execution(reachable(task(Retry=retry)), worker=failing("E")).run()
    assert delays(run) == [2, 2 + 6, 2 + 6 + 10]
    assert run.failure == ("E", "why")
    assert run.events == [(2, 0, "TaskStateEntered"), (3, 2, "ExecutionFailed")]


def test_each_retrier_counts_by_itself():
    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 1}, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]
    errors = iter(["E", "F", "E"])

    def work(_):
        raise TaskError(next(errors), "")

    run = Execution(reachable(task(Retry=retry)), worker=work).run()
    assert len(delays(run)) == 2
    assert run.failure[0] == "E"


def test_jitter_draws_from_nothing_to_the_delay():
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 100, "JitterStrategy": "FULL", "MaxAttempts": 1}]
    (delay,) = delays(Execution(reachable(task(Retry=retry)), worker=failing("E")).run())
    assert 0 <= delay <= 100
    assert delay != 100


def test_catcher_places_error():
    run = Execution(
        task(Catch=[{"ErrorEquals": ["E"], "ResultPath": "$.error", "Next": "Bad"}]), {"a": 1}, worker=failing("E")
    ).run()
    assert run.output == {"a": 1, "error": {"Error": "E", "Cause": "why"}}
    assert [event for _, _, event in run.events][:3] == ["TaskStateEntered", "TaskStateExited", "PassStateEntered"]


@pytest.mark.parametrize(
    ("names", "error", "matches"),
    [
        (["States.ALL"], "E", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.TaskFailed"], "E", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.HeartbeatTimeout", True),
        (["E"], "F", False),
    ],
)
def test_error_names_match(names, error, matches):
    run = Execution(task(Catch=[{"ErrorEquals": names, "Next": "Bad"}]), worker=failing(error)).run()
    assert (run.state.status == "SUCCEEDED") is matches


@pytest.mark.parametrize(
    ("field", "error"), [("TimeoutSeconds", "States.Timeout"), ("HeartbeatSeconds", "States.HeartbeatTimeout")]
)
def test_task_that_takes_too_long_fails(field, error):
    run = Execution(reachable(task(**{field: 5})))
    run.pending = [one for one in run.pending if isinstance(one, SetTimer)]
    run.run()
    assert run.failure == (error, None)


def test_result_beyond_256_kib_names_the_resource():
    run = Execution(reachable(task()), worker=lambda _: "x" * 262_144).run()
    assert run.failure == (
        "States.DataLimitExceeded",
        f"The state/task '{LAMBDA}' returned a result with a size exceeding the maximum number of bytes service limit.",
    )
