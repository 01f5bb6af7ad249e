"""Operations on API mappings: which stage of which API answers a path below a custom domain name."""

import re

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.domain_names import ensure_domain_name, load_domain_name
from forebay.services.apigatewayv2.errors import bad_request, invalid_identifier
from forebay.services.apigatewayv2.http_api import (
    API_MAPPING,
    STAGE,
    child_key,
    list_children,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.member import changed, copied

_KEY = re.compile(r"[A-Za-z0-9$\-_.+!*'()]+(/[A-Za-z0-9$\-_.+!*'()]+)*")
_KEY_CHARACTERS_MAX = 300


@operation
def create_api_mapping(call: Call, request: api.CreateApiMappingRequest) -> api.CreateApiMappingResponse:
    """Map a path below a domain name to a stage; a domain name that is not there yet is made (see `domain_names`)."""
    ensure_domain_name(call, request.domain_name)
    mapping = copied(api.ApiMapping, request, api_mapping_id=call.ids.token(limits.CHILD_ID_CHARACTERS))
    return copied(api.CreateApiMappingResponse, _put(call, request.domain_name, mapping))


@operation(readonly=True)
def get_api_mapping(call: Call, request: api.GetApiMappingRequest) -> api.GetApiMappingResponse:
    """Return an API mapping."""
    return copied(api.GetApiMappingResponse, _load(call, request.domain_name, request.api_mapping_id))


@operation(readonly=True)
def get_api_mappings(call: Call, request: api.GetApiMappingsRequest) -> api.GetApiMappingsResponse:
    """List the API mappings of a domain name."""
    load_domain_name(call, request.domain_name)
    page, token = page_children(call, API_MAPPING, (request.domain_name,), request.next_token, request.max_results)
    return api.GetApiMappingsResponse(items=page, next_token=token)


@operation
def update_api_mapping(call: Call, request: api.UpdateApiMappingRequest) -> api.UpdateApiMappingResponse:
    """Change what is given; an empty key stands for the whole domain name."""
    existing = _load(call, request.domain_name, request.api_mapping_id)
    mapping = changed(existing, request, fixed=("api_mapping_id", "stage"))
    mapping = msgspec.structs.replace(mapping, stage=request.stage or existing.stage)
    return copied(api.UpdateApiMappingResponse, _put(call, request.domain_name, mapping))


@operation
def delete_api_mapping(call: Call, request: api.DeleteApiMappingRequest) -> None:
    """Delete an API mapping."""
    _load(call, request.domain_name, request.api_mapping_id)
    call.records.delete(API_MAPPING, child_key(call, request.domain_name, request.api_mapping_id))


def _put(call: Call, domain_name: str, mapping: api.ApiMapping) -> api.ApiMapping:
    key = mapping.api_mapping_key or ""
    if key and (len(key) > _KEY_CHARACTERS_MAX or _KEY.fullmatch(key) is None):
        raise bad_request("Invalid API mapping key specified")
    load_child(call, STAGE, mapping.api_id, mapping.stage, "Stage")
    for other in list_children(call, API_MAPPING, domain_name):
        if (other.api_mapping_key or "") == key and other.api_mapping_id != mapping.api_mapping_id:
            raise api.ConflictException("ApiMapping key already exists for this domain name")
    mapping = msgspec.structs.replace(mapping, api_mapping_key=key)
    call.records.put(API_MAPPING, child_key(call, domain_name, mapping.api_mapping_id or ""), mapping)
    return mapping


def _load(call: Call, domain_name: str, mapping_id: str) -> api.ApiMapping:
    load_domain_name(call, domain_name)
    found = call.reader.find(API_MAPPING, child_key(call, domain_name, mapping_id))
    if found is None:
        raise invalid_identifier("ApiMapping")
    return found
