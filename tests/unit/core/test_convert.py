import pytest

from forebay.api import apigatewayv2, dynamodb, events, lambda_, secretsmanager, ssm
from forebay.core.errors import ServiceError
from forebay.core.shapes import shape_from_wire, shape_to_wire, unknown_names


def refusal(type_, params, **options) -> str:
    with pytest.raises(ServiceError) as caught:
        shape_from_wire(type_, params, **options)
    return f"{caught.value.code}: {caught.value.message}"


def test_members_go_by_aws_names_whatever_the_body_calls_them():
    shape = shape_from_wire(apigatewayv2.CreateStageRequest, {"ApiId": "a", "StageName": "s", "AutoDeploy": True})
    assert shape == apigatewayv2.CreateStageRequest(api_id="a", stage_name="s", auto_deploy=True)
    assert shape_to_wire(shape) == {"ApiId": "a", "StageName": "s", "AutoDeploy": True}


def test_dicts_hold_json_values_only():
    shape = events.DescribeArchiveResponse(archive_name="a", creation_time=1.25)
    assert shape_to_wire(shape) == {"ArchiveName": "a", "CreationTime": "1970-01-01T00:00:01.250Z"}
    value = dynamodb.AttributeValue(m={"a": dynamodb.AttributeValue(b=b"\x00")})
    assert shape_to_wire(value) == {"M": {"a": {"B": "AA=="}}}
    assert shape_from_wire(dynamodb.AttributeValue, {"M": {"a": {"B": "AA=="}}}) == value


def test_coercion_is_for_templates_only():
    params = {"FunctionName": "f", "Timeout": "30", "Publish": "true"}
    assert "STRING_VALUE cannot be converted to Integer" in refusal(lambda_.UpdateFunctionConfigurationRequest, params)
    shape = shape_from_wire(lambda_.UpdateFunctionConfigurationRequest, params, coerce=True)
    assert shape.timeout == 30


def test_entries_of_lists_are_worded_together():
    assert refusal(ssm.GetParametersRequest, {"Names": ["a", ""]}) == (
        "ValidationException: 1 validation error detected: Value '[a, ]' at 'names' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length "
        "greater than or equal to 1]"
    )


def test_structures_in_lists_have_their_place():
    assert "Value null at 'targets.2.member.arn' failed to satisfy constraint: Member must not be null" in refusal(
        events.PutTargetsRequest, {"Rule": "r", "Targets": [{"Id": "a", "Arn": "b"}, {"Id": "c"}]}
    )


def test_secrets_are_not_repeated():
    text = refusal(secretsmanager.PutSecretValueRequest, {"SecretId": "s", "SecretString": ""})
    assert "1 validation error detected: Value at 'secretString' failed" in text


def test_unknown_names_are_found_at_any_depth():
    params = {"Rule": "r", "Targets": [{"Id": "a", "Arn": "b", "Colour": 1}], "Shade": 2}
    assert unknown_names(events.PutTargetsRequest, params) == ("Shade", "Targets.0.Colour")


def test_nesting_is_bounded():
    value = {"S": "x"}
    for _ in range(200):
        value = {"L": [value]}
    assert "nested too deeply" in refusal(dynamodb.AttributeValue, value)
