"""Packs parcels: one pod of many, which may be told to go at any time and loses nothing."""

import os
import time

from forebay.worker import Message, Worker


def pack(message: Message) -> None:
    """Pack one parcel. Returning deletes the message, raising makes it come again."""
    order = message.json()
    time.sleep(float(order.get("seconds", 2)))
    print(f"packed {order['id']} for {order['customer']}", flush=True)


if __name__ == "__main__":
    Worker(os.environ.get("QUEUE", "parcels"), pack, grace_seconds=80).run()
