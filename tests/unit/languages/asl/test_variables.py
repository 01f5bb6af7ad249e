from tests.unit.languages.asl.executions import Execution, TaskError, machine


def test_variables_take_effect_after_the_state():
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"x": 1, "y.$": "$.y"}, "Next": "B"},
            "B": {"Type": "Pass", "Assign": {"x.$": "$y", "y.$": "$x"}, "Parameters": {"x.$": "$x"}, "Next": "C"},
            "C": {"Type": "Pass", "Parameters": {"x.$": "$x", "y.$": "$y", "then.$": "$.x"}, "End": True},
        },
    }
    run = Execution(definition, {"y": 2})
    assert run.output == {"x": 2, "y": 1, "then": 1}
    assert run.event(3)["stateExitedEventDetails"]["assignedVariables"] == {"x": "1", "y": "2"}
    assert run.event(3)["stateExitedEventDetails"]["assignedVariablesDetails"] == {"truncated": False}


def test_branches_read_outer_variables_and_keep_their_own():
    branch = {
        "StartAt": "B",
        "States": {
            "B": {"Type": "Pass", "Assign": {"inner.$": "$outer"}, "Next": "C"},
            "C": {"Type": "Pass", "Parameters": {"seen.$": "$inner"}, "End": True},
        },
    }
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "P"},
            "P": {"Type": "Parallel", "Branches": [branch], "Next": "D"},
            "D": {"Type": "Pass", "Parameters": {"x.$": "$inner"}, "End": True},
        },
    }
    run = Execution(definition)
    assert run.event(11)["stateExitedEventDetails"]["output"] == '[{"seen":1}]'
    assert run.failure[1].endswith(
        "The JSONPath '$inner' specified for the field 'x.$' could not be found in the input '[{\"seen\":1}]'"
    )


def test_assign_of_a_task_sees_its_result():
    definition = {
        "StartAt": "T",
        "States": {
            "T": {
                "Type": "Task",
                "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "ResultSelector": {"only.$": "$.price"},
                "ResultPath": "$.result",
                "Assign": {"price.$": "$.price"},
                "Next": "U",
            },
            "U": {"Type": "Pass", "Parameters": {"p.$": "States.Array($price, $.result.only)"}, "End": True},
        },
    }
    run = Execution(definition, {"order": {"product": "tea"}}, worker=lambda _: {"price": 3}).run()
    assert run.output == {"p": [3, 3]}


def test_assign_of_a_catcher_sees_the_error():
    def work(_):
        raise TaskError("E", "C")

    catcher = {"ErrorEquals": ["E"], "Assign": {"why.$": "$.Cause"}, "ResultPath": "$.error", "Next": "U"}
    definition = {
        "StartAt": "T",
        "States": {
            "T": {
                "Type": "Task",
                "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "Catch": [catcher],
                "Next": "U",
            },
            "U": {"Type": "Pass", "Parameters": {"why.$": "$why", "error.$": "$.error.Error"}, "End": True},
        },
    }
    assert Execution(definition, {}, worker=work).run().output == {"why": "C", "error": "E"}


def test_chosen_rule_assigns_and_default_assigns():
    """The example of the specification, "Choice State"."""
    definition = {
        "StartAt": "C",
        "States": {
            "C": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.n", "NumericEquals": 22, "Assign": {"range": "twenties"}, "Next": "D"},
                    {"Variable": "$.n", "NumericEquals": 1, "Next": "D"},
                ],
                "Default": "D",
                "Assign": {"range": "default"},
            },
            "D": {"Type": "Succeed"},
        },
    }
    assigned = [
        Execution(definition, {"n": n}).event(3)["stateExitedEventDetails"].get("assignedVariables") for n in (22, 1, 0)
    ]
    assert assigned == [{"range": '"twenties"'}, None, {"range": '"default"'}]


def test_variables_beyond_256_kib_fail():
    definition = {
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Assign": {"a.$": "$.a", "b.$": "$.a"}, "End": True}},
    }
    assert Execution(definition, {"a": "x" * 200_000}).failure[0] == "States.DataLimitExceeded"


def test_machine_knows_who_refers_to_what():
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "Parameters": {"a.$": "$outer[0]"}, "End": True}}}
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"x": "$not"}, "Next": "B"},
            "B": {"Type": "Pass", "Parameters": {"p.$": "States.Format('$quoted {}', $x.y, $.z, $$.a)"}, "Next": "C"},
            "C": {
                "Type": "Choice",
                "Choices": [{"Variable": "$y", "NumericEqualsPath": "$x", "Next": "P"}],
                "Default": "P",
            },
            "P": {"Type": "Parallel", "Branches": [inner], "Next": "D"},
            "D": {
                "Type": "Pass",
                "QueryLanguage": "JSONata",
                "Output": "{% ($own := 1; $states.input.a + $own + $z + $uuid()) %}",
                "End": True,
            },
        },
    }
    assert machine(definition).variable_references == {"B": ("x",), "C": ("y", "x"), "I": ("outer",), "D": ("z",)}
