"""Texts of invalid definitions.

Those of the case file are as AWS was publicly seen to give them, composed as in CreateStateMachine's InvalidDefinition;
unverified are: the locations inside branches and processors, the sentence about names that are too long, those of
warnings, and what a result that is not there yet is called.
"""

import json

import pytest

from forebay.languages.asl import parse
from tests.unit.languages.asl.executions import pass_through
from tests.unit.languages.cases import cases_of


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_definition_errors"))
def test_invalid_definition_is_refused(given, expected):
    parsed = parse(json.dumps(given))
    assert parsed.machine is None
    assert parsed.invalid_definition_text == f"Invalid State Machine Definition: '{expected}'"


def test_text_that_is_no_json_is_refused_in_jacksons_words():
    (found,) = parse('{"a": }').diagnostics
    assert found.code == "INVALID_JSON_DESCRIPTION"
    assert found.message.startswith("Unexpected character ('}' (code 125)): expected a valid value")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                "Parameters": {"QueueUrl": "u", "MessageBody": "b"},
                "End": True,
            },
            (
                "SCHEMA_VALIDATION_FAILED: Express state machine does not support '.waitForTaskToken' service "
                "integration at /States/A/Resource"
            ),
        ),
        (
            {"Type": "Task", "Resource": "arn:aws:states:us-east-1:123456789012:activity:a", "End": True},
            "SCHEMA_VALIDATION_FAILED: Express state machine does not support Activity ARN at /States/A/Resource",
        ),
    ],
)
def test_express_has_its_own_limits(state, text):
    definition = json.dumps({"StartAt": "A", "States": {"A": state}})
    assert parse(definition).machine is not None
    assert parse(definition, express=True).invalid_definition_text == f"Invalid State Machine Definition: '{text}'"


def test_warnings_do_not_refuse():
    parsed = parse(json.dumps(pass_through(Parameters={"a": "$.b"}, Result={"c.$": "$.d"})))
    assert parsed.machine is not None
    assert [(one.code, one.severity) for one in parsed.diagnostics] == [
        ("NO_DOLLAR", "WARNING"),
        ("PASS_RESULT_IS_STATIC", "WARNING"),
    ]


def test_caller_adds_what_it_knows_of_tasks():
    def rules(resource, fields):
        yield f"unknown: {resource}", "Resource"

    definition = {
        "StartAt": "A",
        "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:x:y:function:f", "End": True}},
    }
    (found,) = parse(json.dumps(definition), task_rules=rules).diagnostics
    assert (found.message, found.location) == ("unknown: arn:aws:lambda:x:y:function:f", "/States/A/Resource")


def test_definition_nested_without_end_is_refused():
    nested = "[" * 900 + "]" * 900
    assert (
        parse('{"StartAt":"A","States":{"A":{"Type":"Pass","End":true,"Parameters":' + nested + "}}}").machine is None
    )
