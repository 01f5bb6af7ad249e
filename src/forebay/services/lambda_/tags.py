"""Operations on tags of functions and event source mappings."""

from collections.abc import Mapping

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import address_of
from forebay.services.lambda_.errors import function_not_found, invalid, not_found, not_implemented
from forebay.services.lambda_.function import FUNCTION, Function
from forebay.services.lambda_.mapping import MAPPING
from forebay.services.lambda_.mapping import Mapping as EventSourceMapping
from forebay.store.records import record_key

_Tagged = Function | EventSourceMapping


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> None:
    """Add tags to a resource, or replace the values of those it has."""
    tagged = _load(call, request.resource)
    tags = {**tagged.tags, **request.tags}
    check_tags(tags)
    _put(call, tagged, tags)


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> None:
    """Remove tags from a resource; those that it does not have are skipped."""
    tagged = _load(call, request.resource)
    _put(call, tagged, {name: value for name, value in tagged.tags.items() if name not in request.tag_keys})


@operation(readonly=True)
def list_tags(call: Call, request: api.ListTagsRequest) -> api.ListTagsResponse:
    """Return a resource's tags."""
    return api.ListTagsResponse(tags=_load(call, request.resource).tags)


def check_tags(tags: Mapping[str, str]) -> None:
    """Check all tags that a resource is to have.

    Raises:
        InvalidParameterValueException: there are too many.
    """
    if len(tags) > limits.TAGS_MAX:
        raise invalid(f"Number of tags exceeds resource tag limit of {limits.TAGS_MAX}.")


def _load(call: Call, resource: str) -> _Tagged:
    arn = Arn.parse(resource)
    kind, _, name = arn.resource.partition(":")
    if kind == "event-source-mapping":
        mapping = call.reader.find(MAPPING, record_key(arn.account, arn.region, name))
        if mapping is None:
            raise not_found("The resource you requested does not exist.")
        return mapping
    address = address_of(resource)
    if address is None:
        raise not_implemented(f"Tags of {kind} resources are not implemented by Forebay.")
    if address.qualifier is not None:
        raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    function = call.reader.find(FUNCTION, address.key)
    if function is None or (address.account, address.region) != (call.account, call.region):
        raise function_not_found(resource)
    return function


def _put(call: Call, tagged: _Tagged, tags: dict[str, str]) -> None:
    if isinstance(tagged, Function):
        call.records.put(FUNCTION, tagged.key, msgspec.structs.replace(tagged, tags=tags))
    else:
        call.records.put(MAPPING, tagged.key, msgspec.structs.replace(tagged, tags=tags))
