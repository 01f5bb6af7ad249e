"""Operations on tags of APIs, stages, domain names and VPC links."""

import re
from collections.abc import Mapping

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2.errors import bad_request, invalid_identifier
from forebay.services.apigatewayv2.http_api import API, DOMAIN_NAME, STAGE, VPC_LINK, api_key, child_key
from forebay.store.records import Kind

_TAGS_MAX = 50
_KEY_CHARACTERS_MAX = 128
_VALUE_CHARACTERS_MAX = 256
_RESOURCE = re.compile(
    r"arn:[\w-]+:apigateway:[\w-]+::/(?:v2/)?(apis|domainnames|vpclinks)/([^/]+)(?:/stages/([^/]+))?"
)
_KINDS = {"apis": API, "domainnames": DOMAIN_NAME, "vpclinks": VPC_LINK}

Tagged = api.Api | api.Stage | api.DomainName | api.VpcLink


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> api.TagResourceResponse:
    """Set tags; the ones that are not named keep their values."""
    kind, key, tagged = _load(call, request.resource_arn)
    _put(call, kind, key, tagged, {**(tagged.tags or {}), **(request.tags or {})})
    return api.TagResourceResponse()


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> None:
    """Take tags away; those that are not there are skipped."""
    kind, key, tagged = _load(call, request.resource_arn)
    _put(call, kind, key, tagged, {k: v for k, v in (tagged.tags or {}).items() if k not in request.tag_keys})


@operation(readonly=True)
def get_tags(call: Call, request: api.GetTagsRequest) -> api.GetTagsResponse:
    """Return the tags of a resource."""
    return api.GetTagsResponse(tags=_load(call, request.resource_arn)[2].tags or {})


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Check the tags of a resource.

    Raises:
        BadRequestException: there are too many, or one is too long.
    """
    if tags is None:
        return
    if len(tags) > _TAGS_MAX:
        raise bad_request("A resource can have at most 50 tags")
    for key, value in tags.items():
        if not 0 < len(key) <= _KEY_CHARACTERS_MAX or key.startswith("aws:") or len(value) > _VALUE_CHARACTERS_MAX:
            raise bad_request(f"Invalid tag {key} specified")


def _load(call: Call, arn: str) -> tuple[Kind[Tagged], str, Tagged]:
    match = _RESOURCE.fullmatch(arn)
    if match is None or (match[3] and match[1] != "apis"):
        raise bad_request("Invalid resource ARN specified")
    kind: Kind[Tagged] = STAGE if match[3] else _KINDS[match[1]]  # pyright: ignore[reportAssignmentType] - read only
    key = child_key(call, match[2], match[3]) if match[3] else api_key(call, match[2])
    tagged = call.reader.find(kind, key)
    if tagged is None:
        raise invalid_identifier("Resource")
    return kind, key, tagged


def _put(call: Call, kind: Kind[Tagged], key: str, tagged: Tagged, tags: dict[str, str]) -> None:
    check_tags(tags)
    call.records.put(kind, key, msgspec.structs.replace(tagged, tags=tags or None))
