"""Operations on topics: create, delete, list, attributes, data protection."""

from msgspec.structs import replace

from forebay.api import sns as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sns import limits
from forebay.services.sns.archive import archive_stream
from forebay.services.sns.errors import invalid_parameter
from forebay.services.sns.message import format_time
from forebay.services.sns.pages import page
from forebay.services.sns.subscription import SUBSCRIPTION, check_takes_large, too_many_subscriptions
from forebay.services.sns.tags import merge_tags
from forebay.services.sns.topic import (
    TOPIC,
    Topic,
    TopicAddress,
    check_attribute,
    check_data_protection,
    check_name,
    check_new_attributes,
    load_topic,
)
from forebay.store.commands import DropLog
from forebay.store.records import key_prefix

_DAY_SECONDS = 86_400.0


@operation
def create_topic(call: Call, request: api.CreateTopicInput) -> api.CreateTopicResponse:
    """Create a topic, or return the one that has this name and does not differ in what the request says."""
    given = request.attributes or {}
    is_fifo = given.get("FifoTopic", "false").lower() == "true"
    check_name(request.name, is_fifo=is_fifo)
    attributes = check_new_attributes(given)
    tags = merge_tags({}, request.tags or ())
    check_data_protection(request.data_protection_policy or "")
    address = TopicAddress(call.account, call.region, request.name)
    existing = call.records.find(TOPIC, address.key())
    if existing is None:
        topic = Topic(
            address.account, address.region, address.name, attributes, tags, request.data_protection_policy or ""
        )
        call.records.put(TOPIC, address.key(), _with_archive(call, topic))
    else:
        _check_same(existing, attributes, tags if request.tags else None)
    return api.CreateTopicResponse(topic_arn=address.arn())


@operation
def delete_topic(call: Call, request: api.DeleteTopicInput) -> None:
    """Delete a topic and its subscriptions; one that is not there is no error."""
    key = TopicAddress.of(call, request.topic_arn).key()
    topic = call.records.find(TOPIC, key)
    if topic is not None and topic.archive is not None:
        # "You can't delete a topic with an active archive policy" (developer guide); AWS's text is not known.
        raise api.InvalidStateException("Cannot delete a topic with an ArchivePolicy")
    call.records.delete(TOPIC, key)
    for subscription_key, _ in call.records.list(SUBSCRIPTION, key_prefix(key)):
        call.records.delete(SUBSCRIPTION, subscription_key)


@operation(readonly=True)
def list_topics(call: Call, request: api.ListTopicsInput) -> api.ListTopicsResponse:
    """List the topics of the account and region by name."""
    topics = [topic for _, topic in call.reader.list(TOPIC, key_prefix(call.account, call.region))]
    shown, next_token = page(topics, lambda topic: topic.name, request.next_token)
    return api.ListTopicsResponse(
        topics=[api.Topic(topic_arn=topic.address().arn()) for topic in shown], next_token=next_token
    )


@operation(readonly=True)
def get_topic_attributes(call: Call, request: api.GetTopicAttributesInput) -> api.GetTopicAttributesResponse:
    """Return a topic's attributes, those with AWS's defaults among them, and how many subscriptions it has."""
    address = TopicAddress.of(call, request.topic_arn)
    topic = load_topic(call, address)
    subscriptions = [one for _, one in call.reader.list(SUBSCRIPTION, key_prefix(address.key()))]
    pending = sum(one.is_pending for one in subscriptions)
    counts = {
        "SubscriptionsConfirmed": str(len(subscriptions) - pending),
        "SubscriptionsDeleted": str(topic.deleted_subscriptions),
        "SubscriptionsPending": str(pending),
    }
    shown = {**topic.shown(), **counts}
    if topic.archive is not None:
        oldest = max(topic.archived_since, call.now - topic.archive_days * _DAY_SECONDS)
        shown["BeginningArchiveTime"] = format_time(oldest)
    return api.GetTopicAttributesResponse(attributes=shown)


@operation
def set_topic_attributes(call: Call, request: api.SetTopicAttributesInput) -> None:
    """Change one attribute of a topic; an empty value brings AWS's default back."""
    topic = load_topic(call, TopicAddress.of(call, request.topic_arn))
    name = request.attribute_name
    kept = check_attribute(name, request.attribute_value or "", is_fifo=topic.is_fifo)
    others = {known: value for known, value in topic.attributes.items() if known != name}
    topic = _with_archive(call, replace(topic, attributes={**others, **kept}))
    if topic.message_bytes_max > limits.MESSAGE_BYTES_DEFAULT:
        _check_large(call, topic)
    call.records.put(TOPIC, topic.address().key(), topic)


@operation
def put_data_protection_policy(call: Call, request: api.PutDataProtectionPolicyInput) -> None:
    """Keep a topic's data protection policy; it is shown, and has no effect on messages."""
    topic = load_topic(call, TopicAddress.of(call, request.resource_arn, "ResourceArn"))
    check_data_protection(request.data_protection_policy)
    call.records.put(TOPIC, topic.address().key(), replace(topic, data_protection=request.data_protection_policy))


@operation(readonly=True)
def get_data_protection_policy(
    call: Call, request: api.GetDataProtectionPolicyInput
) -> api.GetDataProtectionPolicyResponse:
    """Return a topic's data protection policy, empty where none was put."""
    topic = load_topic(call, TopicAddress.of(call, request.resource_arn, "ResourceArn"))
    return api.GetDataProtectionPolicyResponse(data_protection_policy=topic.data_protection)


def _with_archive(call: Call, topic: Topic) -> Topic:
    """Return a topic with an archive if its policy wants one; one that it wants no more goes with its messages."""
    if topic.archive_days and topic.archive is None:
        return replace(topic, archive=call.ids.uuid(), archived_since=call.now)
    if not topic.archive_days and topic.archive is not None:
        call.apply(DropLog(archive_stream(topic.archive)))
        return replace(topic, archive=None)
    return topic


def _check_large(call: Call, topic: Topic) -> None:
    """Check that a topic whose messages may be above 256 KiB has only subscriptions that take such messages."""
    subscriptions = [one for _, one in call.records.list(SUBSCRIPTION, key_prefix(topic.address().key()))]
    for one in subscriptions:
        check_takes_large(one.protocol)
    if len(subscriptions) > limits.LARGE_SUBSCRIPTIONS_MAX:
        raise too_many_subscriptions()


def _check_same(topic: Topic, attributes: dict[str, str], tags: dict[str, str] | None) -> None:
    """Check that a topic is what CreateTopic asks for; what the request does not name may be as it is."""
    if any(topic.shown().get(name) != value for name, value in attributes.items()):
        raise invalid_parameter("Attributes Reason: Topic already exists with different attributes")
    if tags is not None and tags != topic.tags:
        raise invalid_parameter("Tags Reason: Topic already exists with different tags")
