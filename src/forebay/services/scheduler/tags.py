"""Operations on the tags of schedule groups; schedules have none."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from forebay.api import scheduler as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.scheduler.group import GROUP, GroupAddress, ScheduleGroup, load_group


@operation
def tag_resource(call: Call, request: api.TagResourceInput) -> api.TagResourceOutput:
    """Set tags on a group; the others that it has stay."""
    group = load_group(call, GroupAddress.at(request.resource_arn))
    _keep(call, group, merge_tags(group.tags, request.tags))
    return api.TagResourceOutput()


@operation
def untag_resource(call: Call, request: api.UntagResourceInput) -> api.UntagResourceOutput:
    """Take tags from a group; keys that it does not have are skipped."""
    group = load_group(call, GroupAddress.at(request.resource_arn))
    _keep(call, group, {key: value for key, value in group.tags.items() if key not in request.tag_keys})
    return api.UntagResourceOutput()


@operation
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceInput) -> api.ListTagsForResourceOutput:
    """Return the tags of a group."""
    tags = load_group(call, GroupAddress.at(request.resource_arn)).tags
    return api.ListTagsForResourceOutput(tags=[api.Tag(key=key, value=value) for key, value in tags.items()])


def merge_tags(tags: Mapping[str, str], added: Iterable[api.Tag] | None) -> dict[str, str]:
    """Return tags with others set."""
    return {**tags, **{tag.key: tag.value for tag in added or ()}}


def _keep(call: Call, group: ScheduleGroup, tags: dict[str, str]) -> None:
    call.records.put(GROUP, group.address.key(), replace(group, tags=tags, modified_at=call.now))
