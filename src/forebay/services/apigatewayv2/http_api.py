"""What is kept of an HTTP API and of what belongs to it: kinds of records, their keys, and how they are found.

The entities are the model's own shapes. A deployment keeps a copy of all that was deployed, so that requests see
nothing of a change before the next one.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.errors import bad_request, invalid_identifier
from forebay.store.records import Kind, key_parts, key_prefix, record_key

T = TypeVar("T")


class Deployed(msgspec.Struct, frozen=True):
    """One deployment: how it is shown, and what it deployed."""

    shown: api.Deployment
    routes: list[api.Route] = []
    integrations: list[api.Integration] = []
    authorizers: list[api.Authorizer] = []
    cors: api.Cors | None = None


API = Kind("apigatewayv2.api", api.Api)
ROUTE = Kind("apigatewayv2.route", api.Route)
INTEGRATION = Kind("apigatewayv2.integration", api.Integration)
AUTHORIZER = Kind("apigatewayv2.authorizer", api.Authorizer)
MODEL = Kind("apigatewayv2.model", api.Model)
STAGE = Kind("apigatewayv2.stage", api.Stage)
DEPLOYMENT = Kind("apigatewayv2.deployment", Deployed)
DOMAIN_NAME = Kind("apigatewayv2.domain_name", api.DomainName)
API_MAPPING = Kind("apigatewayv2.api_mapping", api.ApiMapping)
VPC_LINK = Kind("apigatewayv2.vpc_link", api.VpcLink)

CHILDREN = (ROUTE, INTEGRATION, AUTHORIZER, MODEL, STAGE, DEPLOYMENT)


def api_key(call: Call, api_id: str) -> str:
    """Return the key of an API's record; its children's keys go on from it."""
    return record_key(call.account, call.region, api_id)


def child_key(call: Call, api_id: str, child_id: str) -> str:
    """Return the key of something that belongs to an API, or an API mapping to its domain name."""
    return record_key(call.account, call.region, api_id, child_id)


def load_api(call: Call, api_id: str) -> api.Api:
    """Return an API.

    Raises:
        NotFoundException: there is no such API.
    """
    found = call.reader.find(API, api_key(call, api_id))
    if found is None:
        raise api.NotFoundException(f"Invalid API identifier specified {call.account}:{api_id}")
    return found


def load_child(call: Call, kind: Kind[T], api_id: str, child_id: str, noun: str) -> T:
    """Return something that belongs to an API.

    Raises:
        NotFoundException: there is no such API, or it has nothing of that id.
    """
    load_api(call, api_id)
    found = call.reader.find(kind, child_key(call, api_id, child_id))
    if found is None:
        raise invalid_identifier(noun)
    return found


def list_children(call: Call, kind: Kind[T], parent_id: str) -> list[T]:
    """Return all things of a kind that belong to an API (or to a domain name), by their ids."""
    return [value for _, value in call.reader.list(kind, key_prefix(call.account, call.region, parent_id))]


def page_children(
    call: Call, kind: Kind[T], parent: Sequence[str], token: str | None, max_results: str | None
) -> tuple[list[T], str | None]:
    """Return a page of what lies below `parent` (ids that follow account and region) and the next page's token."""
    limit = page_limit(max_results)
    found = call.reader.list(kind, key_prefix(call.account, call.region, *parent))
    try:
        page, next_token = page_of(found, lambda item: key_parts(item[0])[-1], token, limit)
    except ValueError:
        raise bad_request("Invalid nextToken specified") from None
    return [value for _, value in page], next_token


def page_limit(max_results: str | None) -> int:
    """Return how many items a page has.

    Raises:
        BadRequestException: it is no number that AWS takes.
    """
    if max_results is None:
        return limits.PAGE_ITEMS_MAX
    if not max_results.isascii() or not max_results.isdecimal() or not 1 <= int(max_results) <= limits.PAGE_ITEMS_MAX:
        raise bad_request("Invalid value for maxResults specified")
    return int(max_results)


def delete_children(call: Call, api_id: str, kinds: Sequence[Kind[Any]]) -> None:
    """Delete everything of the given kinds that belongs to an API."""
    for kind in kinds:
        for key, _ in call.reader.list(kind, key_prefix(call.account, call.region, api_id)):
            call.records.delete(kind, key)
