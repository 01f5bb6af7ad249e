"""Functions, versions and aliases as resources, through boto3."""

import base64
import hashlib
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.lambda_.conftest import ROLE, Functions, fetch, packed
from tests.harness import RunningNode

OK = "def handler(event, context):\n    return 'one'\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def error_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    response: dict[str, Any] = caught.value.response
    return response["Error"]["Code"], response.get("Message") or response["Error"]["Message"]


def test_configuration_is_complete_and_has_nothing_empty(functions: Functions):
    archive = packed({"app.py": OK})
    made = functions.make("f", "", Code={"ZipFile": archive})
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    functions.client.get_waiter("function_active_v2").wait(FunctionName="f")
    found = functions.client.get_function_configuration(FunctionName="f")
    del found["ResponseMetadata"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", found.pop("LastModified"))
    assert re.fullmatch(r"[0-9a-f-]{36}", found.pop("RevisionId"))
    runtime = found.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert runtime.startswith("arn:aws:lambda:us-east-1::runtime:")
    assert found == {
        "FunctionName": "f",
        "FunctionArn": ARN,
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(archive),
        "Description": "",
        "Timeout": 10,
        "MemorySize": 128,
        "CodeSha256": base64.b64encode(hashlib.sha256(archive).digest()).decode(),
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
    }


def test_code_can_be_fetched_for_ten_minutes(functions: Functions, node: RunningNode):
    archive = packed({"app.py": OK})
    functions.make("f", "", Code={"ZipFile": archive}, Tags={"team": "a"})
    found = functions.client.get_function(FunctionName="f")
    assert found["Tags"] == {"team": "a"}
    assert found["Code"]["RepositoryType"] == "S3"
    location = found["Code"]["Location"]
    assert fetch(location).body == archive
    assert fetch(location[:-1] + ("0" if location[-1] != "0" else "1")).status == 403
    assert fetch(location.split("?", maxsplit=1)[0]).status == 403
    node.clock.advance(601)
    assert fetch(location).status == 403


def test_code_comes_from_s3(functions: Functions, node: RunningNode):
    s3 = node.client("s3")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="f.zip", Body=packed({"app.py": OK}))
    functions.make("f", "", Code={"S3Bucket": "code", "S3Key": "f.zip"})
    assert functions.call("f")[1] == "one"
    with pytest.raises(ClientError) as caught:
        functions.make("g", "", Code={"S3Bucket": "code", "S3Key": "none.zip"})
    assert error_of(caught) == (
        "InvalidParameterValueException",
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
    )


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "zip",
        {"Code": {"ZipFile": b"no zip"}},
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    ),
    (
        "code",
        {"Code": {"S3Bucket": "bucket"}},
        "InvalidParameterValueException",
        "Please provide a source for function code.",
    ),
    (
        "timeout",
        {"Timeout": 901},
        "ValidationException",
        (
            "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
            "Member must have value less than or equal to 900"
        ),
    ),
    (
        "reserved",
        {"Environment": {"Variables": {"AWS_REGION": "x"}}},
        "InvalidParameterValueException",
        (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            "Reserved keys used in this request: AWS_REGION"
        ),
    ),
    (
        "image",
        {"PackageType": "Image"},
        "NotImplemented",
        "Functions from container images (PackageType Image) are not implemented by Forebay.",
    ),
    (
        "layer",
        {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:none:1"]},
        "InvalidParameterValueException",
        "Layer version arn:aws:lambda:us-east-1:000000000000:layer:none:1 does not exist.",
    ),
]


@pytest.mark.parametrize(
    ("settings", "code", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_creation_is_checked(functions: Functions, settings: dict[str, Any], code: str, text: str):
    with pytest.raises(ClientError) as caught:
        functions.make("f", OK, **settings)
    assert error_of(caught) == (code, text)
    assert functions.client.list_functions()["Functions"] == []


def test_runtime_and_handler_are_needed(functions: Functions):
    code = {"ZipFile": packed({"app.py": OK})}
    with pytest.raises(ClientError) as caught:
        functions.client.create_function(FunctionName="f", Code=code, Role=ROLE)
    text = "Runtime and Handler are mandatory parameters for functions created with deployment packages."
    assert error_of(caught) == ("InvalidParameterValueException", text)


def test_environment_has_a_limit(functions: Functions):
    with pytest.raises(ClientError) as caught:
        functions.make("f", OK, Environment={"Variables": {"BIG": "x" * 5000}})
    assert "exceeded the 4KB limit. String measured: {" in error_of(caught)[1]


def test_name_is_taken_once(functions: Functions):
    functions.make("f", OK)
    with pytest.raises(ClientError) as caught:
        functions.make("f", OK)
    assert error_of(caught) == ("ResourceConflictException", "Function already exist: f")


def test_runtime_that_nothing_here_runs_is_refused(functions: Functions):
    with pytest.raises(ClientError) as caught:
        functions.make("f", OK, Runtime="java21")
    code, text = error_of(caught)
    assert code == "InvalidParameterValueException"
    assert "java21" in text


def test_nearest_interpreter_is_told(functions: Functions):
    functions.make("f", OK, Runtime="python3.6")
    found = functions.client.get_function_configuration(FunctionName="f")
    assert found["State"] == "Active"
    assert "python3.6 is not installed here" in found["StateReason"]
    assert functions.call("f")[1] == "one"


def test_exact_runtimes_refuse_the_nearest(tmp_path):
    node = RunningNode(tmp_path / "exact", runtime_match="exact").start()
    try:
        with pytest.raises(ClientError) as caught:
            Functions(node).make("f", OK, Runtime="python3.6")
        code, text = error_of(caught)
        assert code == "InvalidParameterValueException"
        assert "python3.6" in text
        assert "exact" in text
    finally:
        node.stop()


def test_names_and_arns_name_the_same_function(functions: Functions):
    functions.make("f", OK)
    for name in ("f", "function:f", "000000000000:function:f", ARN, f"{ARN}:$LATEST"):
        assert functions.client.get_function_configuration(FunctionName=name)["FunctionName"] == "f"
    with pytest.raises(ClientError) as caught:
        functions.client.get_function_configuration(FunctionName=ARN.replace("us-east-1", "eu-west-1"))
    assert error_of(caught) == (
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )
    with pytest.raises(ClientError) as caught:
        functions.client.get_function_configuration(FunctionName="f:1", Qualifier="2")
    assert error_of(caught)[1] == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


def test_lists_have_pages(functions: Functions):
    for name in ("a", "b", "c"):
        functions.make(name, OK)
    pages = functions.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    found = [function for page in pages for function in page["Functions"]]
    assert [function["FunctionName"] for function in found] == ["a", "b", "c"]
    assert "State" not in found[0]


def test_update_checks_the_revision(functions: Functions):
    functions.make("f", OK)
    revision = functions.client.get_function_configuration(FunctionName="f")["RevisionId"]
    answer = functions.client.update_function_configuration(FunctionName="f", Timeout=5, RevisionId=revision)
    assert answer["LastUpdateStatus"] == "InProgress"
    assert answer["RevisionId"] != revision
    with pytest.raises(ClientError) as caught:
        functions.client.update_function_configuration(FunctionName="f", Timeout=6, RevisionId=revision)
    assert error_of(caught)[0] == "PreconditionFailedException"
    functions.client.get_waiter("function_updated_v2").wait(FunctionName="f")
    assert functions.client.get_function_configuration(FunctionName="f")["Timeout"] == 5


def test_dry_run_of_an_update_changes_nothing(functions: Functions):
    functions.make("f", OK)
    before = functions.client.get_function_configuration(FunctionName="f")["CodeSha256"]
    other = packed({"app.py": OK.replace("one", "two")})
    answer = functions.client.update_function_code(FunctionName="f", ZipFile=other, DryRun=True)
    assert answer["CodeSha256"] != before
    assert functions.client.get_function_configuration(FunctionName="f")["CodeSha256"] == before
    assert functions.call("f")[1] == "one"


def test_versions_keep_what_they_were(functions: Functions):
    functions.make("f", OK)
    first = functions.client.publish_version(FunctionName="f", Description="the first")
    assert (first["Version"], first["FunctionArn"]) == ("1", f"{ARN}:1")
    assert functions.client.publish_version(FunctionName="f")["Version"] == "1"
    functions.client.update_function_code(FunctionName="f", ZipFile=packed({"app.py": OK.replace("one", "two")}))
    second = functions.client.publish_version(FunctionName="f")
    assert second["Version"] == "2"
    assert functions.call("f", Qualifier="1")[1] == "one"
    answer, body = functions.call("f:2")
    assert (answer["ExecutedVersion"], body) == ("2", "two")
    listed = functions.client.list_versions_by_function(FunctionName="f")["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]
    functions.client.delete_function(FunctionName="f", Qualifier="1")
    with pytest.raises(ClientError) as caught:
        functions.call("f", Qualifier="1")
    assert error_of(caught) == ("ResourceNotFoundException", f"Function not found: {ARN}:1")


def test_publishing_needs_the_code_it_names(functions: Functions):
    made = functions.make("f", OK)
    with pytest.raises(ClientError) as caught:
        functions.client.publish_version(FunctionName="f", CodeSha256="other")
    assert error_of(caught)[1] == (
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({made['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )


def test_alias_names_a_version(functions: Functions):
    functions.make("f", "def handler(event, context):\n    return context.invoked_function_arn\n", Publish=True)
    made = functions.client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    assert made["AliasArn"] == f"{ARN}:live"
    assert "RoutingConfig" not in made
    answer, body = functions.call("f", Qualifier="live")
    assert (answer["ExecutedVersion"], body) == ("1", f"{ARN}:live")
    with pytest.raises(ClientError) as caught:
        functions.client.delete_function(FunctionName="f", Qualifier="1")
    assert error_of(caught)[0] == "ResourceConflictException"
    changed = functions.client.update_alias(FunctionName="f", Name="live", FunctionVersion="$LATEST")
    assert changed["FunctionVersion"] == "$LATEST"
    assert [alias["Name"] for alias in functions.client.list_aliases(FunctionName="f")["Aliases"]] == ["live"]
    functions.client.delete_alias(FunctionName="f", Name="live")
    with pytest.raises(ClientError) as caught:
        functions.client.get_alias(FunctionName="f", Name="live")
    assert error_of(caught) == ("ResourceNotFoundException", f"Cannot find alias arn: {ARN}:live")


def test_alias_shares_invocations_between_two_versions(functions: Functions):
    functions.make("f", OK, Publish=True)
    functions.client.update_function_code(
        FunctionName="f", ZipFile=packed({"app.py": OK.replace("one", "two")}), Publish=True
    )
    functions.client.create_alias(
        FunctionName="f",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    seen = {functions.call("f", Qualifier="live")[1] for _ in range(40)}
    assert seen == {"one", "two"}


def test_alias_needs_its_versions(functions: Functions):
    functions.make("f", OK)
    with pytest.raises(ClientError) as caught:
        functions.client.create_alias(FunctionName="f", Name="live", FunctionVersion="7")
    assert error_of(caught) == ("ResourceNotFoundException", f"Function not found: {ARN}:7")


def test_deleted_function_takes_everything_along(functions: Functions):
    functions.make("f", OK, Publish=True)
    functions.client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    functions.client.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="sqs.amazonaws.com"
    )
    functions.client.delete_function(FunctionName="f")
    functions.make("f", OK)
    assert functions.client.list_aliases(FunctionName="f")["Aliases"] == []
    assert len(functions.client.list_versions_by_function(FunctionName="f")["Versions"]) == 1
    with pytest.raises(ClientError) as caught:
        functions.client.get_policy(FunctionName="f")
    assert error_of(caught) == ("ResourceNotFoundException", "The resource you requested does not exist.")


def test_reserved_concurrency_leaves_something_for_others(functions: Functions):
    functions.make("f", OK)
    client = functions.client
    assert client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)[
        "ReservedConcurrentExecutions"
    ] == (5)
    assert client.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    with pytest.raises(ClientError) as caught:
        client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=901)
    assert error_of(caught) == (
        "InvalidParameterValueException",
        (
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            "below its minimum value of [100]."
        ),
    )
    settings = client.get_account_settings()
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 995
    assert settings["AccountUsage"]["FunctionCount"] == 1


def test_what_is_not_there_says_so(functions: Functions):
    functions.make("f", OK)
    with pytest.raises(ClientError) as caught:
        functions.client.put_provisioned_concurrency_config(
            FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=1
        )
    code, text = error_of(caught)
    assert code == "NotImplemented"
    assert "PutProvisionedConcurrencyConfig" in text
