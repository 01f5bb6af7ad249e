"""Operations on the tags of topics."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from forebay.api import sns as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sns import limits
from forebay.services.sns.errors import broken_constraint, invalid_parameter
from forebay.services.sns.topic import TOPIC, Topic, TopicAddress


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> api.TagResourceResponse:
    """Set tags on a topic; the others that it has stay."""
    topic = _load(call, request.resource_arn)
    _keep(call, topic, merge_tags(topic.tags, request.tags))
    return api.TagResourceResponse()


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> api.UntagResourceResponse:
    """Take tags from a topic; keys that it does not have are skipped."""
    topic = _load(call, request.resource_arn)
    _keep(call, topic, {key: value for key, value in topic.tags.items() if key not in request.tag_keys})
    return api.UntagResourceResponse()


@operation(readonly=True)
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceRequest) -> api.ListTagsForResourceResponse:
    """Return the tags of a topic."""
    tags = _load(call, request.resource_arn).tags
    return api.ListTagsForResourceResponse(tags=[api.Tag(key=key, value=value) for key, value in tags.items()])


def merge_tags(tags: Mapping[str, str], added: Iterable[api.Tag]) -> dict[str, str]:
    """Return tags with others set.

    Raises:
        ValidationError: a key or value is too short or too long.
        InvalidParameter: a key is given twice.
        TagLimitExceeded: there are more than AWS allows.
    """
    given = list(added)
    for place, tag in enumerate(given, 1):
        _check_tag(tag, f"tags.{place}.member")
    if len({tag.key for tag in given}) < len(given):
        raise invalid_parameter("Duplicated keys are not allowed.")
    merged = {**tags, **{tag.key: tag.value for tag in given}}
    if len(merged) > limits.TAGS_MAX:
        raise api.TagLimitExceededException("Could not complete request: tag quota of per resource exceeded")
    return merged


def _check_tag(tag: api.Tag, path: str) -> None:
    if not tag.key:
        raise broken_constraint(f"{path}.key", tag.key, "Member must have length greater than or equal to 1")
    lengths = (("key", tag.key, limits.TAG_KEY_CHARACTERS_MAX), ("value", tag.value, limits.TAG_VALUE_CHARACTERS_MAX))
    for member, text, length_max in lengths:
        if len(text) > length_max:
            constraint = f"Member must have length less than or equal to {length_max}"
            raise broken_constraint(f"{path}.{member}", text, constraint)


def _load(call: Call, arn: str) -> Topic:
    topic = call.reader.find(TOPIC, TopicAddress.of(call, arn, "ResourceArn").key())
    if topic is None:
        raise api.ResourceNotFoundException("Resource does not exist")
    return topic


def _keep(call: Call, topic: Topic, tags: dict[str, str]) -> None:
    call.records.put(TOPIC, topic.address().key(), replace(topic, tags=tags))
