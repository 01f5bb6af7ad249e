from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"].get("Message", "")


@pytest.fixture
def ssm(node: RunningNode) -> Any:
    return node.client("ssm")


def test_parameter_is_put_and_returned(ssm: Any) -> None:
    assert ssm.put_parameter(Name="/app/url", Value="http://x", Type="String")["Version"] == 1
    parameter = ssm.get_parameter(Name="/app/url")["Parameter"]
    assert parameter["Value"] == "http://x"
    assert parameter["ARN"] == "arn:aws:ssm:us-east-1:000000000000:parameter/app/url"
    assert parameter["DataType"] == "text"
    assert "Selector" not in parameter
    assert ssm.get_parameter(Name=parameter["ARN"])["Parameter"]["Name"] == "/app/url"


def test_overwriting_must_be_said(ssm: Any) -> None:
    ssm.put_parameter(Name="a", Value="1", Type="String")
    text = refused("ParameterAlreadyExists", ssm.put_parameter, Name="a", Value="2", Type="String")
    assert text == (
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
    )
    assert ssm.put_parameter(Name="a", Value="2", Overwrite=True)["Version"] == 2
    refused(
        "HierarchyTypeMismatchException", ssm.put_parameter, Name="a", Value="x", Type="SecureString", Overwrite=True
    )


def test_versions_and_labels_are_selected(ssm: Any) -> None:
    for value in ("1", "2", "3"):
        ssm.put_parameter(Name="/a", Value=value, Type="String", Overwrite=True)
    assert ssm.get_parameter(Name="/a:2")["Parameter"]["Value"] == "2"
    assert ssm.get_parameter(Name="/a:2")["Parameter"]["Selector"] == ":2"
    text = refused("ParameterVersionNotFound", ssm.get_parameter, Name="/a:9")
    assert text == "Systems Manager could not find version 9 of /a. Verify the version and try again."
    labelled = ssm.label_parameter_version(Name="/a", ParameterVersion=1, Labels=["prod"])
    assert labelled == {**labelled, "InvalidLabels": [], "ParameterVersion": 1}
    assert ssm.get_parameter(Name="/a:prod")["Parameter"]["Value"] == "1"
    ssm.label_parameter_version(Name="/a", Labels=["prod"])
    assert ssm.get_parameter(Name="/a:prod")["Parameter"]["Value"] == "3"
    history = ssm.get_parameter_history(Name="/a")["Parameters"]
    assert [(each["Version"], each["Value"], each["Labels"]) for each in history] == [
        (1, "1", []),
        (2, "2", []),
        (3, "3", ["prod"]),
    ]
    assert ssm.label_parameter_version(Name="/a", Labels=["1bad"])["InvalidLabels"] == ["1bad"]
    removed = ssm.unlabel_parameter_version(Name="/a", ParameterVersion=3, Labels=["prod", "x"])
    assert (removed["RemovedLabels"], removed["InvalidLabels"]) == (["prod"], ["x"])


def test_secure_values_are_shown_only_on_demand(ssm: Any) -> None:
    ssm.put_parameter(Name="/secret", Value="hunter2", Type="SecureString")
    hidden = ssm.get_parameter(Name="/secret")["Parameter"]["Value"]
    assert "hunter2" not in hidden
    assert ssm.get_parameter(Name="/secret", WithDecryption=True)["Parameter"]["Value"] == "hunter2"
    assert ssm.describe_parameters()["Parameters"][0]["KeyId"] == "alias/aws/ssm"


def test_missing_parameters(ssm: Any) -> None:
    assert refused("ParameterNotFound", ssm.get_parameter, Name="none") == ""
    refused("ParameterNotFound", ssm.delete_parameter, Name="none")
    ssm.put_parameter(Name="a", Value="1", Type="String")
    answer = ssm.get_parameters(Names=["none", "a", "a:7"])
    assert [each["Name"] for each in answer["Parameters"]] == ["a"]
    assert answer["InvalidParameters"] == ["none", "a:7"]
    deleted = ssm.delete_parameters(Names=["a", "none"])
    assert (deleted["DeletedParameters"], deleted["InvalidParameters"]) == (["a"], ["none"])


def test_hierarchies(ssm: Any) -> None:
    for name in ("/app/a", "/app/b", "/app/db/user", "/application/x", "/other"):
        ssm.put_parameter(Name=name, Value=name, Type="String")

    def below(**more: Any) -> list[str]:
        pages = ssm.get_paginator("get_parameters_by_path").paginate(PaginationConfig={"PageSize": 2}, **more)
        return [each["Name"] for page in pages for each in page["Parameters"]]

    assert below(Path="/app") == ["/app/a", "/app/b"]
    assert below(Path="/app/", Recursive=True) == ["/app/a", "/app/b", "/app/db/user"]
    assert len(below(Path="/", Recursive=True)) == 5
    refused("ValidationException", ssm.get_parameters_by_path, Path="app")


def test_parameters_are_described_by_filters(ssm: Any) -> None:
    ssm.put_parameter(Name="/app/a", Value="x", Type="String", Tags=[{"Key": "team", "Value": "web"}])
    ssm.put_parameter(Name="/app/b", Value="x,y", Type="StringList")

    def names(*filters: dict[str, Any]) -> list[str]:
        return [each["Name"] for each in ssm.describe_parameters(ParameterFilters=list(filters))["Parameters"]]

    assert names({"Key": "Name", "Option": "BeginsWith", "Values": ["/app"]}) == ["/app/a", "/app/b"]
    assert names({"Key": "Name", "Option": "Contains", "Values": ["/b"]}) == ["/app/b"]
    assert names({"Key": "Type", "Values": ["StringList"]}) == ["/app/b"]
    assert names({"Key": "tag:team", "Values": ["web"]}) == ["/app/a"]
    assert names({"Key": "Path", "Option": "Recursive", "Values": ["/app"]}) == ["/app/a", "/app/b"]
    by_name = [{"Key": "Name", "Values": ["x"]}]
    refused("InvalidFilterKey", ssm.get_parameters_by_path, Path="/app", ParameterFilters=by_name)
    assert "Value" not in ssm.describe_parameters()["Parameters"][0]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Name": "ssm-x", "Value": "1", "Type": "String"}, "ValidationException"),
        ({"Name": "aws-x", "Value": "1", "Type": "String"}, "AccessDeniedException"),
        ({"Name": "a/b", "Value": "1", "Type": "String"}, "ValidationException"),
        ({"Name": "a b", "Value": "1", "Type": "String"}, "ValidationException"),
        ({"Name": "a", "Value": "1"}, "ValidationException"),
        ({"Name": "a", "Value": "", "Type": "String"}, "ValidationException"),
        ({"Name": "a", "Value": "x" * 4097, "Type": "String"}, "ValidationException"),
        (
            {"Name": "a", "Value": "x", "Type": "String", "AllowedPattern": "^[0-9]+$"},
            "ParameterPatternMismatchException",
        ),
        ({"Name": "/" + "a/" * 15 + "b", "Value": "x", "Type": "String"}, "HierarchyLevelLimitExceededException"),
        ({"Name": "a", "Value": "x", "Type": "String", "DataType": "aws:ec2:image"}, "NotImplemented"),
    ],
)
def test_bad_parameters_are_refused(ssm: Any, params: dict[str, Any], code: str) -> None:
    refused(code, ssm.put_parameter, **params)


def test_long_values_take_the_advanced_tier(ssm: Any) -> None:
    put = ssm.put_parameter(Name="a", Value="x" * 5000, Type="String", Tier="Intelligent-Tiering")
    assert put["Tier"] == "Advanced"


def test_old_versions_are_dropped_beyond_a_hundred(ssm: Any) -> None:
    for number in range(102):
        ssm.put_parameter(Name="a", Value=str(number), Type="String", Overwrite=True)
    pages = ssm.get_paginator("get_parameter_history").paginate(Name="a")
    versions = [each["Version"] for page in pages for each in page["Parameters"]]
    assert versions == list(range(3, 103))


def test_tags(ssm: Any) -> None:
    ssm.put_parameter(Name="a", Value="1", Type="String", Tags=[{"Key": "x", "Value": "1"}])
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="a", Tags=[{"Key": "y", "Value": "2"}])
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="a", TagKeys=["x"])
    listed = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="a")["TagList"]
    assert listed == [{"Key": "y", "Value": "2"}]
    refused("InvalidResourceId", ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="none")


def test_parameters_belong_to_account_and_region(node: RunningNode, ssm: Any) -> None:
    ssm.put_parameter(Name="a", Value="1", Type="String")
    refused("ParameterNotFound", node.client("ssm", region="eu-west-1").get_parameter, Name="a")
    refused("ParameterNotFound", node.client("ssm", account="111111111111").get_parameter, Name="a")
    node.restart()
    assert node.client("ssm").get_parameter(Name="a")["Parameter"]["Value"] == "1"
