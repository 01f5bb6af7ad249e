"""Other clients than boto3: the AWS command line deploys with change sets, waits and re-deploys."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.aws.cloudformation.stacks import body, queue, settled
from tests.harness import RunningNode


def aws(node: RunningNode, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": node.url,
        "PATH": os.environ["PATH"],
        "AWS_CONFIG_FILE": os.devnull,
    }
    command = [sys.executable, "-m", "awscli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_aws_cloudformation_deploy_creates_updates_and_sees_no_change(node: RunningNode, tmp_path: Path) -> None:
    template = tmp_path / "template.json"

    def deploy(delay: int) -> str:
        template.write_text(body({"A": queue(QueueName="cli", DelaySeconds=delay)}))
        done = aws(node, "cloudformation", "deploy", "--stack-name", "one", "--template-file", str(template))
        return done.stdout + done.stderr

    assert "Successfully created/updated stack - one" in deploy(1)
    assert "Successfully created/updated stack - one" in deploy(2)
    assert "No changes to deploy" in deploy(2)
    assert settled(node.client("cloudformation"), "one")["StackStatus"] == "UPDATE_COMPLETE"


def test_aws_cloudformation_package_fits_our_bucket(node: RunningNode, tmp_path: Path) -> None:
    node.client("s3").create_bucket(Bucket="packages")
    (tmp_path / "snippet.yaml").write_text("QueueName: packaged\n")
    snippet = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "snippet.yaml"}}}
    template = tmp_path / "template.json"
    template.write_text(json.dumps({"Resources": {"A": {"Type": "AWS::SQS::Queue", "Properties": snippet}}}))
    packaged = tmp_path / "packaged.json"
    arguments = ["--template-file", str(template), "--s3-bucket", "packages", "--output-template-file", str(packaged)]
    done = aws(node, "cloudformation", "package", *arguments)
    assert done.returncode == 0, done.stderr
    done = aws(node, "cloudformation", "deploy", "--stack-name", "one", "--template-file", str(packaged))
    assert done.returncode == 0, done.stderr
    assert node.client("sqs").get_queue_url(QueueName="packaged")
