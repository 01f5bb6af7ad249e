"""Notes downloads in a table."""

import json
import os
from typing import Any

import boto3

_TABLE = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Write an item for each download; those that fail come again by themselves."""
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
            _TABLE.put_item(Item={"id": order["id"], "customer": order["customer"], "item": order["item"]})
        except Exception as error:  # noqa: BLE001 - one bad message must not hold up the others
            print(f"{record['messageId']}: {error!r}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
