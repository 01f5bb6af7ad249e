"""Books carriers for orders; those that have no address are given back one by one."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, list[dict[str, str]]]:
    """Ship a batch of orders and report those that cannot be shipped."""
    failures: list[dict[str, str]] = []
    for record in event["Records"]:
        order = json.loads(record["body"])
        if "to" in order:
            print(f"{order['id']} is on its way to {order['to']}")
        else:
            print(f"{order['id']} has no address")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
