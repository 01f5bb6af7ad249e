"""A message as its handler sees it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Message:
    """One message that was received. `attributes` are the sender's, as text or bytes; `system` are SQS's own."""

    message_id: str
    receipt: str
    body: str
    attributes: Mapping[str, str | bytes] = field(default_factory=dict[str, str | bytes])
    system: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def receive_count(self) -> int:
        """How often it has been received, this time included."""
        return int(self.system.get("ApproximateReceiveCount", "1"))

    @property
    def group(self) -> str | None:
        """Its message group, which a FIFO queue keeps in order."""
        return self.system.get("MessageGroupId")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


def read_message(answered: Mapping[str, Any]) -> Message:
    """Return a message of ReceiveMessage's answer."""
    attributes: dict[str, str | bytes] = {}
    for name, value in answered.get("MessageAttributes", {}).items():
        attributes[name] = value["BinaryValue"] if "BinaryValue" in value else value["StringValue"]
    return Message(
        answered["MessageId"], answered["ReceiptHandle"], answered["Body"], attributes, answered.get("Attributes", {})
    )
