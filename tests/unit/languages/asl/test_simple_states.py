import json

import pytest

from forebay.languages.asl import Completed, SetTimer, StartTask, Stopped, TaskKey, TimerFired, TimerKind, advance
from forebay.languages.asl.run import iso_time
from tests.unit.languages.asl.executions import START, Execution, environment, machine, pass_through

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def chain(*states, **top):
    names = [f"S{at}" for at in range(len(states))]
    linked = {}
    for at, (name, state) in enumerate(zip(names, states, strict=True)):
        ends = (
            {}
            if state["Type"] in {"Choice", "Succeed", "Fail"}
            else {"Next": names[at + 1]}
            if at + 1 < len(names)
            else {"End": True}
        )
        linked[name] = {**state, **ends}
    return {"StartAt": "S0", "States": linked, **top}


def test_first_state_names_no_previous_event():
    run = Execution(pass_through(Result={"x": 1}))
    assert run.events == [(2, 0, "PassStateEntered"), (3, 2, "PassStateExited"), (4, 3, "ExecutionSucceeded")]
    assert run.output == {"x": 1}


def test_events_carry_input_and_output():
    run = Execution(pass_through(Result=[1, 2]), {"a": 1})
    assert run.event(2)["stateEnteredEventDetails"] == {
        "name": "A",
        "input": '{"a":1}',
        "inputDetails": {"truncated": False},
    }
    assert run.event(3)["stateExitedEventDetails"] == {
        "name": "A",
        "output": "[1,2]",
        "outputDetails": {"truncated": False},
    }


@pytest.mark.parametrize(
    ("fields", "data", "expected"),
    [
        ({"InputPath": "$.a"}, {"a": {"b": 1}}, {"b": 1}),
        ({"InputPath": None}, {"a": 1}, {}),
        ({"OutputPath": None}, {"a": 1}, {}),
        ({"Parameters": {"x.$": "$.a", "y": [{"z.$": "$$.State.Name"}]}}, {"a": 1}, {"x": 1, "y": [{"z": "A"}]}),
        ({"Result": 1, "ResultPath": "$.r.s"}, {"a": 1}, {"a": 1, "r": {"s": 1}}),
        ({"Result": 1, "ResultPath": "$.a[1]"}, {"a": [0, 0]}, {"a": [0, 1]}),
        ({"Result": 1, "ResultPath": None}, {"a": 1}, {"a": 1}),
        ({"Result": {"b": 2}, "OutputPath": "$.b"}, {"a": 1}, 2),
        (
            {"Parameters": {"e.$": "$$.Execution.Input", "n.$": "$$.StateMachine.Name"}},
            {"a": 1},
            {"e": {"a": 1}, "n": "machine"},
        ),
    ],
)
def test_pass_moves_data(fields, data, expected):
    assert Execution(pass_through(**fields), data).output == expected


def test_unchanged_input_keeps_its_text():
    steps = chain({"Type": "Pass"}, {"Type": "Pass"})
    run = Execution(steps)
    run.history.clear()
    from forebay.languages.asl import start

    step = start(machine(steps), '{ "a" : 1 }', environment())
    assert step.effects == (Completed('{ "a" : 1 }'),)


def test_missing_path_fails_with_runtime_error():
    run = Execution(pass_through(Parameters={"address.$": "$.application.address"}), {"flagged": False})
    assert run.failure == (
        "States.Runtime",
        (
            "An error occurred while executing the state 'A' (entered at the event id #2). "
            "The JSONPath '$.application.address' specified for the field 'address.$' could not be found in the input "
            "'{\"flagged\":false}'"
        ),
    )
    assert run.events[-1] == (3, 2, "ExecutionFailed")


def test_path_of_null_input_says_so():
    run = Execution(chain({"Type": "Pass", "Result": None}, {"Type": "Pass", "InputPath": "$.a"}))
    assert run.failure[1].endswith("Unable to apply Path transformation to null or empty input.")


def test_result_path_through_a_text_fails():
    run = Execution(pass_through(Result=1, ResultPath="$.a.b"), {"a": "text"})
    assert run.failure[0] == "States.ResultPathMatchFailure"
    assert run.failure[1].endswith('Unable to apply step "b" to input {"a":"text"}')


def test_output_beyond_256_kib_fails():
    run = Execution(pass_through(Parameters={"a.$": "$.a", "b.$": "$.a"}), {"a": "x" * 200_000})
    assert run.failure == (
        "States.DataLimitExceeded",
        "The state/task 'A' returned a result with a size exceeding the maximum number of bytes service limit.",
    )


def test_choice_takes_first_rule_that_applies():
    definition = {
        "StartAt": "C",
        "States": {
            "C": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.n", "NumericGreaterThan": 10, "Next": "Big"},
                    {
                        "And": [
                            {"Variable": "$.n", "IsNumeric": True},
                            {"Not": {"Variable": "$.m", "IsPresent": True}},
                        ],
                        "Next": "Small",
                    },
                ],
                "Default": "Other",
            },
            **{name: {"Type": "Pass", "Result": name, "End": True} for name in ("Big", "Small", "Other")},
        },
    }
    assert Execution(definition, {"n": 11}).output == "Big"
    assert Execution(definition, {"n": 1}).output == "Small"
    assert Execution(definition, {"n": 1, "m": 1}).output == "Other"


def test_choice_without_match_or_default_fails():
    definition = {
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "D"}]},
            "D": {"Type": "Succeed"},
        },
    }
    assert Execution(definition, {"n": 2}).failure == (
        "States.Runtime",
        (
            "An error occurred while executing the state 'C' (entered at the event id #2). "
            "Failed to transition out of the state. The state does not point to a next state."
        ),
    )
    assert (
        Execution(definition, {})
        .failure[1]
        .endswith("Invalid path '$.n': The choice state's condition path references an invalid value.")
    )


@pytest.mark.parametrize(
    ("fields", "data", "seconds"),
    [
        ({"Seconds": 5}, {}, 5),
        ({"SecondsPath": "$.s"}, {"s": 7}, 7),
        ({"Timestamp": "2023-11-14T22:13:30Z"}, {}, 10),
        ({"TimestampPath": "$.t"}, {"t": "2023-11-14T22:14:20.5Z"}, 60.5),
    ],
)
def test_wait_sets_timer(fields, data, seconds):
    run = Execution(chain({"Type": "Wait", **fields}), data)
    assert run.effects == [SetTimer(TaskKey(1, 1), TimerKind.WAIT, START + seconds)]
    run.run()
    assert run.output == data
    assert run.events[-2:] == [(3, 2, "WaitStateExited"), (4, 3, "ExecutionSucceeded")]


def test_wait_for_the_past_does_not_wait():
    assert Execution(chain({"Type": "Wait", "Timestamp": "2001-01-01T00:00:00Z"})).output == {}


def test_fail_ends_with_error_and_cause():
    run = Execution(
        {
            "StartAt": "F",
            "States": {"F": {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('no {}', $.c)"}},
        },
        {"e": "E", "c": 1},
    )
    assert run.failure == ("E", "no 1")
    assert run.events == [(2, 0, "FailStateEntered"), (3, 2, "ExecutionFailed")]


def test_task_gets_parameters_and_its_result_is_placed():
    state = {
        "Type": "Task",
        "Resource": LAMBDA,
        "Parameters": {"n.$": "$.n"},
        "ResultSelector": {"twice.$": "$.twice"},
        "ResultPath": "$.result",
        "TimeoutSecondsPath": "$.limit",
        "HeartbeatSeconds": 3,
    }
    run = Execution(
        chain(state), {"n": 2, "limit": 9}, worker=lambda task: {"twice": json.loads(task.arguments)["n"] * 2}
    )
    started, timeout, heartbeat = run.effects
    assert isinstance(started, StartTask)
    assert (started.resource, started.arguments) == (LAMBDA, '{"n":2}')
    assert (started.timeout_seconds, started.heartbeat_seconds) == (9, 3)
    assert (timeout.kind, timeout.due_at) == (TimerKind.TIMEOUT, START + 9)
    assert (heartbeat.kind, heartbeat.due_at) == (TimerKind.HEARTBEAT, START + 3)
    assert run.run().output == {"n": 2, "limit": 9, "result": {"twice": 4}}


def test_task_token_is_the_attempts_own():
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": "u", "MessageBody": {"token.$": "$$.Task.Token"}},
    }
    run = Execution(chain(state))
    assert json.loads(run.effects[0].arguments)["MessageBody"] == {"token": "1.1"}


def test_stale_timer_changes_nothing():
    run = Execution(chain({"Type": "Wait", "Seconds": 5}, {"Type": "Wait", "Seconds": 5}))
    key = run.effects[0].key
    run.give(TimerFired(key, TimerKind.WAIT))
    before = run.state
    step = advance(run.machine, before, TimerFired(key, TimerKind.WAIT), environment())
    assert (step.state, step.history, step.effects) == (before, (), ())


def test_loop_without_waits_is_cut_into_portions():
    run = Execution(
        {
            "StartAt": "A",
            "States": {
                "A": {"Type": "Pass", "Next": "B"},
                "B": {"Type": "Pass", "Next": "C"},
                "C": {"Type": "Succeed"},
            },
        },
        transitions_max=1,
    )
    assert len(run.history) == 2
    assert run.run().output == {}
    assert len(run.events) == 7


def test_history_of_25000_events_ends_the_execution():
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "B"}], "Default": "A"},
            "B": {"Type": "Succeed"},
        },
    }
    run = Execution(definition).run()
    assert run.failure == ("States.Runtime", "The execution reached the maximum number of history events (25000).")
    assert (run.history[-1].id, run.history[-1].type) == (25_000, "ExecutionFailed")


def test_stop_aborts_what_waits():
    run = Execution(chain({"Type": "Wait", "Seconds": 5}))
    run.give(Stopped("E", "C"))
    assert run.events[1:] == [(3, 0, "ExecutionAborted")]
    assert run.state.status == "ABORTED"


@pytest.mark.parametrize(("at", "text"), [(START, "2023-11-14T22:13:20Z"), (START + 0.25, "2023-11-14T22:13:20.250Z")])
def test_instants_have_milliseconds_only_where_there_are_any(at, text):
    assert iso_time(at) == text


def test_execution_times_out():
    run = Execution(chain({"Type": "Wait", "Seconds": 50}, TimeoutSeconds=10)).run()
    assert run.state.status == "TIMED_OUT"
    assert run.events[-1][2] == "ExecutionTimedOut"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"OutputPath": "$.Payload"}, "Invalid path '$.Payload' : No results for path: $['Payload']"),
        ({"InputPath": "$.a.b[0]"}, "Invalid path '$.a.b[0]' : Missing property in path $['a']['b']"),
    ],
)
def test_missing_input_and_output_paths_are_told_in_jayways_words(fields, sentence):
    """The first was seen on AWS; the second is how Jayway tells of it."""
    run = Execution(pass_through(**fields), {"a": {}})
    assert run.failure == (
        "States.Runtime",
        f"An error occurred while executing the state 'A' (entered at the event id #2). {sentence}",
    )


def test_missing_seconds_path_says_so():
    run = Execution(chain({"Type": "Wait", "SecondsPath": "$.s"}))
    assert run.failure[1].endswith("The SecondsPath parameter does not reference an input value: $.s")


def test_halves_of_surrogate_pairs_are_kept():
    from forebay.languages.asl import start

    step = start(
        machine(pass_through(Parameters={"x.$": "$.a", "n.$": "$.n"})),
        '{"a":"\\ud800","n":12345678901234567890123}',
        environment(),
    )
    assert step.effects == (Completed('{"x":"\\ud800","n":12345678901234567890123}'),)


def test_answer_that_is_no_json_fails_the_state():
    from forebay.languages.asl import TaskSucceeded

    run = Execution(chain({"Type": "Task", "Resource": LAMBDA, "ResultPath": "$.r"}))
    run.give(TaskSucceeded(run.effects[0].key, "{nope"))
    assert run.failure[0] == "States.Runtime"
