"""What of a request goes on to an integration, once its parameter mappings have been applied. Pure."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from forebay.core.http import Response, header_text
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.parameter_mapping import Change


class Outgoing(NamedTuple):
    """Headers by lower-case name, the query as it is sent, and the path where a mapping sets it."""

    headers: dict[str, str]
    query: str
    path: str | None


def outgoing(exchange: Exchange, changes: Sequence[Change]) -> Outgoing:
    """Return a request's headers, query and path with the changes of an integration."""
    headers = dict(exchange.request.headers)
    if not changes:
        return Outgoing(headers, exchange.request.query, None)
    query = {name: list(values) for name, values in exchange.query_values.items()}
    path = None
    for change in changes:
        value = None if change.action == "remove" else change.value(exchange)
        if change.place == "path":
            path = value
        elif change.place == "header":
            _change_header(headers, change, value)
        elif change.action == "remove":
            query.pop(change.name, None)
        elif value is not None:
            query[change.name] = [*query.get(change.name, ()), value] if change.action == "append" else [value]
    pairs = [(name, value) for name, values in query.items() for value in values]
    return Outgoing(headers, urlencode(pairs), path)


def changed_response(exchange: Exchange, response: Response, changes: Sequence[Change]) -> Response:
    """Return an integration's answer with the changes for its status."""
    exchange.answer = response
    if not changes:
        return response
    status, headers = response.status, list(response.headers)
    for change in changes:
        value = None if change.action == "remove" else change.value(exchange)
        if change.place == "statuscode":
            if value is not None and value.isdecimal() and 200 <= int(value) <= 599:
                status = int(value)
            continue
        if change.action in ("overwrite", "remove"):
            headers = [item for item in headers if item[0].lower() != change.name]
        if value is not None:
            headers.append((change.name, value))
    return Response(status, tuple(headers), response.body)


def _change_header(headers: dict[str, str], change: Change, value: str | None) -> None:
    if change.action == "remove":
        headers.pop(change.name, None)
    elif value is not None:
        old = headers.get(change.name)
        text = header_text(value)
        headers[change.name] = f"{old},{text}" if change.action == "append" and old is not None else text
