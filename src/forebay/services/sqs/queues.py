"""Operations on queues: create, find, list, attributes, purge, delete."""

from collections.abc import Sequence

import msgspec

from forebay.api import sqs as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.pages import decode_token, encode_token
from forebay.operations.service import operation
from forebay.services.sqs import limits
from forebay.services.sqs.address import arn_key, find_queue, load_queue, no_such_queue, queue_key, queue_url
from forebay.services.sqs.attributes import COUNTS, changed, check_readable, find_difference, is_fifo_wanted, shown
from forebay.services.sqs.errors import invalid_parameter, invalid_value, missing_parameter
from forebay.services.sqs.queue import (
    DELETED_QUEUE,
    QUEUE,
    QUEUE_NUMBER,
    DeletedQueue,
    Queue,
    QueueNumber,
    check_allows,
    check_name,
    check_unpurged,
    number_key,
)
from forebay.services.sqs.retention import retention_timer
from forebay.services.sqs.tags import check_tags
from forebay.store.commands import ChangeDelay, CountMessages, PurgeQueue, PutTimers
from forebay.store.records import key_prefix


@operation
def create_queue(call: Call, request: api.CreateQueueRequest) -> api.CreateQueueResult:
    """Create a queue, or return the one that has this name if the attributes and tags given are its own.

    Raises:
        QueueNameExists: the queue that has this name differs in an attribute that was given, or in its tags.
        QueueDeletedRecently: a queue of this name was deleted less than a minute ago.
    """
    name = request.queue_name
    if not name:
        raise missing_parameter("QueueName")
    attributes, tags = request.attributes or {}, request.tags or {}
    is_fifo = is_fifo_wanted(attributes)
    check_name(name, is_fifo=is_fifo)
    key, url = queue_key(call.account, call.region, name), queue_url(call, call.account, name)
    existing = call.records.find(QUEUE, key)
    if existing is not None:
        difference = find_difference(existing, changed(existing, attributes), attributes)
        if difference is not None:
            raise api.QueueNameExists(
                f"A queue already exists with the same name and a different value for attribute {difference}"
            )
        if tags and tags != existing.tags:
            # That AWS refuses this is recorded by its users; the text is not.
            raise api.QueueNameExists("A queue already exists with the same name and different tags")
        return api.CreateQueueResult(queue_url=url)
    _check_name_is_free(call, key)
    check_tags(name, tags)
    now = int(call.now)
    blank = Queue(
        number=0,
        account=call.account,
        region=call.region,
        name=name,
        created_at=now,
        modified_at=now,
        tags=tags,
        is_fifo=is_fifo,
    )
    queue = changed(blank, attributes)
    queue = msgspec.structs.replace(queue, number=call.records.next_number("sqs.queue"))
    _set_redrive(call, queue, attributes.get("RedrivePolicy"))
    call.records.put(QUEUE, key, queue)
    call.records.delete(DELETED_QUEUE, key)
    return api.CreateQueueResult(queue_url=url)


@operation(readonly=True)
def get_queue_url(call: Call, request: api.GetQueueUrlRequest) -> api.GetQueueUrlResult:
    """Return the URL of a queue by its name."""
    if not request.queue_name:
        raise missing_parameter("QueueName")
    account = request.queue_owner_aws_account_id or call.account
    if call.reader.find(QUEUE, queue_key(account, call.region, request.queue_name)) is None:
        raise no_such_queue()
    return api.GetQueueUrlResult(queue_url=queue_url(call, account, request.queue_name))


@operation(readonly=True)
def list_queues(call: Call, request: api.ListQueuesRequest) -> api.ListQueuesResult:
    """List the queues of the account and region by name; a page at a time where `MaxResults` is given."""
    limit = _page_size(request.max_results)
    prefix = request.queue_name_prefix or ""
    after = _after(request.next_token)
    if after and not after.startswith(prefix):
        raise invalid_parameter("Invalid or expired next token.")
    stem = key_prefix(call.account, call.region)
    found = call.reader.list(QUEUE, stem + prefix, after=stem + after if after else "", limit=limit + 1)
    names = [queue.name for _, queue in found]
    page, next_token = _page(names, limit, has_token=request.max_results is not None)
    return api.ListQueuesResult(
        queue_urls=[queue_url(call, call.account, name) for name in page] or None, next_token=next_token
    )


@operation
async def get_queue_attributes(call: Call, request: api.GetQueueAttributesRequest) -> api.GetQueueAttributesResult:
    """Return a queue's attributes as far as they are asked for; counts are exact."""
    names = request.attribute_names or []
    queue = await find_queue(call, request.queue_url)
    check_readable(queue, names)
    counts = None
    if "All" in names or not set(names).isdisjoint(COUNTS):
        counts = await call.run(CountMessages(queue.number, call.now_ms))
    texts = shown(queue, counts)
    if "All" not in names:
        texts = {name: texts[name] for name in names if name in texts}
    return api.GetQueueAttributesResult(attributes=texts or None)


@operation
def set_queue_attributes(call: Call, request: api.SetQueueAttributesRequest) -> None:
    """Change attributes of a queue; the ones that are not named keep their values."""
    key, queue = load_queue(call, request.queue_url)
    if not request.attributes:
        raise missing_parameter("Attribute.Name")
    queue = changed(queue, request.attributes)
    queue = msgspec.structs.replace(queue, modified_at=int(call.now))
    _set_redrive(call, queue, request.attributes.get("RedrivePolicy"))
    call.records.put(QUEUE, key, queue)
    if "MessageRetentionPeriod" in request.attributes:
        call.apply(PutTimers((retention_timer(queue, call.now_ms),)))
    if queue.is_fifo and "DelaySeconds" in request.attributes:
        # Of FIFO queues only, the delay also changes for messages that wait (developer guide, "Delay queues").
        call.apply(ChangeDelay(queue.number, queue.delay_seconds * 1000))


@operation
def purge_queue(call: Call, request: api.PurgeQueueRequest) -> None:
    """Delete all messages of a queue, in flight or not.

    Raises:
        PurgeQueueInProgress: the queue was purged less than a minute ago.
    """
    key, queue = load_queue(call, request.queue_url)
    check_unpurged(queue, call.now)
    call.apply(PurgeQueue(queue.number))
    call.records.put(QUEUE, key, msgspec.structs.replace(queue, purged_at=call.now))


@operation
def delete_queue(call: Call, request: api.DeleteQueueRequest) -> None:
    """Delete a queue and all its messages; its name is free again after a minute."""
    key, queue = load_queue(call, request.queue_url)
    call.records.delete(QUEUE, key)
    call.records.put(DELETED_QUEUE, key, DeletedQueue(call.now))
    known = call.records.find(QUEUE_NUMBER, number_key(queue.number))
    if known is not None:
        gone = msgspec.structs.replace(known, deleted_at=call.now)
        call.records.put(QUEUE_NUMBER, number_key(queue.number), gone)
    call.apply(PurgeQueue(queue.number))


@operation(readonly=True)
def list_dead_letter_source_queues(
    call: Call, request: api.ListDeadLetterSourceQueuesRequest
) -> api.ListDeadLetterSourceQueuesResult:
    """List the queues that have this one as their dead-letter queue."""
    _, queue = load_queue(call, request.queue_url)
    limit = _page_size(request.max_results)
    arn, after = queue.arn(), _after(request.next_token)
    stem = key_prefix(queue.account, queue.region)
    names = [
        source.name
        for _, source in call.reader.list(QUEUE, stem, after=stem + after if after else "")
        if source.redrive is not None and source.redrive.target == arn
    ]
    page, next_token = _page(names, limit, has_token=request.max_results is not None)
    urls = [queue_url(call, queue.account, name) for name in page]
    return api.ListDeadLetterSourceQueuesResult(queue_urls=urls, next_token=next_token)


def _check_name_is_free(call: Call, key: str) -> None:
    deleted = call.records.find(DELETED_QUEUE, key)
    if deleted is not None and call.now - deleted.deleted_at < limits.DELETED_NAME_SECONDS:
        raise api.QueueDeletedRecently(
            "You must wait 60 seconds after deleting a queue before you can create another with the same name."
        )


def _set_redrive(call: Call, queue: Queue, policy: str | None) -> None:
    """Check the dead-letter queue of a policy that was just given, and remember which ARN the number stands for."""
    if not policy or queue.redrive is None:
        return
    target = _find_dead_letter_queue(call, queue.redrive.target)
    if target is None or (target.account, target.region) != (queue.account, queue.region):
        raise invalid_value(policy, "RedrivePolicy", "Dead letter target does not exist.")
    if target.is_fifo != queue.is_fifo:
        raise invalid_value(policy, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source.")
    if target.name == queue.name:
        raise invalid_value(policy, "RedrivePolicy", "A queue cannot be its own dead-letter queue.")
    check_allows(target, queue.arn(), policy)
    call.records.put(QUEUE_NUMBER, number_key(queue.number), QueueNumber(queue.arn()))


def _find_dead_letter_queue(call: Call, target: str) -> Queue | None:
    try:
        arn = Arn.parse(target)
    except ValueError:
        return None
    return call.records.find(QUEUE, arn_key(arn)) if arn.service == "sqs" else None


def _page_size(max_results: int | None) -> int:
    if max_results is None:
        return limits.LIST_RESULTS_MAX
    if not 1 <= max_results <= limits.LIST_RESULTS_MAX:
        raise invalid_value(max_results, "MaxResults", "MaxResults must be an integer between 1 and 1000.")
    return max_results


def _after(token: str | None) -> str:
    if not token:
        return ""
    try:
        return decode_token(token)
    except ValueError:
        raise invalid_parameter("Invalid or expired next token.") from None


def _page(names: Sequence[str], limit: int, *, has_token: bool) -> tuple[Sequence[str], str | None]:
    """Return a page and the token of the next; AWS gives tokens only to those who ask for pages."""
    page = names[:limit]
    return page, encode_token(page[-1]) if has_token and len(names) > limit else None
