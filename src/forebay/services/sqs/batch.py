"""Rules that all batch operations share: how many entries, how their ids look, how a failed entry is answered."""

import re
from collections.abc import Sequence
from typing import Protocol

from forebay.api import sqs as api
from forebay.core.errors import ServiceError
from forebay.services.sqs import limits
from forebay.services.sqs.errors import batch_code

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Entry(Protocol):
    """An entry of any batch."""

    @property
    def id(self) -> str:
        """Name the entry within its batch."""
        ...


def check_entries(entries: Sequence[Entry], shape: str) -> None:
    """Check a batch as a whole; `shape` is AWS's name for its entries.

    Raises:
        EmptyBatchRequest: there is no entry.
        TooManyEntriesInBatchRequest: there are more than ten.
        InvalidBatchEntryId: an id has characters that AWS refuses, or too many.
        BatchEntryIdsNotDistinct: two entries share an id.
    """
    if not entries:
        raise api.EmptyBatchRequest(f"There should be at least one {shape} in the request.")
    if len(entries) > limits.BATCH_ENTRIES_MAX:
        raise api.TooManyEntriesInBatchRequest(
            f"Maximum number of entries per request are 10. You have sent {len(entries)}."
        )
    seen: set[str] = set()
    for entry in entries:
        if _ID.fullmatch(entry.id) is None:
            raise api.InvalidBatchEntryId(
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long."
            )
        if entry.id in seen:
            raise api.BatchEntryIdsNotDistinct(f"Id {entry.id} repeated.")
        seen.add(entry.id)


def check_total(size_bytes: int) -> None:
    """Check the size of all messages of a batch together.

    Raises:
        BatchRequestTooLong: they are larger than AWS takes in one request.
    """
    if size_bytes > limits.BATCH_BYTES_MAX:
        raise api.BatchRequestTooLong(
            f"Batch requests cannot be longer than {limits.BATCH_BYTES_MAX} bytes. You have sent {size_bytes} bytes."
        )


def failed_entry(entry_id: str, error: ServiceError) -> api.BatchResultErrorEntry:
    """Return the answer for one entry that could not be done."""
    return api.BatchResultErrorEntry(
        id=entry_id, sender_fault=error.fault == "Sender", code=batch_code(error), message=error.message
    )
