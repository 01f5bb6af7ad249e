import json

import pytest

from forebay.languages.asl import TimerKind
from tests.unit.languages.asl.executions import START, Execution, TaskError, pass_through

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def jsonata(definition):
    return {"QueryLanguage": "JSONata", **definition}


def state(**fields):
    return jsonata(
        {
            "StartAt": "A",
            "States": {
                "A": {"End": True, **fields},
            },
        }
    )


@pytest.mark.parametrize(
    ("output", "data", "expected"),
    [
        ("{% $states.input.a + 1 %}", {"a": 1}, 2),
        ({"x": ["{% $states.input.a %}", "text"]}, {"a": [1]}, {"x": [[1], "text"]}),
        ("{% $states.context.State.Name %}", {}, "A"),
        ("{% $states.context.Execution.Input.a %}", {"a": 5}, 5),
        ("{% $partition([1..5], 2) %}", {}, [[1, 2], [3, 4], [5]]),
        ("{% $range(0, 10, 5) %}", {}, [0, 5, 10]),
        ("{% $range(-1.7, 2, 1) %}", {}, [-1, 0, 1, 2]),
        ("{% $exists($range(1, 2, 0)) or $exists($partition([1], 0)) %}", {}, False),
        ("{% $count([1..873782]) %}", {}, 873_782),
        ("{% $hash('input data', 'SHA-1') %}", {}, "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("{% $parse('{\"a\": [1]}').a %}", {}, [1]),
        ("{% $random(42) %}", {}, 0.7275636800328681),
        ("{% $length($uuid()) %}", {}, 36),
        ("{% null %}", {}, None),
        ("plain {% text", {}, "plain {% text"),
        ("{% 1.0 %}", {}, 1),
    ],
)
def test_output_is_evaluated(output, data, expected):
    assert Execution(jsonata(pass_through(Output=output)), data).output == expected


@pytest.mark.parametrize(
    ("output", "field", "sentence"),
    [
        ("{% $states.input.a %}", "Output", "$states.input.a|returned nothing (undefined)."),
        ({"p": {"q": ["{% $x %}"]}}, "Output/p/q[0]", "$x|returned nothing (undefined)."),
        (
            "{% 1 + 'a' %}",
            "Output",
            (
                "1 + 'a'|threw an error during evaluation. "
                'T2002: The right side of the "+" operator must evaluate to a number'
            ),
        ),
        (
            "{% $eval('1') %}",
            "Output",
            "$eval('1')|threw an error during evaluation. T1006: Attempted to invoke a non-function",
        ),
    ],
)
def test_failed_evaluation_is_recorded(output, field, sentence):
    """AWS's words for an undefined result are verified; those around an error's code and message are not."""
    run = Execution(jsonata(pass_through(Output=output)))
    expression, told = sentence.split("|")
    cause = (
        "An error occurred while executing the state 'A' (entered at the event id #2). The JSONata expression "
        f"'{expression}' specified for the field '{field}' {told}"
    )
    assert run.failure == ("States.QueryEvaluationError", cause)
    assert run.events[1:] == [(3, 2, "EvaluationFailed"), (4, 3, "ExecutionFailed")]
    assert run.event(3)["evaluationFailedEventDetails"] == {
        "state": "A",
        "error": "States.QueryEvaluationError",
        "cause": cause,
        "location": field,
    }


def test_null_is_a_value_of_variables():
    definition = jsonata(
        {
            "StartAt": "A",
            "States": {
                "A": {"Type": "Pass", "Assign": {"x": None}, "Next": "B"},
                "B": {"Type": "Pass", "Output": "{% [$x = null, $exists($x), $exists($y)] %}", "End": True},
            },
        }
    )
    assert Execution(definition).output == [True, True, False]


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("[1..873783]", "Expression evaluation memory limit exceeded: Check for excessive memory usage"),
        ("$range(1, 900000, 1)", "Expression evaluation memory limit exceeded: Check for excessive memory usage"),
        (
            "+".join(["1"] * 101),
            (
                "Stack overflow error: Check for non-terminating recursive function. "
                "Consider rewriting as tail-recursive"
            ),
        ),
        # Unverified sentence.
        ("($f := function(){$f()}; $f())", "Expression evaluation timeout: Check for infinite loop"),
    ],
)
def test_evaluation_beyond_its_bounds_has_no_code(expression, sentence):
    error, cause = Execution(jsonata(pass_through(Output=f"{{% {expression} %}}"))).failure
    assert error == "States.QueryEvaluationError"
    assert cause is not None
    assert cause.endswith(f"specified for the field 'Output' threw an error during evaluation: {sentence}")


def test_task_has_arguments_result_and_variables():
    definition = jsonata(
        {
            "StartAt": "T",
            "States": {
                "T": {
                    "Type": "Task",
                    "Resource": LAMBDA,
                    "Arguments": {"n": "{% $states.input.n %}"},
                    "TimeoutSeconds": "{% $states.input.n * 10 %}",
                    "Assign": {"kept": "{% $states.result.twice %}"},
                    "Output": {"was": "{% $states.input.n %}", "is": "{% $states.result.twice %}"},
                    "Next": "U",
                },
                "U": {"Type": "Pass", "Output": "{% [$states.input, $kept] %}", "End": True},
            },
        }
    )
    run = Execution(definition, {"n": 2}, worker=lambda task: {"twice": json.loads(task.arguments)["n"] * 2}).run()
    assert run.output == [{"was": 2, "is": 4}, 4]
    assert run.event(3)["stateExitedEventDetails"]["assignedVariables"] == {"kept": "4"}


def test_catcher_sees_error_output():
    definition = jsonata(
        {
            "StartAt": "T",
            "States": {
                "T": {
                    "Type": "Task",
                    "Resource": LAMBDA,
                    "Catch": [
                        {
                            "ErrorEquals": ["E"],
                            "Output": "{% $states.errorOutput.Cause %}",
                            "Assign": {"e": "{% $states.errorOutput.Error %}"},
                            "Next": "U",
                        }
                    ],
                    "Next": "U",
                },
                "U": {"Type": "Pass", "Output": "{% $states.input & $e %}", "End": True},
            },
        }
    )

    def work(_):
        raise TaskError("E", "why")

    assert Execution(definition, worker=work).run().output == "whyE"


def test_failed_evaluation_can_be_caught_and_retried():
    definition = jsonata(
        {
            "StartAt": "T",
            "States": {
                "T": {
                    "Type": "Task",
                    "Resource": LAMBDA,
                    "Output": "{% $nothing %}",
                    "Retry": [{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}],
                    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "U"}],
                    "Next": "U",
                },
                "U": {"Type": "Succeed"},
            },
        }
    )
    run = Execution(definition).run()
    assert run.output["Error"] == "States.QueryEvaluationError"
    assert [event for _, _, event in run.events].count("EvaluationFailed") == 2


def test_choice_takes_the_first_true_condition():
    choices = [
        {"Condition": "{% $states.input.n > 5 %}", "Next": "Big", "Assign": {"size": "big"}, "Output": "{% 'out' %}"},
        {"Condition": "{% $states.input.n > 1 %}", "Next": "Big", "Assign": {"size": "middling"}},
    ]
    definition = jsonata(
        {
            "StartAt": "C",
            "States": {
                "C": {"Type": "Choice", "Choices": choices, "Default": "Small"},
                "Big": {"Type": "Pass", "Output": "{% [$size, $states.input] %}", "End": True},
                "Small": {"Type": "Succeed"},
            },
        }
    )
    assert Execution(definition, {"n": 9}).output == ["big", "out"]
    assert Execution(definition, {"n": 2}).output == ["middling", {"n": 2}]
    assert Execution(definition, {"n": 0}).output == {"n": 0}
    definition["States"]["C"]["Choices"][0]["Condition"] = "{% 'yes' %}"
    assert (
        Execution(definition, {})
        .failure[1]
        .endswith(
            "The JSONata expression ''yes'' specified for the field 'Choices[0]/Condition' returned an unexpected "
            "result type. Expected 'boolean', but was 'string' for value: \"yes\""
        )
    )


def test_wait_takes_seconds_and_timestamps():
    run = Execution(state(Type="Wait", Seconds="{% $states.input.n + 1 %}", Output="{% 'waited' %}"), {"n": 4})
    assert (run.effects[0].kind, run.effects[0].due_at) == (TimerKind.WAIT, START + 5)
    assert run.run().output == "waited"
    assert Execution(state(Type="Wait", Seconds="{% 'x' %}")).failure[0] == "States.QueryEvaluationError"


def test_map_takes_items_selector_and_concurrency():
    processor = {
        "StartAt": "I",
        "States": {
            "I": {"Type": "Pass", "Output": "{% $states.input.v + $states.context.Map.Item.Index %}", "End": True}
        },
    }
    definition = state(
        Type="Map",
        Items="{% $states.input.items %}",
        ItemSelector={"v": "{% $states.context.Map.Item.Value %}"},
        MaxConcurrency="{% 1 %}",
        ItemProcessor=processor,
        Output="{% $sum($states.result) %}",
    )
    assert Execution(definition, {"items": [10, 20, 30]}).run().output == 63


def test_items_of_an_object_have_keys():
    processor = {
        "StartAt": "I",
        "States": {"I": {"Type": "Pass", "Output": "{% $states.context.Map.Item.Key %}", "End": True}},
    }
    definition = state(Type="Map", Items={"a": 1, "b": 2}, ItemProcessor=processor)
    assert Execution(definition).run().output == ["a", "b"]


def test_fail_takes_expressions():
    definition = jsonata(
        {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "{% $states.input.e %}", "Cause": "plain"}}}
    )
    assert Execution(definition, {"e": "E"}).failure == ("E", "plain")
