"""Writes an invoice for each order."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> None:
    """Invoice a batch of orders; where one cannot be, all of them come again."""
    for record in event["Records"]:
        order = json.loads(record["body"])
        print(f"Invoice for {order['id']}: {order['amount']} to {order['customer']}")
