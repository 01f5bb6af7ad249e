"""Operations on custom domain names: kept, shown, and answered by host name as far as API mappings lead from them."""

import re

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2.errors import bad_request, not_implemented
from forebay.services.apigatewayv2.http_api import (
    API_MAPPING,
    DOMAIN_NAME,
    api_key,
    delete_children,
    page_children,
)
from forebay.services.apigatewayv2.member import changed, copied
from forebay.services.apigatewayv2.tags import check_tags
from forebay.store.records import key_parts

_NAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.IGNORECASE)
_NAME_CHARACTERS_MAX = 512
# The zone of API Gateway's regional endpoints in us-east-1; templates pass it on to Route 53, which is not here.
_HOSTED_ZONE = "Z1UJRXOUMOOFQ8"


@operation
def create_domain_name(call: Call, request: api.CreateDomainNameRequest) -> api.CreateDomainNameResponse:
    """Create a domain name. Its certificate is kept and shown; TLS is the node's own."""
    _check(call, request.domain_name)
    if call.reader.find(DOMAIN_NAME, api_key(call, request.domain_name)) is not None:
        raise bad_request("The domain name you provided already exists.")
    check_tags(request.tags)
    made = put_domain_name(call, copied(api.DomainName, request, mutual_tls_authentication=_trust(request)))
    return copied(api.CreateDomainNameResponse, made)


@operation(readonly=True)
def get_domain_name(call: Call, request: api.GetDomainNameRequest) -> api.GetDomainNameResponse:
    """Return a domain name."""
    return copied(api.GetDomainNameResponse, load_domain_name(call, request.domain_name))


@operation(readonly=True)
def get_domain_names(call: Call, request: api.GetDomainNamesRequest) -> api.GetDomainNamesResponse:
    """List the domain names of the account and region."""
    page, token = page_children(call, DOMAIN_NAME, (), request.next_token, request.max_results)
    return api.GetDomainNamesResponse(items=page, next_token=token)


@operation
def update_domain_name(call: Call, request: api.UpdateDomainNameRequest) -> api.UpdateDomainNameResponse:
    """Change what is given."""
    existing = load_domain_name(call, request.domain_name)
    fixed = ("domain_name", "mutual_tls_authentication")
    updated = changed(existing, request, fixed=fixed)
    if request.mutual_tls_authentication is not None:
        updated = msgspec.structs.replace(updated, mutual_tls_authentication=_trust(request))
    return copied(api.UpdateDomainNameResponse, put_domain_name(call, updated))


@operation
def delete_domain_name(call: Call, request: api.DeleteDomainNameRequest) -> None:
    """Delete a domain name and its API mappings."""
    load_domain_name(call, request.domain_name)
    delete_children(call, request.domain_name, (API_MAPPING,))
    call.records.delete(DOMAIN_NAME, api_key(call, request.domain_name))


def load_domain_name(call: Call, name: str) -> api.DomainName:
    """Return a domain name.

    Raises:
        NotFoundException: there is none of that name.
    """
    found = call.reader.find(DOMAIN_NAME, api_key(call, name))
    if found is None:
        raise api.NotFoundException("Invalid domain name identifier specified")
    return found


def ensure_domain_name(call: Call, name: str) -> None:
    """Create a domain name that is not there yet, without a certificate.

    AWS answers that there is none. Here a template whose domain name was made elsewhere, by hand, deploys and is
    reached by that name in the Host header.
    """
    if call.reader.find(DOMAIN_NAME, api_key(call, name)) is None:
        _check(call, name)
        put_domain_name(call, api.DomainName(domain_name=name))


def put_domain_name(call: Call, draft: api.DomainName) -> api.DomainName:
    """Keep a domain name; gives it its defaults."""
    given = draft.domain_name_configurations or [api.DomainNameConfiguration()]
    target = f"d-{call.ids.token(10)}.execute-api.{call.region}.amazonaws.com"
    configurations = [
        msgspec.structs.replace(
            item,
            api_gateway_domain_name=item.api_gateway_domain_name or target,
            domain_name_status="AVAILABLE",
            endpoint_type=item.endpoint_type or "REGIONAL",
            hosted_zone_id=item.hosted_zone_id or _HOSTED_ZONE,
            ip_address_type=item.ip_address_type or "ipv4",
            security_policy=item.security_policy or "TLS_1_2",
        )
        for item in given
    ]
    made = msgspec.structs.replace(
        draft,
        api_mapping_selection_expression="$request.basepath",
        domain_name_arn=f"arn:aws:apigateway:{call.region}::/domainnames/{draft.domain_name}",
        domain_name_configurations=configurations,
        routing_mode=draft.routing_mode or "API_MAPPING_ONLY",
    )
    if made.routing_mode != "API_MAPPING_ONLY":
        raise not_implemented("Routing rules are not implemented by Forebay: RoutingMode must be API_MAPPING_ONLY.")
    call.records.put(DOMAIN_NAME, api_key(call, made.domain_name), made)
    return made


def _check(call: Call, name: str) -> None:
    if len(name) > _NAME_CHARACTERS_MAX or _NAME.fullmatch(name) is None or name.startswith("*."):
        raise bad_request(f"Invalid domain name specified: {name}")
    # A host name leads to one place of this node, whichever account and region it was given in.
    for key, _ in call.reader.list(DOMAIN_NAME):
        if key_parts(key)[-1] == name and key != api_key(call, name):
            raise bad_request("The domain name you provided already exists.")


def _trust(request: api.CreateDomainNameRequest | api.UpdateDomainNameRequest) -> api.MutualTlsAuthentication | None:
    given = request.mutual_tls_authentication
    if given is None or not given.truststore_uri:
        return None
    raise not_implemented("Mutual TLS is not implemented by Forebay: no client's certificate would be checked.")
