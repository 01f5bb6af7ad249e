"""Operations on the tags of pipes."""

from msgspec.structs import replace

from forebay.api import pipes as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.pipes.pipe import PIPE, load_pipe_at


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> api.TagResourceResponse:
    """Set tags on a pipe; the others that it has stay."""
    pipe = load_pipe_at(call, request.resource_arn)
    call.records.put(PIPE, pipe.key(), replace(pipe, tags={**pipe.tags, **request.tags}))
    return api.TagResourceResponse()


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> api.UntagResourceResponse:
    """Take tags from a pipe; keys that it does not have are skipped."""
    pipe = load_pipe_at(call, request.resource_arn)
    kept = {key: value for key, value in pipe.tags.items() if key not in request.tag_keys}
    call.records.put(PIPE, pipe.key(), replace(pipe, tags=kept))
    return api.UntagResourceResponse()


@operation(readonly=True)
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceRequest) -> api.ListTagsForResourceResponse:
    """Return the tags of a pipe."""
    return api.ListTagsForResourceResponse(tags=load_pipe_at(call, request.resource_arn).tags)
