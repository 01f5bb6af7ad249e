import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode

DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
ARN = "arn:aws:iam::000000000000:policy/orders"
TRUST = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def iam(node: RunningNode) -> Any:
    client = node.client("iam")
    client.create_policy(PolicyName="orders", PolicyDocument=json.dumps(DOCUMENT), Description="d")
    return client


def test_policy_is_returned_with_its_counts(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="r", PolicyArn=ARN)
    policy = iam.get_policy(PolicyArn=ARN)["Policy"]
    assert policy["PolicyId"].startswith("ANPA")
    assert policy["AttachmentCount"] == 1
    assert policy["DefaultVersionId"] == "v1"
    assert policy["IsAttachable"]
    assert policy["Description"] == "d"
    entities = iam.list_entities_for_policy(PolicyArn=ARN)
    assert [role["RoleName"] for role in entities["PolicyRoles"]] == ["r"]
    text = refused("DeleteConflict", iam.delete_policy, PolicyArn=ARN)
    assert text == "Cannot delete a policy attached to entities."


def test_versions_are_kept_up_to_five(iam: Any) -> None:
    changed = {**DOCUMENT, "Id": "x"}
    for _ in range(4):
        iam.create_policy_version(PolicyArn=ARN, PolicyDocument=json.dumps(changed), SetAsDefault=True)
    text = refused("LimitExceeded", iam.create_policy_version, PolicyArn=ARN, PolicyDocument=json.dumps(changed))
    assert text.startswith("A managed policy can have up to 5 versions.")
    versions = iam.list_policy_versions(PolicyArn=ARN)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v5", "v4", "v3", "v2", "v1"]
    assert [version["IsDefaultVersion"] for version in versions] == [True, False, False, False, False]
    assert iam.get_policy_version(PolicyArn=ARN, VersionId="v1")["PolicyVersion"]["Document"] == DOCUMENT
    text = refused("DeleteConflict", iam.delete_policy_version, PolicyArn=ARN, VersionId="v5")
    assert text == "Cannot delete the default version of a policy."
    iam.delete_policy_version(PolicyArn=ARN, VersionId="v2")
    iam.set_default_policy_version(PolicyArn=ARN, VersionId="v1")
    assert iam.get_policy(PolicyArn=ARN)["Policy"]["DefaultVersionId"] == "v1"
    refused("DeleteConflict", iam.delete_policy, PolicyArn=ARN)


def test_policy_is_deleted(iam: Any) -> None:
    iam.delete_policy(PolicyArn=ARN)
    assert refused("NoSuchEntity", iam.get_policy, PolicyArn=ARN) == f"Policy {ARN} was not found."


def test_same_name_is_refused(iam: Any) -> None:
    text = refused("EntityAlreadyExists", iam.create_policy, PolicyName="orders", PolicyDocument=json.dumps(DOCUMENT))
    assert text == "A policy called orders already exists. Duplicate names are not allowed."


def test_malformed_document_is_refused(iam: Any) -> None:
    text = refused("MalformedPolicyDocument", iam.create_policy, PolicyName="x", PolicyDocument="{")
    assert text == "Syntax errors in policy."


def test_content_of_an_aws_policy_is_not_claimed(iam: Any) -> None:
    text = refused("NotImplemented", iam.get_policy, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert "arn:aws:iam::aws:policy/ReadOnlyAccess" in text
