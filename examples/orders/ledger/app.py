"""Books amounts in the order in which they come."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> None:
    """Book a batch; the bookings of one account are in order, in a batch and from one batch to the next."""
    for record in event["Records"]:
        booking = json.loads(record["body"])
        print(f"{booking['account']}: {booking['amount']:+} for {booking['for']}")
