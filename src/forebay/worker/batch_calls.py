"""SQS's calls for several messages, ten at a time, each entry with its own outcome."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from forebay.worker.message import Message

_log = logging.getLogger("forebay.worker")
_ENTRIES_MAX = 10


def delete(client: Any, queue_url: str, messages: Sequence[Message]) -> list[Message]:
    """Delete messages; return those that are not known to be gone, because SQS said so or could not be reached."""
    return _in_tens(client.delete_message_batch, queue_url, messages, {})


def change_visibility(client: Any, queue_url: str, messages: Sequence[Message], seconds: int) -> list[Message]:
    """Let messages become visible `seconds` from now; return those for which that failed."""
    return _in_tens(client.change_message_visibility_batch, queue_url, messages, {"VisibilityTimeout": seconds})


def _in_tens(call: Any, queue_url: str, messages: Sequence[Message], settings: Mapping[str, Any]) -> list[Message]:
    failed: list[Message] = []
    for first in range(0, len(messages), _ENTRIES_MAX):
        ten = messages[first : first + _ENTRIES_MAX]
        entries = [{"Id": str(n), "ReceiptHandle": each.receipt, **settings} for n, each in enumerate(ten)]
        try:
            refused = call(QueueUrl=queue_url, Entries=entries).get("Failed", [])
        except (BotoCoreError, ClientError) as error:
            _log.warning("%s failed for %d messages: %s", call.__name__, len(ten), error)
            failed += ten
            continue
        for entry in refused:
            message = ten[int(entry["Id"])]
            _log.warning("%s refused message %s: %s", call.__name__, message.message_id, entry.get("Message"))
            failed.append(message)
    return failed
