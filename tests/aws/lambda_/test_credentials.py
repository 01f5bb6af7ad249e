"""Functions on a node that takes signed requests only."""

import json
from pathlib import Path
from typing import Any

import boto3

from forebay.operations.credentials import CREDENTIAL
from tests.aws.lambda_.conftest import ROLE, packed
from tests.harness import RunningNode

WHO = """
import boto3
def handler(event, context):
    return boto3.client("sts").get_caller_identity()["Arn"]
"""


def test_function_signs_with_a_key_of_its_own_while_it_lives(tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text("AKIDMINE secret 111122223333\n")
    node = RunningNode(tmp_path / "data", credentials=keys).start()

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=node.url,
            region_name="us-east-1",
            aws_access_key_id="AKIDMINE",
            aws_secret_access_key="secret",
        )

    async def issued(running: Any) -> int:
        return len(await running.store.view(lambda view: view.records.list(CREDENTIAL)))

    try:
        lambda_ = client("lambda")
        lambda_.create_function(
            FunctionName="f",
            Role=ROLE,
            Runtime="python3.11",
            Handler="app.handler",
            Code={"ZipFile": packed({"app.py": WHO})},
            Timeout=20,
            MemorySize=256,
        )
        answer = lambda_.invoke(FunctionName="f")
        assert json.loads(answer["Payload"].read()) == "arn:aws:sts::111122223333:assumed-role/r/f"
        assert node.run(issued) == 1
        lambda_.delete_function(FunctionName="f")
        assert node.run(issued) == 0
    finally:
        node.stop()
