from forebay.languages.asl import Answer, Given, StartTask, inspect_state
from tests.unit.languages.asl.executions import environment, machine

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
MACHINE = {
    "StartAt": "T",
    "States": {
        "T": {
            "Type": "Task",
            "Resource": LAMBDA,
            "InputPath": "$.a",
            "Parameters": {"x.$": "$.b"},
            "ResultSelector": {"r.$": "$.q"},
            "ResultPath": "$.out",
            "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "U", "ResultPath": "$.err"}],
            "Assign": {"v.$": "$.q"},
            "Next": "U",
        },
        "U": {"Type": "Wait", "Seconds": 600, "Next": "P"},
        "P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}], "End": True},
    },
}


def inspected(name, given="{}", answer=None, *, retries=(), variables=None):
    return inspect_state(machine(MACHINE), name, Given(given, variables or {}, retries), environment(), answer=answer)


def test_task_without_answer_waits_for_its_work():
    told = inspected("T", '{"a":{"b":2}}')
    assert isinstance(told.pending, StartTask)
    assert told.pending.arguments == '{"x":2}'
    assert told.stages == {"afterInputPath": '{"b":2}', "afterParameters": '{"x":2}'}


def test_result_is_shown_at_every_stage():
    told = inspected("T", '{"a":{"b":2}}', Answer('{"q":1}'))
    assert (told.status, told.next_state, told.variables) == ("SUCCEEDED", "U", {"v": "1"})
    assert told.output == '{"a":{"b":2},"out":{"r":1}}'
    assert told.stages == {
        "afterInputPath": '{"b":2}',
        "afterParameters": '{"x":2}',
        "result": '{"q":1}',
        "afterResultSelector": '{"r":1}',
        "afterResultPath": '{"a":{"b":2},"out":{"r":1}}',
    }


def test_error_is_retried_caught_or_fails():
    retried = inspected("T", '{"a":{"b":2}}', Answer(error="E", cause="C"))
    assert (retried.status, retried.retry_index, retried.retry_backoff_seconds) == ("RETRIABLE", 0, 1)
    assert inspected("T", '{"a":{"b":2}}', Answer(error="E"), retries=(1,)).retry_backoff_seconds == 2
    caught = inspected("T", '{"a":{"b":2}}', Answer(error="E", cause="C"), retries=(2,))
    assert (caught.status, caught.catch_index, caught.next_state) == ("CAUGHT_ERROR", 0, "U")
    assert (caught.error, caught.cause) == ("E", "C")
    failed = inspected("T", "{}")
    assert (failed.status, failed.error) == ("FAILED", "States.Runtime")


def test_nobody_waits_in_a_test():
    told = inspected("U", '{"a":1}')
    assert (told.status, told.output, told.next_state) == ("SUCCEEDED", '{"a":1}', "P")


def test_parallel_takes_its_result_from_the_answer():
    assert inspected("P").status is None
    told = inspected("P", answer=Answer("[5]"))
    assert (told.status, told.output, told.next_state) == ("SUCCEEDED", "[5]", None)
