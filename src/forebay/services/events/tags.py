"""Operations on the tags of buses and rules."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events import limits
from forebay.services.events.bus import BUS, DEFAULT, BusAddress, EventBus, load_bus
from forebay.services.events.errors import malformed_arn, validation_error
from forebay.services.events.rule import RULE, Rule, load_rule
from forebay.services.events.throttle import check_tags


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> api.TagResourceResponse:
    """Set tags on a bus or rule; the others that it has stay."""
    resource = _load(call, request.resource_arn)
    _keep(call, resource, merge_tags(resource.tags, request.tags))
    return api.TagResourceResponse()


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> api.UntagResourceResponse:
    """Take tags from a bus or rule; keys that it does not have are skipped."""
    resource = _load(call, request.resource_arn)
    _keep(call, resource, {key: value for key, value in resource.tags.items() if key not in request.tag_keys})
    return api.UntagResourceResponse()


@operation(readonly=True)
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceRequest) -> api.ListTagsForResourceResponse:
    """Return the tags of a bus or rule."""
    tags = _load(call, request.resource_arn).tags
    return api.ListTagsForResourceResponse(tags=[api.Tag(key=key, value=value) for key, value in tags.items()])


def merge_tags(tags: Mapping[str, str], added: Iterable[api.Tag] | None) -> dict[str, str]:
    """Return tags with others set.

    Raises:
        ValidationException: there are more than AWS allows, or a key that AWS keeps for itself.
    """
    merged = {**tags, **{tag.key: tag.value for tag in added or ()}}
    if len(merged) > limits.TAGS_MAX:
        raise validation_error("The resource exceeds the maximum number of tags allowed.")
    if any(key.startswith("aws:") for key in merged):
        raise validation_error("Tag keys that start with aws: are reserved for system use.")
    check_tags(merged)
    return merged


def _load(call: Call, text: str) -> EventBus | Rule:
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise malformed_arn(text) from None
    kind, _, rest = arn.resource.partition("/")
    if kind == "event-bus":
        return load_bus(call, BusAddress(arn.account, arn.region, rest))
    if kind != "rule":
        raise malformed_arn(text)
    # Names of rules have no slash, those of partner buses may.
    bus, _, name = rest.rpartition("/")
    return load_rule(call, BusAddress(arn.account, arn.region, bus or DEFAULT), name)


def _keep(call: Call, resource: EventBus | Rule, tags: dict[str, str]) -> None:
    if isinstance(resource, Rule):
        call.records.put(RULE, resource.key(), replace(resource, tags=tags))
    else:
        call.records.put(BUS, resource.address().key(), replace(resource, tags=tags))
