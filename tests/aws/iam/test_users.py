import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.harness import REGION, RunningNode


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


def client_of(node: RunningNode, key: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=node.url,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )


def test_users_own_key_signs_as_the_user(node: RunningNode) -> None:
    iam = node.client("iam", account="111122223333")
    user = iam.create_user(UserName="ada", Path="/eng/")["User"]
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    identity = client_of(node, key, "sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::111122223333:user/eng/ada"
    assert identity["UserId"] == user["UserId"]
    assert client_of(node, key, "iam").get_user()["User"]["UserName"] == "ada"


def test_user_has_two_keys_at_most(node: RunningNode) -> None:
    iam = node.client("iam")
    iam.create_user(UserName="ada")
    keys = [iam.create_access_key(UserName="ada")["AccessKey"]["AccessKeyId"] for _ in range(2)]
    text = refused("LimitExceeded", iam.create_access_key, UserName="ada")
    assert text == "Cannot exceed quota for AccessKeysPerUser: 2"
    iam.update_access_key(UserName="ada", AccessKeyId=keys[0], Status="Inactive")
    listed = {key["AccessKeyId"]: key["Status"] for key in iam.list_access_keys(UserName="ada")["AccessKeyMetadata"]}
    assert listed == {keys[0]: "Inactive", keys[1]: "Active"}
    assert refused("DeleteConflict", iam.delete_user, UserName="ada") == (
        "Cannot delete entity, must delete access keys first."
    )


def test_get_user_without_a_name_needs_a_user(node: RunningNode) -> None:
    text = refused("ValidationError", node.client("iam").get_user)
    assert text == "Must specify userName when calling with non-User credentials"


def test_groups_hold_users(node: RunningNode) -> None:
    iam = node.client("iam")
    iam.create_user(UserName="ada")
    iam.create_group(GroupName="eng")
    iam.add_user_to_group(GroupName="eng", UserName="ada")
    assert [user["UserName"] for user in iam.get_group(GroupName="eng")["Users"]] == ["ada"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="ada")["Groups"]] == ["eng"]
    refused("DeleteConflict", iam.delete_group, GroupName="eng")
    iam.remove_user_from_group(GroupName="eng", UserName="ada")
    iam.delete_group(GroupName="eng")
    assert refused("NoSuchEntity", iam.get_group, GroupName="eng") == "The group with name eng cannot be found."


def test_user_policies_are_stored(node: RunningNode) -> None:
    iam = node.client("iam")
    iam.create_user(UserName="ada")
    document = {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
    iam.put_user_policy(UserName="ada", PolicyName="none", PolicyDocument=json.dumps(document))
    assert iam.get_user_policy(UserName="ada", PolicyName="none")["PolicyDocument"] == document


def test_account_summary_counts(node: RunningNode) -> None:
    iam = node.client("iam")
    iam.create_user(UserName="ada")
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] == 1
    assert summary["UsersQuota"] == 5000


def test_account_alias_is_kept(node: RunningNode) -> None:
    iam = node.client("iam")
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="forebay-dev")
    assert iam.list_account_aliases()["AccountAliases"] == ["forebay-dev"]
    iam.delete_account_alias(AccountAlias="forebay-dev")
    assert iam.list_account_aliases()["AccountAliases"] == []
