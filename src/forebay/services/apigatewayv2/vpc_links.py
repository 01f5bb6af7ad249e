"""Operations on VPC links: kept and shown. There is no VPC, so integrations through them are refused."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.errors import bad_request, invalid_identifier
from forebay.services.apigatewayv2.http_api import VPC_LINK, api_key, page_children
from forebay.services.apigatewayv2.member import copied
from forebay.services.apigatewayv2.tags import check_tags


@operation
def create_vpc_link(call: Call, request: api.CreateVpcLinkRequest) -> api.CreateVpcLinkResponse:
    """Create a VPC link."""
    _check_name(request.name)
    if not request.subnet_ids:
        raise bad_request("At least one subnet id must be specified")
    check_tags(request.tags)
    link = copied(
        api.VpcLink,
        request,
        vpc_link_id=call.ids.token(limits.CHILD_ID_CHARACTERS),
        security_group_ids=request.security_group_ids or [],
        created_date=call.now,
        vpc_link_status="AVAILABLE",
        vpc_link_status_message="VPC link is ready to route traffic",
        vpc_link_version="V2",
    )
    call.records.put(VPC_LINK, api_key(call, link.vpc_link_id), link)
    return copied(api.CreateVpcLinkResponse, link)


@operation(readonly=True)
def get_vpc_link(call: Call, request: api.GetVpcLinkRequest) -> api.GetVpcLinkResponse:
    """Return a VPC link."""
    return copied(api.GetVpcLinkResponse, _load(call, request.vpc_link_id))


@operation(readonly=True)
def get_vpc_links(call: Call, request: api.GetVpcLinksRequest) -> api.GetVpcLinksResponse:
    """List the VPC links of the account and region."""
    page, token = page_children(call, VPC_LINK, (), request.next_token, request.max_results)
    return api.GetVpcLinksResponse(items=page, next_token=token)


@operation
def update_vpc_link(call: Call, request: api.UpdateVpcLinkRequest) -> api.UpdateVpcLinkResponse:
    """Change a VPC link's name."""
    link = _load(call, request.vpc_link_id)
    if request.name is not None:
        _check_name(request.name)
        link = msgspec.structs.replace(link, name=request.name)
        call.records.put(VPC_LINK, api_key(call, request.vpc_link_id), link)
    return copied(api.UpdateVpcLinkResponse, link)


@operation
def delete_vpc_link(call: Call, request: api.DeleteVpcLinkRequest) -> api.DeleteVpcLinkResponse:
    """Delete a VPC link."""
    _load(call, request.vpc_link_id)
    call.records.delete(VPC_LINK, api_key(call, request.vpc_link_id))
    return api.DeleteVpcLinkResponse()


def _load(call: Call, link_id: str) -> api.VpcLink:
    found = call.reader.find(VPC_LINK, api_key(call, link_id))
    if found is None:
        raise invalid_identifier("VpcLink")
    return found


def _check_name(name: str) -> None:
    if not name or len(name) > limits.NAME_CHARACTERS_MAX:
        raise bad_request("Invalid VPC link name specified: it must have 1 to 128 characters")
