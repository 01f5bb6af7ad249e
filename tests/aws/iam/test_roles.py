import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
PERMISSIONS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sqs:*"], "Resource": "arn:aws:sqs:*:*:orders"}],
}


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def iam(node: RunningNode) -> Any:
    return node.client("iam")


@pytest.fixture
def role(iam: Any) -> Any:
    return iam.create_role(RoleName="Orders", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]


def test_role_is_returned_with_its_documents_decoded(iam: Any) -> None:
    created = iam.create_role(
        RoleName="Orders",
        Path="/shop/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for orders",
        Tags=[{"Key": "team", "Value": "shop"}],
    )["Role"]
    assert created["Arn"] == "arn:aws:iam::000000000000:role/shop/Orders"
    assert created["RoleId"].startswith("AROA")
    assert len(created["RoleId"]) == 21
    got = iam.get_role(RoleName="Orders")["Role"]
    assert got["AssumeRolePolicyDocument"] == TRUST
    assert got["Description"] == "for orders"
    assert got["MaxSessionDuration"] == 3600
    assert got["Tags"] == [{"Key": "team", "Value": "shop"}]
    assert got["RoleLastUsed"] == {}
    assert got["CreateDate"] == created["CreateDate"]


def test_role_that_is_not_there_has_aws_text(iam: Any) -> None:
    assert refused("NoSuchEntity", iam.get_role, RoleName="x") == "The role with name x cannot be found."


def test_names_are_not_distinguished_by_case(iam: Any, role: Any) -> None:
    text = refused(
        "EntityAlreadyExists", iam.create_role, RoleName="ORDERS", AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    assert text == "Role with name ORDERS already exists."


def test_name_longer_than_64_characters_is_refused(iam: Any) -> None:
    text = refused("ValidationError", iam.create_role, RoleName="x" * 65, AssumeRolePolicyDocument=json.dumps(TRUST))
    assert "at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64" in text


def test_role_with_policies_is_not_deleted(iam: Any, role: Any) -> None:
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName="Orders", PolicyArn=arn)
    iam.put_role_policy(RoleName="Orders", PolicyName="own", PolicyDocument=json.dumps(PERMISSIONS))
    text = refused("DeleteConflict", iam.delete_role, RoleName="Orders")
    assert text == "Cannot delete entity, must detach all policies first."
    iam.detach_role_policy(RoleName="Orders", PolicyArn=arn)
    text = refused("DeleteConflict", iam.delete_role, RoleName="Orders")
    assert text == "Cannot delete entity, must delete policies first."
    iam.delete_role_policy(RoleName="Orders", PolicyName="own")
    iam.delete_role(RoleName="Orders")
    refused("NoSuchEntity", iam.get_role, RoleName="Orders")


def test_inline_policy_is_returned_decoded(iam: Any, role: Any) -> None:
    iam.put_role_policy(RoleName="Orders", PolicyName="own", PolicyDocument=json.dumps(PERMISSIONS))
    got = iam.get_role_policy(RoleName="Orders", PolicyName="own")
    assert got["PolicyDocument"] == PERMISSIONS
    assert iam.list_role_policies(RoleName="Orders")["PolicyNames"] == ["own"]
    text = refused("NoSuchEntity", iam.get_role_policy, RoleName="Orders", PolicyName="other")
    assert text == "The role policy with name other cannot be found."


def test_inline_policies_share_a_quota(iam: Any, role: Any) -> None:
    document = json.dumps({**PERMISSIONS, "Id": "x" * 10_240})
    text = refused("LimitExceeded", iam.put_role_policy, RoleName="Orders", PolicyName="p", PolicyDocument=document)
    assert text == "Maximum policy size of 10240 bytes exceeded for role Orders"


def test_attached_policies_are_listed_and_attach_is_idempotent(iam: Any, role: Any) -> None:
    arn = "arn:aws:iam::aws:policy/AWSLambdaExecute"
    iam.attach_role_policy(RoleName="Orders", PolicyArn=arn)
    iam.attach_role_policy(RoleName="Orders", PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName="Orders")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AWSLambdaExecute", "PolicyArn": arn}]
    other = "arn:aws:iam::000000000000:policy/none"
    text = refused("NoSuchEntity", iam.attach_role_policy, RoleName="Orders", PolicyArn=other)
    assert text == f"Policy {other} does not exist or is not attachable."
    text = refused("NoSuchEntity", iam.detach_role_policy, RoleName="Orders", PolicyArn=other)
    assert text == f"Policy {other} was not found."


def test_roles_come_in_pages_by_name(iam: Any) -> None:
    for name in ("c", "a", "b"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    first = iam.list_roles(MaxItems=2)
    assert [each["RoleName"] for each in first["Roles"]] == ["a", "b"]
    assert first["IsTruncated"]
    second = iam.list_roles(MaxItems=2, Marker=first["Marker"])
    assert [each["RoleName"] for each in second["Roles"]] == ["c"]
    assert not second["IsTruncated"]
    assert "Marker" not in second


def test_tags_are_set_and_removed(iam: Any, role: Any) -> None:
    iam.tag_role(RoleName="Orders", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_role(RoleName="Orders", TagKeys=["a"])
    assert iam.list_role_tags(RoleName="Orders")["Tags"] == [{"Key": "b", "Value": "2"}]
    text = refused(
        "InvalidInput", iam.tag_role, RoleName="Orders", Tags=[{"Key": "k", "Value": "1"}, {"Key": "K", "Value": "2"}]
    )
    assert text == "Duplicate tag keys found. Please note that Tag keys are case insensitive."


def test_role_is_updated(iam: Any, role: Any) -> None:
    iam.update_role(RoleName="Orders", Description="new", MaxSessionDuration=7200)
    other = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "events.amazonaws.com"}}]}
    iam.update_assume_role_policy(RoleName="Orders", PolicyDocument=json.dumps(other))
    got = iam.get_role(RoleName="Orders")["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("new", 7200)
    assert got["AssumeRolePolicyDocument"] == other


def test_role_in_an_instance_profile_is_not_deleted(iam: Any, role: Any) -> None:
    iam.create_instance_profile(InstanceProfileName="box")
    iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="Orders")
    profile = iam.get_instance_profile(InstanceProfileName="box")["InstanceProfile"]
    assert profile["Roles"][0]["RoleName"] == "Orders"
    assert profile["InstanceProfileId"].startswith("AIPA")
    text = refused("DeleteConflict", iam.delete_role, RoleName="Orders")
    assert text == "Cannot delete entity, must remove roles from instance profile first."
    iam.remove_role_from_instance_profile(InstanceProfileName="box", RoleName="Orders")
    iam.delete_instance_profile(InstanceProfileName="box")
    iam.delete_role(RoleName="Orders")


def test_roles_belong_to_an_account_not_to_a_region(node: RunningNode, role: Any) -> None:
    assert node.client("iam", region="eu-west-1").get_role(RoleName="Orders")["Role"]["Arn"] == role["Arn"]
    refused("NoSuchEntity", node.client("iam", account="111111111111").get_role, RoleName="Orders")


def test_roles_survive_a_restart(node: RunningNode, role: Any) -> None:
    node.restart()
    assert node.client("iam").get_role(RoleName="Orders")["Role"]["RoleId"] == role["RoleId"]
