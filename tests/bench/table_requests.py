"""Signed requests to a table as ready bytes: what the benchmarks send to Forebay and to its peers alike."""

import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.bench.sqs_requests import ACCESS_KEY, REGION, SECRET_KEY

TABLE = "bench"
KEYS = 20_000
BATCH = 25

_SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target"
UPDATE = {
    "UpdateExpression": "SET #n = :n ADD visits :one",
    "ConditionExpression": "attribute_exists(pk) AND age = :age",
    "ExpressionAttributeNames": {"#n": "name"},
    "ExpressionAttributeValues": {":n": {"S": "Bob"}, ":one": {"N": "1"}, ":age": {"N": "42"}},
}


class Requests:
    """Makes the requests of one client at one endpoint."""

    def __init__(self, port: int) -> None:
        self._host = f"127.0.0.1:{port}"
        now = datetime.now(UTC)
        self._timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{now:%Y%m%d}/{REGION}/dynamodb/aws4_request"
        key = f"AWS4{SECRET_KEY}".encode()
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
            f"Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{self._scope}, SignedHeaders={_SIGNED_HEADERS}, "
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


def fill(requests: Requests) -> list[bytes]:
    """Return what puts all items."""
    puts = [[{"PutRequest": {"Item": item(number)}} for number in group] for group in _groups()]
    return [requests.make("BatchWriteItem", RequestItems={TABLE: put}) for put in puts]


def scenarios(requests: Requests) -> Iterator[tuple[str, list[bytes]]]:
    """Yield what is measured: a name, and requests to be sent in turn."""
    numbers = list(range(KEYS))
    random.Random(7).shuffle(numbers)
    yield "PutItem", [requests.make("PutItem", TableName=TABLE, Item=item(number)) for number in numbers]
    yield "GetItem", [requests.make("GetItem", TableName=TABLE, Key=key(number)) for number in numbers]
    yield "UpdateItem if", [requests.make("UpdateItem", TableName=TABLE, Key=key(n), **UPDATE) for n in numbers]
    yield "BatchWriteItem 25", fill(requests)
    actions = [[{"Put": {"TableName": TABLE, "Item": item(number)}} for number in group] for group in _groups()]
    yield "TransactWriteItems 25", [requests.make("TransactWriteItems", TransactItems=one) for one in actions]
    query = {"TableName": TABLE, "KeyConditionExpression": "pk = :p"}
    values = [{":p": {"S": f"user#{number}"}} for number in range(KEYS // 100)]
    yield "Query 100", [requests.make("Query", **query, ExpressionAttributeValues=value) for value in values]
    yield "Scan 1 MB", [requests.make("Scan", TableName=TABLE)]


def _groups() -> list[range]:
    return [range(start, start + BATCH) for start in range(0, KEYS, BATCH)]
