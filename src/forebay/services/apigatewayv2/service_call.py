"""First-class integrations: a request becomes one operation of another service, its answer the request's.

The operation runs through the same table as any other call. Answers are what the service's own protocol gives: JSON,
and for SQS the XML of its Query protocol, which is what HTTP APIs hand on.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from xml.sax.saxutils import escape

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.api import sqs as sqs_api
from forebay.core.errors import ServiceError
from forebay.core.http import Response
from forebay.core.shapes import Shape, shape_from_wire
from forebay.core.timestamps import parse_timestamp
from forebay.operations.platform import Platform
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.functions import caller_of
from forebay.services.apigatewayv2.integration import SUBTYPES, Subtype
from forebay.services.apigatewayv2.parameter_mapping import Value, compile_value
from forebay.services.apigatewayv2.refusal import Refusal

_XMLNS = "http://queue.amazonaws.com/doc/2012-11-05/"
_XML = (("content-type", "text/xml"),)
_JSON = (("content-type", "application/x-amz-json-1.1"),)
_INTEGER = re.compile(r"-?\d{1,10}")

# Parameters of SendMessage that are texts; with only these, the request needs no reading by the model.
_SEND_TEXTS: Mapping[str, str] = {
    "QueueUrl": "queue_url",
    "MessageBody": "message_body",
    "MessageGroupId": "message_group_id",
    "MessageDeduplicationId": "message_deduplication_id",
}


def service_integration(platform: Platform, integration: api.Integration) -> Callable[[Exchange], Awaitable[Response]]:
    """Return what answers requests to a first-class integration."""
    subtype = SUBTYPES[integration.integration_subtype or ""]
    values = {name: compile_value(text) for name, text in (integration.request_parameters or {}).items()}
    role = integration.credentials_arn
    if subtype.operation == "SendMessage" and values.keys() <= _SEND_TEXTS.keys():
        return _send_message(platform, subtype, values, role)

    async def integrate(exchange: Exchange) -> Response:
        texts = _resolved(exchange, values)
        caller = caller_of(exchange, platform, role)
        region = texts.pop("Region", None)
        if region:
            caller = caller.elsewhere(region=region)
        try:
            params = _params(subtype, texts)
            model = await platform.table.load(subtype.service)
            operation = model.operations[subtype.operation]
            shape = shape_from_wire(operation.input, params)
            output = await platform.table.run(caller, subtype.service, subtype.operation, shape)
        except ServiceError as error:
            return _failed(exchange, subtype, error)
        exchange.integration_status = "200"
        return _answered(exchange, subtype, output)

    return integrate


def _send_message(
    platform: Platform, subtype: Subtype, values: Mapping[str, Value], role: str | None
) -> Callable[[Exchange], Awaitable[Response]]:
    """Return the hot path: a request's body goes to a queue as it is."""
    members = [(_SEND_TEXTS[name], name, value) for name, value in values.items()]

    async def integrate(exchange: Exchange) -> Response:
        given: dict[str, Any] = {member: _required(exchange, name, value) for member, name, value in members}
        request = sqs_api.SendMessageRequest(**given)
        try:
            output = await platform.table.run(caller_of(exchange, platform, role), "sqs", "SendMessage", request)
        except ServiceError as error:
            return _failed(exchange, subtype, error)
        exchange.integration_status = "200"
        return _answered(exchange, subtype, output)

    return integrate


def _resolved(exchange: Exchange, values: Mapping[str, Value]) -> dict[str, str]:
    return {name: _required(exchange, name, value) for name, value in values.items()}


def _required(exchange: Exchange, name: str, value: Value) -> str:
    text = value(exchange)
    if text is None:
        raise Refusal(
            400,
            f"Unable to resolve property {name} from source. Please make sure that the request to API Gateway "
            "contains all the necessary fields specified in the source.",
        )
    return text


def _params(subtype: Subtype, texts: Mapping[str, str]) -> dict[str, Any]:
    params = {name: _READERS.get(name, _text)(name, text) for name, text in texts.items()}
    if subtype.operation == "PutEvents":
        return {"Entries": [params]}
    if subtype.service == "stepfunctions":
        return {name[:1].lower() + name[1:]: value for name, value in params.items()}
    return params


def _text(_name: str, text: str) -> Any:
    return text


def _integer(name: str, text: str) -> Any:
    if _INTEGER.fullmatch(text) is None:
        raise _invalid(name, text)
    return int(text)


def _time(name: str, text: str) -> Any:
    at = parse_timestamp(text)
    if at is None:
        raise _invalid(name, text)
    return at


def _list(name: str, text: str) -> Any:
    """Read a JSON array, or items between commas."""
    if not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    value = _json(name, text)
    if not all(isinstance(item, str) for item in value):
        raise _invalid(name, text)
    return value


def _map(name: str, text: str) -> Any:
    value = _json(name, text)
    if not isinstance(value, dict):
        raise _invalid(name, text)
    return cast("dict[str, Any]", value)


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid(name, text) from None


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "AttributeNames": _list,
    "DelaySeconds": _integer,
    "MaxNumberOfMessages": _integer,
    "MessageAttributeNames": _list,
    "MessageAttributes": _map,
    "MessageSystemAttributes": _map,
    "Resources": _list,
    "Time": _time,
    "VisibilityTimeout": _integer,
    "WaitTimeSeconds": _integer,
}


def _invalid(name: str, text: str) -> ServiceError:
    return ServiceError.of("InvalidParameterValue", f"Value {text} for parameter {name} is invalid.")


def _answered(exchange: Exchange, subtype: Subtype, output: Shape | None) -> Response:
    if subtype.service != "sqs":
        return Response(200, _JSON, b"{}" if output is None else msgspec.json.encode(output))
    if isinstance(output, sqs_api.SendMessageResult):
        return Response(200, _XML, _sent(output, exchange.request_id))
    result = ""
    if isinstance(output, sqs_api.ReceiveMessageResult):
        result = _element("ReceiveMessageResult", "".join(map(_message, output.messages or ())))
    metadata = _element("ResponseMetadata", _leaf("RequestId", exchange.request_id))
    name = f"{subtype.operation}Response"
    text = f'<?xml version="1.0"?><{name} xmlns="{_XMLNS}">{result}{metadata}</{name}>'
    return Response(200, _XML, text.encode())


def _sent(output: sqs_api.SendMessageResult, request_id: str) -> bytes:
    """Return the answer of the hot path; ids and digests need no escaping."""
    further = ""
    if output.md5_of_message_attributes is not None:
        further += _leaf("MD5OfMessageAttributes", output.md5_of_message_attributes)
    if output.md5_of_message_system_attributes is not None:
        further += _leaf("MD5OfMessageSystemAttributes", output.md5_of_message_system_attributes)
    if output.sequence_number is not None:
        further += _leaf("SequenceNumber", output.sequence_number)
    return (
        f'<?xml version="1.0"?><SendMessageResponse xmlns="{_XMLNS}"><SendMessageResult>'
        f"<MessageId>{output.message_id}</MessageId><MD5OfMessageBody>{output.md5_of_message_body}</MD5OfMessageBody>"
        f"{further}</SendMessageResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</SendMessageResponse>"
    ).encode()


def _failed(exchange: Exchange, subtype: Subtype, error: ServiceError) -> Response:
    exchange.integration_status = str(error.status)
    exchange.integration_error = f"{error.code}: {error.message}"
    if subtype.service != "sqs":
        body = msgspec.json.encode({"__type": error.code, "message": error.message})
        return Response(error.status, _JSON, body)
    inner = _element(
        "Error",
        _leaf("Type", error.fault)
        + _leaf("Code", error.query_code or error.code)
        + _leaf("Message", error.message)
        + "<Detail/>",
    )
    inner += _leaf("RequestId", exchange.request_id)
    text = f'<?xml version="1.0"?><ErrorResponse xmlns="{_XMLNS}">{inner}</ErrorResponse>'
    return Response(error.query_status or error.status, _XML, text.encode())


def _message(message: sqs_api.Message) -> str:
    parts = [
        _leaf("MessageId", message.message_id),
        _leaf("ReceiptHandle", message.receipt_handle),
        _leaf("MD5OfBody", message.md5_of_body),
        _leaf("Body", message.body),
    ]
    for name, value in (message.attributes or {}).items():
        parts.append(_element("Attribute", _leaf("Name", name) + _leaf("Value", value)))
    parts.append(_leaf("MD5OfMessageAttributes", message.md5_of_message_attributes))
    for name, attribute in (message.message_attributes or {}).items():
        binary = attribute.binary_value
        value = (
            _leaf("StringValue", attribute.string_value)
            + _leaf("BinaryValue", None if binary is None else msgspec.json.encode(binary).decode().strip('"'))
            + _leaf("DataType", attribute.data_type)
        )
        parts.append(_element("MessageAttribute", _leaf("Name", name) + _element("Value", value)))
    return _element("Message", "".join(parts))


def _element(name: str, inner: str) -> str:
    return f"<{name}>{inner}</{name}>"


def _leaf(name: str, text: str | None) -> str:
    # A carriage return that is not spelled out would be read as a line feed.
    return "" if text is None else f"<{name}>{escape(text, {chr(13): '&#xD;', chr(34): '&quot;'})}</{name}>"
