"""Operations on function URLs."""

from typing import Any

import msgspec

from forebay.api import lambda_ as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_.address import FunctionAddress, load_function, parse_address, parse_unqualified
from forebay.services.lambda_.errors import conflict, not_found, not_implemented
from forebay.services.lambda_.function import format_modified
from forebay.services.lambda_.function_url import FUNCTION_URL, ID_CHARACTERS, URL_ID, FunctionUrl, url_key, url_of
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.resolution import load_version
from forebay.store.records import key_prefix


@operation
def create_function_url_config(
    call: Call, request: api.CreateFunctionUrlConfigRequest
) -> api.CreateFunctionUrlConfigResponse:
    """Give a function or an alias a URL."""
    address = parse_address(call, request.function_name, request.qualifier)
    load_version(call, address, load_function(call, address))
    _check_auth(call, request.auth_type)
    key = url_key(address.key, address.qualifier)
    if call.records.find(FUNCTION_URL, key) is not None:
        raise conflict(
            f"Failed to create function url config for [functionArn = {address.arn}]. "
            "Error message:  FunctionUrlConfig exists for this Lambda function"
        )
    url = FunctionUrl(
        url_id=call.ids.token(ID_CHARACTERS),
        function_key=address.key,
        function_arn=address.function_arn,
        qualifier=address.qualifier,
        auth_type=request.auth_type,
        cors=request.cors,
        invoke_mode=request.invoke_mode or "BUFFERED",
        created_at=call.now,
        modified_at=call.now,
    )
    call.records.put(FUNCTION_URL, key, url)
    call.records.put(URL_ID, url.url_id, key)
    members = _members(call, url)
    del members["last_modified_time"]
    return api.CreateFunctionUrlConfigResponse(**members)


@operation(readonly=True)
def get_function_url_config(call: Call, request: api.GetFunctionUrlConfigRequest) -> api.GetFunctionUrlConfigResponse:
    """Return the URL of a function or an alias."""
    url = _load(call, parse_address(call, request.function_name, request.qualifier))
    return api.GetFunctionUrlConfigResponse(**_members(call, url))


@operation
def update_function_url_config(
    call: Call, request: api.UpdateFunctionUrlConfigRequest
) -> api.UpdateFunctionUrlConfigResponse:
    """Change who may call a URL and its CORS; what is not given keeps its value."""
    url = _load(call, parse_address(call, request.function_name, request.qualifier))
    if request.auth_type is not None:
        _check_auth(call, request.auth_type)
    url = msgspec.structs.replace(
        url,
        auth_type=request.auth_type or url.auth_type,
        cors=url.cors if request.cors is None else request.cors,
        invoke_mode=request.invoke_mode or url.invoke_mode,
        modified_at=call.now,
    )
    call.records.put(FUNCTION_URL, url.key, url)
    return api.UpdateFunctionUrlConfigResponse(**_members(call, url))


@operation
def delete_function_url_config(call: Call, request: api.DeleteFunctionUrlConfigRequest) -> None:
    """Take a URL away from a function or an alias; it never comes back under the same id."""
    url = _load(call, parse_address(call, request.function_name, request.qualifier))
    call.records.delete(URL_ID, url.url_id)
    call.records.delete(FUNCTION_URL, url.key)


@operation(readonly=True)
def list_function_url_configs(
    call: Call, request: api.ListFunctionUrlConfigsRequest
) -> api.ListFunctionUrlConfigsResponse:
    """List the URLs of a function and its aliases."""
    address = parse_unqualified(call, request.function_name)
    load_function(call, address)
    urls = [url for _, url in call.reader.list(FUNCTION_URL, key_prefix(address.key))]
    items, marker = page(urls, lambda url: url.key, request.marker, request.max_items)
    return api.ListFunctionUrlConfigsResponse(
        function_url_configs=[api.FunctionUrlConfig(**_members(call, url)) for url in items], next_marker=marker
    )


def _check_auth(call: Call, auth_type: str) -> None:
    if auth_type == "AWS_IAM" and call.platform.config.credentials is not None:
        raise not_implemented(
            "AuthType AWS_IAM of function URLs is not implemented by Forebay on a node with credentials."
        )


def _load(call: Call, address: FunctionAddress) -> FunctionUrl:
    url = call.reader.find(FUNCTION_URL, url_key(address.key, address.qualifier))
    if url is None:
        raise not_found("The resource you requested does not exist.")
    return url


def _members(call: Call, url: FunctionUrl) -> dict[str, Any]:
    return {
        "function_url": url_of(call.caller.endpoint, url.url_id),
        "function_arn": url.arn,
        "auth_type": url.auth_type,
        "cors": url.cors,
        "creation_time": format_modified(url.created_at),
        "last_modified_time": format_modified(url.modified_at),
        "invoke_mode": url.invoke_mode,
    }
