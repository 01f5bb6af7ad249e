import string
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode, wait_until

DAY = 24 * 3600


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def secrets(node: RunningNode) -> Any:
    return node.client("secretsmanager")


def value(secrets: Any, **more: Any) -> str:
    return secrets.get_secret_value(SecretId="db", **more)["SecretString"]


def stages(secrets: Any) -> dict[str, list[str]]:
    return {key: sorted(each) for key, each in secrets.describe_secret(SecretId="db")["VersionIdsToStages"].items()}


def test_secret_is_found_by_name_and_arn(secrets: Any) -> None:
    created = secrets.create_secret(Name="app/db", SecretString="s", Tags=[{"Key": "team", "Value": "web"}])
    assert created["ARN"].startswith("arn:aws:secretsmanager:us-east-1:000000000000:secret:app/db-")
    assert len(created["ARN"].rpartition("-")[2]) == 6
    for secret_id in ("app/db", created["ARN"], created["ARN"][:-7]):
        got = secrets.get_secret_value(SecretId=secret_id)
        assert got["SecretString"] == "s"
        assert got["VersionId"] == created["VersionId"]
        assert got["VersionStages"] == ["AWSCURRENT"]
    wrong = created["ARN"][:-6] + "xxxxxx"
    text = refused("ResourceNotFoundException", secrets.get_secret_value, SecretId=wrong)
    assert text == "Secrets Manager can't find the specified secret."
    described = secrets.describe_secret(SecretId="app/db")
    assert described["Tags"] == [{"Key": "team", "Value": "web"}]
    assert "LastAccessedDate" in described
    assert "DeletedDate" not in described


def test_binary_values_come_back(secrets: Any) -> None:
    secrets.create_secret(Name="db", SecretBinary=b"\x00\xff")
    got = secrets.get_secret_value(SecretId="db")
    assert got["SecretBinary"] == b"\x00\xff"
    assert "SecretString" not in got


def test_new_version_makes_the_old_one_previous(secrets: Any) -> None:
    first = secrets.create_secret(Name="db", SecretString="1")["VersionId"]
    put = secrets.put_secret_value(SecretId="db", SecretString="2")
    assert put["VersionStages"] == ["AWSCURRENT"]
    assert value(secrets) == "2"
    assert value(secrets, VersionStage="AWSPREVIOUS") == "1"
    assert value(secrets, VersionId=first) == "1"
    third = secrets.update_secret(SecretId="db", SecretString="3", Description="d")["VersionId"]
    assert stages(secrets) == {put["VersionId"]: ["AWSPREVIOUS"], third: ["AWSCURRENT"]}
    listed = secrets.list_secret_version_ids(SecretId="db")["Versions"]
    assert first not in [each["VersionId"] for each in listed]
    all_of_them = secrets.list_secret_version_ids(SecretId="db", IncludeDeprecated=True)["Versions"]
    assert first in [each["VersionId"] for each in all_of_them]
    refused("ResourceNotFoundException", secrets.get_secret_value, SecretId="db", VersionStage="NONE")


def test_pending_version_is_promoted(secrets: Any) -> None:
    first = secrets.create_secret(Name="db", SecretString="1")["VersionId"]
    second = secrets.put_secret_value(SecretId="db", SecretString="2", VersionStages=["AWSPENDING"])["VersionId"]
    assert value(secrets) == "1"
    text = refused(
        "InvalidParameterException",
        secrets.update_secret_version_stage,
        SecretId="db",
        VersionStage="AWSCURRENT",
        MoveToVersionId=second,
    )
    assert text.startswith("The parameter RemoveFromVersionId can't be empty.")
    secrets.update_secret_version_stage(
        SecretId="db", VersionStage="AWSCURRENT", MoveToVersionId=second, RemoveFromVersionId=first
    )
    assert value(secrets) == "2"
    assert stages(secrets) == {first: ["AWSPREVIOUS"], second: ["AWSCURRENT", "AWSPENDING"]}


def test_token_makes_writes_repeatable(secrets: Any) -> None:
    token = "a" * 32
    secrets.create_secret(Name="db", SecretString="1", ClientRequestToken=token)
    assert secrets.create_secret(Name="db", SecretString="1", ClientRequestToken=token)["VersionId"] == token
    secrets.put_secret_value(SecretId="db", SecretString="1", ClientRequestToken=token)
    text = refused(
        "ResourceExistsException", secrets.put_secret_value, SecretId="db", SecretString="2", ClientRequestToken=token
    )
    assert text.startswith(f"You can't use ClientRequestToken {token} because that value is already in use")
    text = refused("ResourceExistsException", secrets.create_secret, Name="db", SecretString="1")
    assert text == "The operation failed because the secret db already exists."


def test_secret_without_a_value(secrets: Any) -> None:
    assert "VersionId" not in secrets.create_secret(Name="db")
    text = refused("ResourceNotFoundException", secrets.get_secret_value, SecretId="db")
    assert text == "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
    assert "VersionIdsToStages" not in secrets.describe_secret(SecretId="db")
    secrets.put_secret_value(SecretId="db", SecretString="1")
    assert value(secrets) == "1"


def test_deleted_secret_waits_and_can_be_restored(secrets: Any, node: RunningNode) -> None:
    secrets.create_secret(Name="db", SecretString="1")
    deleted = secrets.delete_secret(SecretId="db", RecoveryWindowInDays=7)
    assert abs(deleted["DeletionDate"].timestamp() - node.clock.now() - 7 * DAY) < 60
    text = refused("InvalidRequestException", secrets.get_secret_value, SecretId="db")
    assert text == "You can't perform this operation on the secret because it was marked for deletion."
    text = refused("InvalidRequestException", secrets.create_secret, Name="db", SecretString="1")
    assert text == "You can't create this secret because a secret with this name is already scheduled for deletion."
    assert secrets.list_secrets()["SecretList"] == []
    assert len(secrets.list_secrets(IncludePlannedDeletion=True)["SecretList"]) == 1
    secrets.restore_secret(SecretId="db")
    assert value(secrets) == "1"
    secrets.delete_secret(SecretId="db", RecoveryWindowInDays=7)
    node.clock.advance(7 * DAY + 1)
    wait_until(lambda: not secrets.list_secrets(IncludePlannedDeletion=True)["SecretList"])
    refused("ResourceNotFoundException", secrets.describe_secret, SecretId="db")


def test_forced_deletion_is_immediate(secrets: Any) -> None:
    first = secrets.create_secret(Name="db", SecretString="1")["ARN"]
    secrets.delete_secret(SecretId="db", ForceDeleteWithoutRecovery=True)
    secrets.delete_secret(SecretId="db", ForceDeleteWithoutRecovery=True)
    assert secrets.create_secret(Name="db", SecretString="2")["ARN"] != first
    refused("ResourceNotFoundException", secrets.get_secret_value, SecretId=first)
    text = refused(
        "InvalidParameterException",
        secrets.delete_secret,
        SecretId="db",
        ForceDeleteWithoutRecovery=True,
        RecoveryWindowInDays=7,
    )
    assert text == "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
    refused("InvalidParameterException", secrets.delete_secret, SecretId="db", RecoveryWindowInDays=6)


def test_secrets_are_listed_by_filters(secrets: Any) -> None:
    secrets.create_secret(Name="app/db", SecretString="1", Description="main database")
    secrets.create_secret(Name="app/key", SecretString="1", Tags=[{"Key": "team", "Value": "web"}])

    def names(*filters: dict[str, Any], **more: Any) -> list[str]:
        pages = secrets.get_paginator("list_secrets").paginate(
            Filters=list(filters), PaginationConfig={"PageSize": 1}, **more
        )
        return [each["Name"] for page in pages for each in page["SecretList"]]

    assert names() == ["app/db", "app/key"]
    assert names(SortOrder="desc", SortBy="name") == ["app/key", "app/db"]
    assert names({"Key": "name", "Values": ["app/k"]}) == ["app/key"]
    assert names({"Key": "description", "Values": ["DATA"]}) == ["app/db"]
    assert names({"Key": "tag-key", "Values": ["team"]}) == ["app/key"]
    assert names({"Key": "name", "Values": ["!app/k"]}) == ["app/db"]
    batch = secrets.batch_get_secret_value(SecretIdList=["app/db", "none"])
    assert [each["SecretString"] for each in batch["SecretValues"]] == ["1"]
    assert batch["Errors"][0]["ErrorCode"] == "ResourceNotFoundException"


def test_tags_and_policies(secrets: Any) -> None:
    secrets.create_secret(Name="db", SecretString="1", Tags=[{"Key": "a", "Value": "1"}])
    secrets.tag_resource(SecretId="db", Tags=[{"Key": "b", "Value": "2"}])
    secrets.untag_resource(SecretId="db", TagKeys=["a"])
    assert secrets.describe_secret(SecretId="db")["Tags"] == [{"Key": "b", "Value": "2"}]
    assert "ResourcePolicy" not in secrets.get_resource_policy(SecretId="db")
    secrets.put_resource_policy(SecretId="db", ResourcePolicy='{"Statement":[]}')
    assert secrets.get_resource_policy(SecretId="db")["ResourcePolicy"] == '{"Statement":[]}'
    refused("MalformedPolicyDocumentException", secrets.put_resource_policy, SecretId="db", ResourcePolicy="{")


def test_random_passwords(secrets: Any) -> None:
    password = secrets.get_random_password(PasswordLength=20, ExcludePunctuation=True)["RandomPassword"]
    assert len(password) == 20
    for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
        assert set(password) & set(kind)
    assert not set(password) & set(string.punctuation)
    assert len(secrets.get_random_password()["RandomPassword"]) == 32
    digits = secrets.get_random_password(
        PasswordLength=8,
        ExcludeLowercase=True,
        ExcludeUppercase=True,
        ExcludePunctuation=True,
        ExcludeCharacters="01234",
    )["RandomPassword"]
    assert set(digits) <= set("56789")
    refused("InvalidParameterException", secrets.get_random_password, PasswordLength=3)


def test_both_kinds_of_value_are_refused(secrets: Any) -> None:
    text = refused("InvalidParameterException", secrets.create_secret, Name="db", SecretString="1", SecretBinary=b"1")
    assert text == "You can't specify both a binary secret value and a string secret value in the same secret."


def test_rotation_is_refused_by_name(secrets: Any) -> None:
    secrets.create_secret(Name="db", SecretString="1")
    assert "RotateSecret" in refused("NotImplemented", secrets.rotate_secret, SecretId="db")


def test_secrets_survive_a_restart(secrets: Any, node: RunningNode) -> None:
    secrets.create_secret(Name="db", SecretString="1")
    node.restart()
    assert value(node.client("secretsmanager")) == "1"
