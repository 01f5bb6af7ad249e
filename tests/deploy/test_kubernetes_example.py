"""`examples/kubernetes`, as its README has it: one command, and every order ends where it belongs."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from forebay.scaling.manifests.documents import read_paths
from tests.harness import wait_until

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "kubernetes"


def test_manifests_are_read_without_a_problem():
    reads, problems = read_paths([_EXAMPLE / "manifests"])
    assert problems == []
    assert [problem for read in reads for problem in read.problems if problem.gravity == "error"] == []
    assert {read.manifest.kind for read in reads} >= {"Deployment", "ScaledObject", "NodePool", "EC2NodeClass"}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_orders_end_in_the_table_and_with_the_packers(tmp_path):
    port = _free_port()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "forebay", "up", str(_EXAMPLE), "--demo"]
    with (tmp_path / "output").open("w") as output:
        node = subprocess.Popen(
            [*command, "--data", str(tmp_path / "data"), "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        _check(port, tmp_path / "output")
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(60)


def _check(port: int, output: Path) -> None:
    keys = {"aws_access_key_id": "000000000000", "aws_secret_access_key": "local", "region_name": "us-east-1"}
    endpoint = f"http://127.0.0.1:{port}"
    sqs, dynamodb = (boto3.client(name, endpoint_url=endpoint, **keys) for name in ("sqs", "dynamodb"))
    wait_until(lambda: "Following events" in output.read_text(), 120)
    wait_until(lambda: dynamodb.get_item(TableName="sales", Key={"id": {"S": "D-1"}}).get("Item"), 60)

    def left(queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())

    # The pods' node takes 35 s to come, as on EC2.
    wait_until(lambda: left("parcels") == 0, 120)
    assert (left("parcels-lost"), left("downloads"), left("downloads-lost")) == (0, 0, 0)
