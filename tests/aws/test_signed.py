"""A node with a credentials file: right keys work through boto3, wrong ones are refused in AWS's words."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import botocore.auth
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.harness import RunningNode

KEY, SECRET, ACCOUNT = "AKIAEXAMPLE00000000A", "the-secret/of+this-key", "111122223333"
OTHER_KEY, OTHER_SECRET, OTHER_ACCOUNT = "second", "another-secret", "444455556666"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    keys = tmp_path / "keys"
    keys.write_text(f"# who may\n{KEY} {SECRET} {ACCOUNT}\n\n{OTHER_KEY} {OTHER_SECRET} {OTHER_ACCOUNT}\n")
    running = RunningNode(tmp_path / "data", credentials=keys).start()
    yield running
    running.stop()


@pytest.fixture
def client(node):
    def make(service, key=KEY, secret=SECRET, token=None, region="eu-west-1", **config):
        return boto3.client(
            service,
            endpoint_url=node.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config),
        )

    return make


def refusal(call):
    """Return code, text and status of a refused call."""
    with pytest.raises(ClientError) as failure:
        call()
    response = failure.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


CALLS = {
    "sqs": lambda client: client.list_queues(),
    "events": lambda client: client.list_rules(),
    "logs": lambda client: client.describe_log_groups(),
    "ssm": lambda client: client.describe_parameters(),
    "iam": lambda client: client.list_users(),
    "sts": lambda client: client.get_caller_identity(),
    "cloudformation": lambda client: client.list_stacks(),
    "s3": lambda client: client.list_buckets(),
}
JSON = {"sqs", "events", "logs", "ssm"}


@pytest.mark.parametrize("service", CALLS)
def test_right_key_works(client, service):
    assert CALLS[service](client(service))["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("service", CALLS)
def test_wrong_secret_is_refused(client, service):
    code, text, status = refusal(lambda: CALLS[service](client(service, secret="not-the-secret")))
    assert code == ("InvalidSignatureException" if service in JSON else "SignatureDoesNotMatch")
    assert text.startswith("The request signature we calculated does not match the signature you provided.")
    assert status == 403


@pytest.mark.parametrize("service", CALLS)
def test_unknown_key_is_refused(client, service):
    code, text, status = refusal(lambda: CALLS[service](client(service, key="AKIANOBODYKNOWSTHIS1")))
    if service == "s3":
        assert (code, text) == (
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    else:
        assert code == ("UnrecognizedClientException" if service in JSON else "InvalidClientTokenId")
        assert text == "The security token included in the request is invalid."
    assert status == 403


def test_key_of_twelve_digits_names_no_account_here(client):
    assert refusal(lambda: client("sqs", key="000000000000").list_queues())[0] == "UnrecognizedClientException"


def test_unsigned_request_is_refused(client):
    from botocore import UNSIGNED

    code, text, status = refusal(lambda: client("sqs", signature_version=UNSIGNED).list_queues())
    assert (code, text, status) == ("MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def test_keys_act_in_their_own_accounts(client):
    url = client("sqs").create_queue(QueueName="q")["QueueUrl"]
    assert f"/{ACCOUNT}/q" in url
    other = client("sqs", OTHER_KEY, OTHER_SECRET)
    assert "QueueUrls" not in other.list_queues()
    assert client("sts", OTHER_KEY, OTHER_SECRET).get_caller_identity()["Account"] == OTHER_ACCOUNT


def test_bodies_of_all_sizes_and_kinds_are_signed_rightly(client):
    sqs, s3 = client("sqs"), client("s3")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    for body in ("x", "ü" * 1000, "=&?/ +%", "z" * 200_000):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="bucket", Key="a folder/ü+&?.txt", Body=b"content" * 100_000)
    assert s3.get_object(Bucket="bucket", Key="a folder/ü+&?.txt")["Body"].read() == b"content" * 100_000


def test_temporary_keys_work_with_their_token_only(client):
    given = client("sts").get_session_token()["Credentials"]
    key, secret, token = given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    assert client("sts", key, secret, token).get_caller_identity()["Account"] == ACCOUNT
    assert refusal(lambda: client("sqs", key, secret).list_queues())[0] == "UnrecognizedClientException"
    assert refusal(lambda: client("sqs", key, secret, "another").list_queues())[0] == "UnrecognizedClientException"


def test_key_of_a_user_works_until_it_is_deleted(client):
    iam = client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    as_user = client("sts", key["AccessKeyId"], key["SecretAccessKey"])
    assert as_user.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/u"
    iam.delete_access_key(UserName="u", AccessKeyId=key["AccessKeyId"])
    assert refusal(as_user.get_caller_identity)[0] == "InvalidClientTokenId"


@pytest.mark.parametrize(("service", "minutes", "code"), [("sqs", 6, "InvalidSignatureException"), ("sqs", -6, None)])
def test_signature_is_valid_for_five_minutes_around_its_time(client, monkeypatch, service, minutes, code):
    moved = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: moved.replace(tzinfo=None))
    found, text, status = refusal(lambda: CALLS[service](client(service)))
    assert found == (code or "InvalidSignatureException")
    assert text.startswith("Signature expired")
    assert status == 403


def test_presigned_url_opens_one_object_for_its_time(client):
    s3 = client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="bucket", Key="k", Body=b"secret")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.read() == b"secret"
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(url.replace("/k?", "/other?"), timeout=10)
    with failure.value as response:
        assert response.code == 403
        assert b"<Code>SignatureDoesNotMatch</Code>" in response.read()


def test_control_api_of_a_closed_node_answers_probes_only(tmp_path):
    from forebay.config import load_config

    keys = tmp_path / "keys"
    keys.write_text(f"{KEY} {SECRET} {ACCOUNT}\n")
    config = load_config({"credentials": keys}, {})
    running = RunningNode(tmp_path / "data", credentials=keys, local=config.local).start()
    try:
        with urllib.request.urlopen(f"{running.url}/_forebay/ready", timeout=10) as response:
            assert response.status == 200
        reset = urllib.request.Request(f"{running.url}/_forebay/reset", method="POST", data=b"")
        with pytest.raises(urllib.error.HTTPError) as failure:
            urllib.request.urlopen(reset, timeout=10)
        with failure.value as response:
            assert response.code == 403
    finally:
        running.stop()
