import json

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl import CancelTask, Stopped, TaskKey, redrive, start
from tests.unit.languages.asl.executions import Execution, TaskError, environment, machine

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
TASK = {"Type": "Task", "Resource": LAMBDA, "End": True}
WAIT = {"Type": "Wait", "Seconds": 60, "End": True}


def parallel(*states, **fields):
    branches = [{"StartAt": f"B{at}", "States": {f"B{at}": state}} for at, state in enumerate(states)]
    return {"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": True, **fields}}}


def mapped(state=TASK, **fields):
    processor = {"StartAt": "T", "States": {"T": state}}
    return {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}}}


def test_branches_give_their_outputs_in_order():
    run = Execution(parallel(WAIT, {"Type": "Pass", "Result": 2, "End": True}), {"a": 1}).run()
    assert run.output == [{"a": 1}, 2]
    assert run.events == [
        (2, 0, "ParallelStateEntered"),
        (3, 2, "ParallelStateStarted"),
        (4, 3, "WaitStateEntered"),
        (5, 3, "PassStateEntered"),
        (6, 5, "PassStateExited"),
        (7, 4, "WaitStateExited"),
        (8, 7, "ParallelStateSucceeded"),
        (9, 7, "ParallelStateExited"),
        (10, 9, "ExecutionSucceeded"),
    ]


def test_failing_branch_aborts_the_others():
    run = Execution(parallel(TASK, {"Type": "Fail", "Error": "E", "Cause": "C"}))
    assert run.failure == ("E", "C")
    assert run.events[2:] == [
        (4, 3, "TaskStateEntered"),
        (5, 3, "FailStateEntered"),
        (6, 4, "TaskStateAborted"),
        (7, 5, "ParallelStateFailed"),
        (8, 7, "ExecutionFailed"),
    ]
    # Begun in the same step: the task is not even started.
    assert len(run.effects) == 1


def test_started_task_of_an_aborted_branch_is_cancelled():
    def work(_):
        raise TaskError("E", "C")

    run = Execution(parallel(TASK, TASK), worker=work)
    run.run()
    assert CancelTask(TaskKey(3, 1)) in run.effects


def test_parallel_is_retried_and_caught_as_a_whole():
    definition = parallel(
        {"Type": "Fail", "Error": "E"},
        Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 1}],
        Catch=[{"ErrorEquals": ["E"], "Next": "D", "ResultPath": "$.e"}],
    )
    definition["States"]["D"] = {"Type": "Succeed"}
    run = Execution(definition, {"a": 1}).run()
    assert run.output == {"a": 1, "e": {"Error": "E"}}
    types = [event for _, _, event in run.events]
    assert types.count("ParallelStateStarted") == types.count("ParallelStateFailed") == 2
    assert len(run.state.frames) == 1


def test_map_runs_each_item():
    run = Execution(mapped(MaxConcurrency=1), [1, 2]).run()
    assert run.output == [1, 2]
    assert run.events == [
        (2, 0, "MapStateEntered"),
        (3, 2, "MapStateStarted"),
        (4, 3, "MapIterationStarted"),
        (5, 4, "TaskStateEntered"),
        (6, 5, "TaskStateExited"),
        (7, 6, "MapIterationSucceeded"),
        (8, 3, "MapIterationStarted"),
        (9, 8, "TaskStateEntered"),
        (10, 9, "TaskStateExited"),
        (11, 10, "MapIterationSucceeded"),
        (12, 11, "MapStateSucceeded"),
        (13, 11, "MapStateExited"),
        (14, 13, "ExecutionSucceeded"),
    ]
    assert run.event(3)["mapStateStartedEventDetails"] == {"length": 2}
    assert run.event(8)["mapIterationStartedEventDetails"] == {"name": "M", "index": 1}


def test_map_of_nothing_succeeds_at_once():
    assert Execution(mapped(), []).output == []


def test_item_selector_sees_item_and_input():
    fields = {
        "ItemsPath": "$.items",
        "ItemSelector": {"item.$": "$$.Map.Item.Value", "at.$": "$$.Map.Item.Index", "a.$": "$.a"},
    }
    run = Execution(mapped(**fields), {"items": ["x"], "a": 1}).run()
    assert run.output == [{"item": "x", "at": 0, "a": 1}]


def test_item_is_in_the_context_of_the_iterations_states():
    state = {"Type": "Pass", "Parameters": {"v.$": "$$.Map.Item.Value"}, "End": True}
    assert Execution(mapped(state), [5]).output == [{"v": 5}]


def test_no_more_iterations_run_than_may():
    run = Execution(mapped(), list(range(50)))
    assert len(run.pending) == 40
    assert run.run().output == list(range(50))


def test_missing_items_path_names_the_step():
    run = Execution(mapped(ItemsPath="$.discovery.objects"), {"discovery": {}})
    assert run.failure == (
        "States.ReferencePathConflict",
        (
            "An error occurred while executing the state 'M' (entered at the event id #2). "
            'Unable to apply step "objects" to input {"discovery":{}}'
        ),
    )


def test_failed_iteration_fails_the_map():
    def work(task):
        if json.loads(task.arguments) == 2:
            raise TaskError("E", "C")
        return 0

    run = Execution(mapped(MaxConcurrency=1), [1, 2, 3], worker=work).run()
    assert run.failure == ("E", "C")
    assert [event for _, _, event in run.events][-3:] == ["MapIterationFailed", "MapStateFailed", "ExecutionFailed"]


def test_stop_records_only_itself():
    run = Execution(mapped(WAIT), [1])
    before = len(run.events)
    run.give(Stopped())
    assert run.events[before:] == [(before + 2, 0, "ExecutionAborted")]


def test_runtime_error_in_a_branch_ends_the_execution():
    broken = {"Type": "Pass", "Parameters": {"m.$": "$.nope"}, "End": True}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "D"}]
    definition = parallel(broken, WAIT, Catch=catch)
    definition["States"]["D"] = {"Type": "Succeed"}
    run = Execution(definition)
    assert run.events[-1] == (5, 4, "ExecutionFailed")
    assert run.failure == (
        "States.Runtime",
        (
            "An error occurred while executing the state 'B0' (entered at the event id #4). "
            "The JSONPath '$.nope' specified for the field 'm.$' could not be found in the input '{}'"
        ),
    )


def test_redrive_goes_on_after_a_runtime_error_in_a_branch():
    broken = {"Type": "Pass", "Parameters": {"m.$": "$.nope"}, "End": True}
    run = Execution(parallel({"Type": "Pass", "End": True}, broken, TASK))
    assert run.state.status == "FAILED"
    before = len(run.history)
    run.state = run._take(redrive(run.machine, run.state, environment()))
    assert run.state.status == "FAILED"
    assert [event.type for event in run.history[before:]] == ["ExecutionRedriven", "ExecutionFailed"]


def test_redrive_runs_only_what_did_not_succeed():
    done = []
    is_broken = [True]

    def work(task):
        item = json.loads(task.arguments)
        if item == 2 and is_broken[0]:
            raise TaskError("E", "C")
        done.append(item)
        return item

    run = Execution(mapped(MaxConcurrency=1), [1, 2, 3], worker=work).run()
    assert run.state.status == "FAILED"
    is_broken[0] = False
    run.state = run._take(redrive(run.machine, run.state, environment()))
    assert run.run().output == [1, 2, 3]
    assert done == [1, 2, 3]
    assert [event for _, _, event in run.events].count("ExecutionRedriven") == 1


def test_redrive_of_a_running_execution_does_nothing():
    run = Execution(mapped(), [1])
    assert redrive(run.machine, run.state, environment()).state == run.state


def test_iterations_start_with_their_first_state():
    """As seen of AWS's branches, whose first states are entered and begun one after the other."""
    assert Execution(mapped(), [1, 2]).events[2:] == [
        (4, 3, "MapIterationStarted"),
        (5, 4, "TaskStateEntered"),
        (6, 3, "MapIterationStarted"),
        (7, 6, "TaskStateEntered"),
    ]


def test_redriven_branch_names_its_own_last_event():
    def work(_):
        raise TaskError("E", "C")

    run = Execution(parallel(TASK, WAIT), worker=work).run()
    run.state = run._take(redrive(run.machine, run.state, environment()))
    assert run.events[-1][2] == "ExecutionRedriven"
    assert [frame.phase for frame in run.state.frames.values()] == ["children", "working", "waiting"]


def test_tasks_are_scheduled_branch_by_branch():
    def scheduled(task):
        return (api.HistoryEvent(timestamp=0.0, type="TaskScheduled", id=0),)

    around = msgspec.structs.replace(environment(), scheduled=scheduled)
    step = start(machine(parallel(TASK, TASK)), "{}", around)
    assert [(event.id, event.previous_event_id, event.type) for event in step.history][2:] == [
        (4, 3, "TaskStateEntered"),
        (5, 4, "TaskScheduled"),
        (6, 3, "TaskStateEntered"),
        (7, 6, "TaskScheduled"),
    ]
