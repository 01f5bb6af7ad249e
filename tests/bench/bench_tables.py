"""What a node does with a table: put, get and conditional update, batches and transactions of 25, a query, a scan.

Run: `python -m tests.bench.bench_tables [--seconds 4]`. Signed requests over 64 connections to a node of its own on a
fresh data folder, durable. Prints rates, latencies and the node's CPU time a request.
"""

import argparse
import hashlib
import hmac
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.load import run_load
from tests.fault.kill import Client, Node

CONNECTIONS = 64
KEYS = 20_000
BATCH = 25
KEY = "000000000000"
REGION = "us-east-1"

_SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target"


class Requests:
    """Makes signed requests as ready bytes."""

    def __init__(self, port: int) -> None:
        self._host = f"127.0.0.1:{port}"
        now = datetime.now(UTC)
        self._timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{now:%Y%m%d}/{REGION}/dynamodb/aws4_request"
        key = b"AWS4bench"
        for part in self._scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def make(self, operation: str, **members: Any) -> bytes:
        """Return the bytes of a request."""
        body = json.dumps(members).encode()
        target = f"DynamoDB_20120810.{operation}"
        canonical = (
            f"POST\n/\n\ncontent-type:application/x-amz-json-1.0\nhost:{self._host}\nx-amz-date:{self._timestamp}\n"
            f"x-amz-target:{target}\n\n{_SIGNED_HEADERS}\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self._timestamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        head = (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nX-Amz-Target: {target}\r\n"
            f"Content-Type: application/x-amz-json-1.0\r\nX-Amz-Date: {self._timestamp}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={KEY}/{self._scope}, SignedHeaders={_SIGNED_HEADERS}, "
            f"Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def item(number: int) -> dict[str, Any]:
    """Return an item of about 300 bytes."""
    return {
        **key(number),
        "name": {"S": "Ada Example"},
        "age": {"N": "42"},
        "tags": {"SS": ["a", "b"]},
        "body": {"S": "x" * 200},
    }


def key(number: int) -> dict[str, Any]:
    """Return the key of an item."""
    return {"pk": {"S": f"user#{number // 100}"}, "sk": {"N": str(number % 100)}}


def scenarios(requests: Requests) -> Iterator[tuple[str, list[bytes]]]:
    """Yield what is measured: a name, and requests to be sent in turn."""
    numbers = range(KEYS)
    yield "PutItem", [requests.make("PutItem", TableName="bench", Item=item(number)) for number in numbers]
    yield "GetItem", [requests.make("GetItem", TableName="bench", Key=key(number)) for number in numbers]
    update = {
        "UpdateExpression": "SET #n = :n ADD visits :one",
        "ConditionExpression": "attribute_exists(pk) AND age = :age",
        "ExpressionAttributeNames": {"#n": "name"},
        "ExpressionAttributeValues": {":n": {"S": "Bob"}, ":one": {"N": "1"}, ":age": {"N": "42"}},
    }
    yield "UpdateItem if", [requests.make("UpdateItem", TableName="bench", Key=key(n), **update) for n in numbers]
    groups = [range(start, start + BATCH) for start in range(0, KEYS, BATCH)]
    puts = [[{"PutRequest": {"Item": item(number)}} for number in group] for group in groups]
    yield "BatchWriteItem 25", [requests.make("BatchWriteItem", RequestItems={"bench": put}) for put in puts]
    actions = [[{"Put": {"TableName": "bench", "Item": item(number)}} for number in group] for group in groups]
    yield "TransactWriteItems 25", [requests.make("TransactWriteItems", TransactItems=one) for one in actions]
    query = {"TableName": "bench", "KeyConditionExpression": "pk = :p"}
    values = [{":p": {"S": f"user#{number}"}} for number in range(KEYS // 100)]
    yield "Query 100", [requests.make("Query", **query, ExpressionAttributeValues=value) for value in values]
    yield "Scan 1 MB", [requests.make("Scan", TableName="bench")]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        node = Node(Path(folder) / "data")
        node.start()
        client = Client(node.port)
        client.call(
            "DynamoDB_20120810.CreateTable",
            TableName="bench",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"))],
            KeySchema=[{"AttributeName": n, "KeyType": t} for n, t in (("pk", "HASH"), ("sk", "RANGE"))],
            BillingMode="PAY_PER_REQUEST",
        )
        client.close()
        for name, ready in scenarios(Requests(node.port)):
            following = itertools.cycle(ready)
            before = cpu_seconds(node._process.pid)
            result = run_load("127.0.0.1", node.port, lambda following=following: next(following), CONNECTIONS, seconds)
            used = cpu_seconds(node._process.pid) - before
            # The warm-up's requests are not counted, its CPU time is.
            per_request = used / (result.requests * (seconds + 0.5) / seconds)
            print(f"{name:22} {result}, CPU us {per_request * 1e6:.0f}", flush=True)  # noqa: T201  what it is for
        node.kill()


if __name__ == "__main__":
    main()
