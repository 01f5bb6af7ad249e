"""Operations on a queue's tags."""

from collections.abc import Mapping

import msgspec

from forebay.api import sqs as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sqs import limits
from forebay.services.sqs.address import load_queue
from forebay.services.sqs.errors import invalid_parameter, missing_parameter
from forebay.services.sqs.queue import QUEUE


@operation
def tag_queue(call: Call, request: api.TagQueueRequest) -> None:
    """Add tags to a queue, or replace the values of those it has."""
    key, queue = load_queue(call, request.queue_url)
    if not request.tags:
        raise missing_parameter("Tags")
    tags = {**queue.tags, **request.tags}
    check_tags(queue.name, tags)
    call.records.put(QUEUE, key, msgspec.structs.replace(queue, tags=tags))


@operation
def untag_queue(call: Call, request: api.UntagQueueRequest) -> None:
    """Remove tags from a queue; those that it does not have are skipped."""
    key, queue = load_queue(call, request.queue_url)
    if not request.tag_keys:
        raise missing_parameter("TagKeys")
    tags = {name: value for name, value in queue.tags.items() if name not in request.tag_keys}
    call.records.put(QUEUE, key, msgspec.structs.replace(queue, tags=tags))


@operation(readonly=True)
def list_queue_tags(call: Call, request: api.ListQueueTagsRequest) -> api.ListQueueTagsResult:
    """Return a queue's tags."""
    _, queue = load_queue(call, request.queue_url)
    return api.ListQueueTagsResult(tags=queue.tags or None)


def check_tags(queue_name: str, tags: Mapping[str, str]) -> None:
    """Check all tags that a queue is to have.

    Raises:
        InvalidParameterValue: there are too many, or a key or value is too long.
    """
    if len(tags) > limits.TAGS_MAX:
        raise invalid_parameter(f"Too many tags added for queue {queue_name}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= limits.TAG_KEY_CHARACTERS_MAX:
            raise invalid_parameter("Tag keys must be between 1 and 128 characters in length.")
        if len(value) > limits.TAG_VALUE_CHARACTERS_MAX:
            raise invalid_parameter("Tag values must be between 0 and 256 characters in length.")
