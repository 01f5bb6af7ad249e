"""Unchanged clients with nothing but the environment set: the AWS CLI (v1 from PyPI) and the AWS SDK for JavaScript.

The CLI is given a region in which its version 1 has no endpoint of SQS built in: in the others, its `aws sqs` ignores
AWS_ENDPOINT_URL and needs --endpoint-url (https://github.com/aws/aws-cli/issues/8737).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

AWS = Path(sys.executable).parent / "aws"

# One state of the registry: the same versions every time, and none of a release that is only half there.
_AS_OF = "--before=2026-11-01"
_SDK = ("@aws-sdk/client-sqs", "@aws-sdk/client-eventbridge", "@aws-sdk/client-s3", "@aws-sdk/client-sts")


def environment(node, home, region="us-east-1"):
    """Return what a user would export, and a home folder without settings of anyone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "HOME": str(home),
        "AWS_ENDPOINT_URL": node.url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "any",
    }


@pytest.fixture
def aws(node, tmp_path):
    """Run an AWS CLI command and return its JSON (or None)."""

    def call(*arguments, code=0, region="eu-central-2"):
        done = subprocess.run(
            [str(AWS), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(node, tmp_path, region),
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == code, done.stderr
        if code:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    return call


def test_cli_sends_and_receives(aws):
    url = aws("sqs", "create-queue", "--queue-name", "q")["QueueUrl"]
    sent = aws("sqs", "send-message", "--queue-url", url, "--message-body", "grüße")
    (message,) = aws("sqs", "receive-message", "--queue-url", url)["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "grüße")


def test_cli_reaches_sqs_in_any_region_when_told_the_endpoint(node, aws):
    more = ("--endpoint-url", node.url)
    url = aws("sqs", "create-queue", "--queue-name", "q", *more, region="us-east-1")["QueueUrl"]
    assert aws("sqs", "list-queues", *more, region="us-east-1")["QueueUrls"] == [url]


def test_cli_shows_errors_of_the_service(aws):
    text = aws("sqs", "get-queue-url", "--queue-name", "none", code=255)
    assert "The specified queue does not exist" in text


def test_cli_shows_what_is_not_implemented(aws):
    assert "Service kinesis is not part of Forebay." in aws("kinesis", "list-streams", code=255)


def test_cli_knows_who_it_is(aws):
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"


def test_cli_puts_events_through_a_rule(aws):
    url = aws("sqs", "create-queue", "--queue-name", "q")["QueueUrl"]
    aws("events", "put-rule", "--name", "r", "--event-pattern", '{"source": ["shop"]}')
    arn = "arn:aws:sqs:eu-central-2:000000000000:q"
    aws("events", "put-targets", "--rule", "r", "--targets", f"Id=1,Arn={arn}")
    entry = json.dumps([{"Source": "shop", "DetailType": "Order", "Detail": '{"id": 1}'}])
    assert aws("events", "put-events", "--entries", entry)["FailedEntryCount"] == 0
    (message,) = aws("sqs", "receive-message", "--queue-url", url)["Messages"]
    assert json.loads(message["Body"])["detail"] == {"id": 1}


def test_cli_copies_files(aws, tmp_path):
    (tmp_path / "there.txt").write_text("content")
    aws("s3", "mb", "s3://bucket")
    aws("s3", "cp", "there.txt", "s3://bucket/folder/there.txt")
    assert "folder/" in aws("s3", "ls", "s3://bucket")
    aws("s3", "sync", "s3://bucket/folder", "back")
    assert (tmp_path / "back" / "there.txt").read_text() == "content"


def test_cli_deploys_a_template(aws, tmp_path):
    template = {
        "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "made"}}},
        "Outputs": {"Url": {"Value": {"Ref": "Q"}}},
    }
    (tmp_path / "template.json").write_text(json.dumps(template))
    aws("cloudformation", "deploy", "--template-file", "template.json", "--stack-name", "s")
    (stack,) = aws("cloudformation", "describe-stacks", "--stack-name", "s")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"][0]["OutputValue"].endswith("/000000000000/made?region=eu-central-2")
    assert "made" in aws("sqs", "get-queue-url", "--queue-name", "made")["QueueUrl"]


# --- the AWS SDK for JavaScript ---


@pytest.fixture(scope="session")
def sdk(tmp_path_factory):
    """A folder with the SDK's packages, installed by npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no Node.js with npm on this machine")
    folder = tmp_path_factory.mktemp("sdk")
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", _AS_OF, "--prefix", str(folder), *_SDK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install the SDK: {done.stderr.strip()[-300:]}")
    return folder


@pytest.fixture
def javascript(node, sdk, tmp_path):
    """Run a module that uses the SDK; return what it prints, as JSON."""

    def call(source):
        script = sdk / "script.mjs"
        script.write_text(source)
        done = subprocess.run(
            ["node", str(script)],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(node, tmp_path),
            cwd=sdk,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_javascript_sends_and_receives(javascript):
    answer = javascript("""
import { SQSClient, CreateQueueCommand, SendMessageBatchCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs";
const sqs = new SQSClient({});
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "q" }));
const Entries = [1, 2, 3].map((n) => ({ Id: `m${n}`, MessageBody: `grüße ${n}`,
  MessageAttributes: { n: { DataType: "Number", StringValue: `${n}` } } }));
const sent = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
const got = await sqs.send(new ReceiveMessageCommand({
  QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ["All"], WaitTimeSeconds: 1 }));
console.log(JSON.stringify({ sent: sent.Successful.length,
  got: got.Messages.map((m) => [m.Body, m.MessageAttributes.n.StringValue]) }));
""")
    assert answer["sent"] == 3
    assert sorted(answer["got"]) == [["grüße 1", "1"], ["grüße 2", "2"], ["grüße 3", "3"]]


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_javascript_sees_errors_as_its_own_classes(javascript):
    answer = javascript("""
import { SQSClient, GetQueueUrlCommand, QueueDoesNotExist } from "@aws-sdk/client-sqs";
try {
  await new SQSClient({}).send(new GetQueueUrlCommand({ QueueName: "none" }));
} catch (error) {
  console.log(JSON.stringify({ own: error instanceof QueueDoesNotExist, name: error.name,
    text: error.message, status: error.$metadata.httpStatusCode, id: Boolean(error.$metadata.requestId) }));
}
""")
    assert answer == {
        "own": True,
        "name": "QueueDoesNotExist",
        "text": "The specified queue does not exist.",
        "status": 400,
        "id": True,
    }


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_javascript_uses_the_other_protocols(javascript):
    answer = javascript("""
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand } from "@aws-sdk/client-s3";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
const { Account } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
const put = await new EventBridgeClient({}).send(new PutEventsCommand({
  Entries: [{ Source: "s", DetailType: "t", Detail: "{}" }] }));
const s3 = new S3Client({ forcePathStyle: true });
await s3.send(new CreateBucketCommand({ Bucket: "bucket" }));
await s3.send(new PutObjectCommand({ Bucket: "bucket", Key: "a/ü", Body: "content" }));
const object = await s3.send(new GetObjectCommand({ Bucket: "bucket", Key: "a/ü" }));
const text = await object.Body.transformToString();
console.log(JSON.stringify({ Account, failed: put.FailedEntryCount, text }));
""")
    assert answer == {"Account": "000000000000", "failed": 0, "text": "content"}
