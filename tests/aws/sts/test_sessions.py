import base64
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from forebay.operations.credentials import CREDENTIAL
from tests.harness import REGION, RunningNode, wait_until

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
)


def session_client(node: RunningNode, credentials: dict[str, Any], service: str = "sts") -> Any:
    return boto3.client(
        service,
        endpoint_url=node.url,
        region_name=REGION,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def make_role(node: RunningNode, account: str = "111122223333", **more: Any) -> dict[str, Any]:
    iam = node.client("iam", account=account)
    return iam.create_role(RoleName="Worker", AssumeRolePolicyDocument=TRUST, **more)["Role"]


def test_assumed_role_acts_in_the_account_of_the_role(node: RunningNode) -> None:
    role = make_role(node, Path="/team/")
    answer = node.client("sts", account="444455556666").assume_role(RoleArn=role["Arn"], RoleSessionName="build-7")
    arn = "arn:aws:sts::111122223333:assumed-role/Worker/build-7"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{role['RoleId']}:build-7", "Arn": arn}
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert len(answer["Credentials"]["AccessKeyId"]) == 20
    identity = session_client(node, answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == arn
    assert identity["Account"] == "111122223333"
    assert identity["UserId"] == f"{role['RoleId']}:build-7"


def test_wrong_secret_of_a_temporary_key_is_refused_even_on_an_open_node(node: RunningNode) -> None:
    credentials = node.client("sts").get_session_token()["Credentials"]
    with pytest.raises(ClientError) as raised:
        session_client(node, {**credentials, "SecretAccessKey": "wrong"}).get_caller_identity()
    assert raised.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_role_that_is_not_there_may_not_be_assumed(node: RunningNode) -> None:
    arn = "arn:aws:iam::111122223333:role/Nobody"
    with pytest.raises(ClientError) as raised:
        node.client("sts").assume_role(RoleArn=arn, RoleSessionName="x1")
    assert raised.value.response["Error"]["Code"] == "AccessDenied"
    assert raised.value.response["Error"]["Message"] == (
        f"User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: {arn}"
    )


def test_session_is_no_longer_than_the_role_allows(node: RunningNode) -> None:
    role = make_role(node)
    with pytest.raises(ClientError) as raised:
        node.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="x1", DurationSeconds=7200)
    assert raised.value.response["Error"] == {
        "Type": "Sender",
        "Code": "ValidationError",
        "Message": "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    }


def test_session_of_a_session_lasts_an_hour_at_most(node: RunningNode) -> None:
    role = make_role(node, MaxSessionDuration=43200)
    first = node.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="x1", DurationSeconds=43200)
    with pytest.raises(ClientError, match="1 hour session limit for roles assumed by role chaining"):
        session_client(node, first["Credentials"]).assume_role(
            RoleArn=role["Arn"], RoleSessionName="x2", DurationSeconds=3601
        )


def test_malformed_session_policy_is_refused(node: RunningNode) -> None:
    role = make_role(node)
    with pytest.raises(ClientError) as raised:
        node.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="x1", Policy="{")
    assert raised.value.response["Error"]["Code"] == "MalformedPolicyDocument"


def test_federated_user_bears_its_name(node: RunningNode) -> None:
    answer = node.client("sts").get_federation_token(Name="guest")
    identity = session_client(node, answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:federated-user/guest"
    assert identity["UserId"] == "000000000000:guest"


def test_web_identity_gets_a_role(node: RunningNode) -> None:
    role = make_role(node)
    claims = {"sub": "system:pod", "iss": "https://issuer.example", "aud": ["sts.amazonaws.com"]}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    answer = node.client("sts").assume_role_with_web_identity(
        RoleArn=role["Arn"], RoleSessionName="pod", WebIdentityToken=f"e30.{body}.c2ln"
    )
    assert answer["SubjectFromWebIdentityToken"] == "system:pod"
    assert answer["Audience"] == "sts.amazonaws.com"
    assert session_client(node, answer["Credentials"]).get_caller_identity()["Arn"].endswith(":assumed-role/Worker/pod")


def test_expired_credentials_are_deleted(node: RunningNode) -> None:
    access_key = node.client("sts").get_session_token(DurationSeconds=900)["Credentials"]["AccessKeyId"]

    def is_gone() -> bool:
        async def look(running: Any) -> bool:
            return await running.store.find(CREDENTIAL, access_key) is None

        return node.run(look)

    assert not is_gone()
    node.clock.advance(901)
    wait_until(is_gone)
