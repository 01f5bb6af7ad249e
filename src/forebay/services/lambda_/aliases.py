"""Operations on aliases."""

import msgspec

from forebay.api import lambda_ as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_.address import FunctionAddress, load_function, load_number, parse_unqualified
from forebay.services.lambda_.alias import ALIAS, Alias, alias_key, check_weights
from forebay.services.lambda_.errors import check_revision, conflict, not_found
from forebay.services.lambda_.function import Function
from forebay.services.lambda_.function_url import drop_urls
from forebay.services.lambda_.invoke_config import INVOKE_CONFIG
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.policy import POLICY
from forebay.store.records import key_prefix, record_key


@operation
def create_alias(call: Call, request: api.CreateAliasRequest) -> api.AliasConfiguration:
    """Give a version a name."""
    address = parse_unqualified(call, request.function_name)
    function = load_function(call, address)
    key = alias_key(address.key, request.name)
    if call.records.find(ALIAS, key) is not None:
        raise conflict(f"Alias already exists: {address.function_arn}:{request.name}")
    alias = Alias(
        name=request.name,
        function_arn=address.function_arn,
        version=request.function_version,
        description=request.description or "",
        weights=_weights(request.routing_config) or {},
        revision=call.ids.uuid(),
    )
    _check(call, address, function, alias)
    call.records.put(ALIAS, key, alias)
    return alias.show()


@operation(readonly=True)
def get_alias(call: Call, request: api.GetAliasRequest) -> api.AliasConfiguration:
    """Return an alias."""
    address = parse_unqualified(call, request.function_name)
    return _load(call, address, request.name).show()


@operation(readonly=True)
def list_aliases(call: Call, request: api.ListAliasesRequest) -> api.ListAliasesResponse:
    """List a function's aliases by name, all of them or those of one version."""
    address = parse_unqualified(call, request.function_name)
    load_function(call, address)
    aliases = [alias for _, alias in call.reader.list(ALIAS, key_prefix(address.key))]
    if request.function_version:
        aliases = [alias for alias in aliases if alias.version == request.function_version]
    items, marker = page(aliases, lambda alias: alias.name, request.marker, request.max_items)
    return api.ListAliasesResponse(aliases=[alias.show() for alias in items], next_marker=marker)


@operation
def update_alias(call: Call, request: api.UpdateAliasRequest) -> api.AliasConfiguration:
    """Change an alias; what is not given keeps its value."""
    address = parse_unqualified(call, request.function_name)
    function = load_function(call, address)
    alias = _load(call, address, request.name)
    check_revision(request.revision_id, alias.revision)
    weights = _weights(request.routing_config)
    alias = msgspec.structs.replace(
        alias,
        version=request.function_version or alias.version,
        description=alias.description if request.description is None else request.description,
        weights=alias.weights if weights is None else weights,
        revision=call.ids.uuid(),
    )
    _check(call, address, function, alias)
    call.records.put(ALIAS, alias_key(address.key, alias.name), alias)
    return alias.show()


@operation
def delete_alias(call: Call, request: api.DeleteAliasRequest) -> None:
    """Delete an alias with what is set for it; one that is not there is as good as deleted."""
    address = parse_unqualified(call, request.function_name)
    load_function(call, address)
    key = record_key(address.key, request.name)
    call.records.delete(POLICY, key)
    call.records.delete(INVOKE_CONFIG, key)
    drop_urls(call.records, address.key, request.name)
    call.records.delete(ALIAS, alias_key(address.key, request.name))


def _load(call: Call, address: FunctionAddress, name: str) -> Alias:
    alias = call.reader.find(ALIAS, alias_key(address.key, name))
    if alias is None:
        raise not_found(f"Cannot find alias arn: {address.function_arn}:{name}")
    return alias


def _check(call: Call, address: FunctionAddress, function: Function, alias: Alias) -> None:
    check_weights(alias.version, alias.weights)
    for version in (alias.version, *alias.weights):
        load_number(call, msgspec.structs.replace(address, qualifier=version), function)


def _weights(routing: api.AliasRoutingConfiguration | None) -> dict[str, float] | None:
    return None if routing is None else routing.additional_version_weights or {}
