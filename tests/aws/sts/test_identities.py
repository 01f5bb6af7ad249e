import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode


def test_get_caller_identity_names_the_account_of_a_key_of_twelve_digits(node: RunningNode) -> None:
    identity = node.client("sts", account="123456789012").get_caller_identity()
    assert identity["Account"] == "123456789012"
    assert identity["Arn"] == "arn:aws:iam::123456789012:root"
    assert identity["UserId"] == "123456789012"


def test_get_access_key_info_reads_the_account_from_the_key(node: RunningNode) -> None:
    sts = node.client("sts", account="123456789012")
    key = sts.get_session_token()["Credentials"]["AccessKeyId"]
    assert node.client("sts").get_access_key_info(AccessKeyId=key)["Account"] == "123456789012"


def test_get_access_key_info_refuses_what_is_no_key(node: RunningNode) -> None:
    with pytest.raises(ClientError) as raised:
        node.client("sts").get_access_key_info(AccessKeyId="NOTANACCESSKEYID")
    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_unimplemented_operation_is_named(node: RunningNode) -> None:
    with pytest.raises(ClientError) as raised:
        node.client("sts").decode_authorization_message(EncodedMessage="x")
    assert "DecodeAuthorizationMessage" in raised.value.response["Error"]["Message"]
