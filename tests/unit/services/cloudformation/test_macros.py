import asyncio
from typing import Any

import pytest

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.sam import translate
from forebay.services.cloudformation.template.functions import Scope
from forebay.services.cloudformation.template.inclusions import include, inclusion_locations
from forebay.services.cloudformation.template.loops import expand_loops

SCOPE = Scope({"Names": ["a", "b-c"], "Bucket": "files"})


def test_inclusion_is_replaced_by_its_content() -> None:
    value = {
        "Body": {
            "Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": {"Fn::Sub": "s3://${Bucket}/a"}}}
        },
        "Map": {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://files/b"}}, "x": 1},
    }
    assert inclusion_locations(value, SCOPE.resolve) == {"s3://files/a", "s3://files/b"}
    contents: dict[str, object] = {"s3://files/a": ["y"], "s3://files/b": {"x": 0, "z": 2}}
    assert include(value, contents, SCOPE.resolve) == {"Body": ["y"], "Map": {"x": 1, "z": 2}}


def test_other_macros_are_refused() -> None:
    with pytest.raises(ServiceError, match="No transform named Mine found"):
        inclusion_locations({"Fn::Transform": {"Name": "Mine"}}, SCOPE.resolve)


def test_loop_makes_a_copy_for_each_item() -> None:
    value = {
        "Fn::ForEach::Queues": [
            "Name",
            {"Ref": "Names"},
            {"Queue&{Name}": {"Type": "Q", "Properties": {"N": {"Ref": "Name"}, "S": "x-${Name}"}}},
        ],
        "Other": {"Type": "T"},
    }
    assert expand_loops(value, SCOPE.resolve) == {
        "Queuea": {"Type": "Q", "Properties": {"N": "a", "S": "x-a"}},
        "Queuebc": {"Type": "Q", "Properties": {"N": "b-c", "S": "x-b-c"}},
        "Other": {"Type": "T"},
    }


def test_loops_nest() -> None:
    inner = ["B", ["1", "2"], {"${A}${B}": "${A}-${B}"}]
    value = {"Fn::ForEach::Outer": ["A", ["x", "y"], {"Fn::ForEach::Inner": inner}]}
    assert expand_loops(value, SCOPE.resolve) == {"x1": "x-1", "x2": "x-2", "y1": "y-1", "y2": "y-2"}


def test_texts_that_a_loop_makes_whole_can_name_resources() -> None:
    attribute = {"Fn::GetAtt": [{"Fn::Sub": "Bucket${Name}"}, {"Ref": "Name"}]}
    other = {"Fn::Sub": "${Name}-${AWS::Region}"}
    value = {"Fn::ForEach::Loop": ["Name", ["A"], {"Of${Name}": [attribute, other]}]}
    assert expand_loops(value, SCOPE.resolve) == {
        "OfA": [{"Fn::GetAtt": ["BucketA", "A"]}, {"Fn::Sub": "A-${AWS::Region}"}]
    }


def test_loop_that_makes_a_key_twice_is_refused() -> None:
    with pytest.raises(ServiceError, match="makes the key Same twice"):
        expand_loops({"Fn::ForEach::L": ["N", ["a", "b"], {"Same": 1}]}, SCOPE.resolve)


FUNCTION: dict[str, Any] = {
    "Type": "AWS::Serverless::Function",
    "Properties": {
        "CodeUri": "s3://bucket/key",
        "Handler": "app.handler",
        "Runtime": "python3.12",
        "Policies": ["AmazonSQSReadOnlyAccess"],
        "Events": {"Call": {"Type": "HttpApi", "Properties": {"Path": "/x", "Method": "post"}}},
    },
}


def test_sam_template_is_translated() -> None:
    translated = asyncio.run(
        translate({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"F": FUNCTION}}, {}, "eu-west-1")
    )
    types = {name: item["Type"] for name, item in translated["Resources"].items()}
    assert types["F"] == "AWS::Lambda::Function"
    assert types["ServerlessHttpApi"] == "AWS::ApiGatewayV2::Api"
    role = translated["Resources"]["FRole"]["Properties"]
    assert "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess" in role["ManagedPolicyArns"]
    assert "Transform" not in translated


def test_invalid_sam_template_is_refused_in_the_translators_words() -> None:
    function = {
        "Type": "AWS::Serverless::Function",
        "Properties": {"CodeUri": "src/", "Handler": "a.b", "Runtime": "python3.12"},
    }
    with pytest.raises(ServiceError) as raised:
        asyncio.run(
            translate({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"F": function}}, {}, "us-east-1")
        )
    assert raised.value.message.startswith("Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless")
    assert "Resource with id [F] is invalid" in raised.value.message


def test_applications_of_the_repository_are_refused() -> None:
    location = {"ApplicationId": "arn:aws:serverlessrepo:us-east-1:1:applications/x", "SemanticVersion": "1.0.0"}
    resource = {"Type": "AWS::Serverless::Application", "Properties": {"Location": location}}
    with pytest.raises(ServiceError, match="Serverless Application Repository"):
        asyncio.run(translate({"Resources": {"A": resource}}, {}, "us-east-1"))
