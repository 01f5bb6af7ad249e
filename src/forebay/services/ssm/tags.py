"""Operations on the tags of parameters, the only resources here that have any."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from forebay.api import ssm as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.ssm import limits
from forebay.services.ssm.parameter import Parameter, find_parameter, put_parameter_record


@operation
def add_tags_to_resource(call: Call, request: api.AddTagsToResourceRequest) -> api.AddTagsToResourceResult:
    """Set tags of a parameter."""
    parameter = _load(call, request.resource_type, request.resource_id)
    put_parameter_record(call, replace(parameter, tags=merged_tags(parameter.tags, request.tags)))
    return api.AddTagsToResourceResult()


@operation
def remove_tags_from_resource(
    call: Call, request: api.RemoveTagsFromResourceRequest
) -> api.RemoveTagsFromResourceResult:
    """Remove tags of a parameter."""
    parameter = _load(call, request.resource_type, request.resource_id)
    tags = {key: value for key, value in parameter.tags.items() if key not in request.tag_keys}
    put_parameter_record(call, replace(parameter, tags=tags))
    return api.RemoveTagsFromResourceResult()


@operation(readonly=True)
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceRequest) -> api.ListTagsForResourceResult:
    """Return a parameter's tags."""
    parameter = _load(call, request.resource_type, request.resource_id)
    return api.ListTagsForResourceResult(
        tag_list=[api.Tag(key=key, value=value) for key, value in parameter.tags.items()]
    )


def merged_tags(tags: Mapping[str, str], given: Sequence[api.Tag] | None) -> Mapping[str, str]:
    """Return tags with more of them set.

    Raises:
        TooManyTagsError: there are too many.
    """
    merged = {**tags, **{tag.key: tag.value for tag in given or ()}}
    if len(merged) > limits.TAGS_MAX:
        raise api.TooManyTagsError
    return merged


def _load(call: Call, resource_type: str, resource_id: str) -> Parameter:
    if resource_type != "Parameter":
        raise api.InvalidResourceType
    parameter = find_parameter(call, resource_id)
    if parameter is None:
        raise api.InvalidResourceId
    return parameter
