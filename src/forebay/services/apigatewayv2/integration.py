"""The rules of integrations that need nothing but the integration itself, and the table of its service subtypes.

Which parameters a subtype needs and takes is AWS's developer guide, "Integration subtype reference".
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from forebay.api import apigatewayv2 as api
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.errors import bad_request, not_implemented
from forebay.services.apigatewayv2.parameter_mapping import (
    InvalidMapping,
    compile_request_changes,
    compile_response_changes,
    compile_value,
)

_METHODS = frozenset({"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_LAMBDA_URI = re.compile(r"arn:[\w-]+:apigateway:[\w-]+:lambda:path/2015-03-31/functions/(.+)/invocations")
_LAMBDA_ARN = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d{12}:function:.+")
_STATUS = re.compile(r"[2-5]\d\d")


class Subtype(NamedTuple):
    """A first-class integration: the operation that it runs and the parameters that it takes."""

    service: str
    operation: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


SUBTYPES: Mapping[str, Subtype] = {
    "EventBridge-PutEvents": Subtype(
        "events",
        "PutEvents",
        ("Detail", "DetailType", "Source"),
        ("Time", "EventBusName", "Resources", "TraceHeader"),
    ),
    "SQS-SendMessage": Subtype(
        "sqs",
        "SendMessage",
        ("QueueUrl", "MessageBody"),
        (
            "DelaySeconds",
            "MessageAttributes",
            "MessageDeduplicationId",
            "MessageGroupId",
            "MessageSystemAttributes",
        ),
    ),
    "SQS-ReceiveMessage": Subtype(
        "sqs",
        "ReceiveMessage",
        ("QueueUrl",),
        (
            "AttributeNames",
            "MaxNumberOfMessages",
            "MessageAttributeNames",
            "ReceiveRequestAttemptId",
            "VisibilityTimeout",
            "WaitTimeSeconds",
        ),
    ),
    "SQS-DeleteMessage": Subtype("sqs", "DeleteMessage", ("ReceiptHandle", "QueueUrl"), ()),
    "SQS-PurgeQueue": Subtype("sqs", "PurgeQueue", ("QueueUrl",), ()),
    "StepFunctions-StartExecution": Subtype("stepfunctions", "StartExecution", ("StateMachineArn",), ("Name", "Input")),
    "StepFunctions-StartSyncExecution": Subtype(
        "stepfunctions", "StartSyncExecution", ("StateMachineArn",), ("Name", "Input", "TraceHeader")
    ),
    "StepFunctions-StopExecution": Subtype("stepfunctions", "StopExecution", ("ExecutionArn",), ("Cause", "Error")),
}

# Subtypes that AWS has and whose services no node has.
_FOREIGN_SUBTYPES = ("AppConfig-GetConfiguration", "Kinesis-PutRecord")


def with_defaults(integration: api.Integration) -> api.Integration:
    """Return an integration with the values that AWS gives where none was given."""
    given = integration
    is_lambda = given.integration_type == "AWS_PROXY" and given.integration_subtype is None
    defaults: dict[str, Any] = {
        "connection_type": given.connection_type or "INTERNET",
        "payload_format_version": given.payload_format_version or "1.0",
        "timeout_in_millis": given.timeout_in_millis or limits.TIMEOUT_MS_MAX,
        "integration_method": given.integration_method or ("POST" if is_lambda else None),
    }
    return api.Integration(**{name: getattr(given, name) for name in given.__struct_fields__} | defaults)


def check_integration(integration: api.Integration, services: tuple[str, ...]) -> None:
    """Check an integration that has its defaults; `services` are those that this node has.

    Raises:
        BadRequestException: AWS would refuse it.
        NotImplemented: it is sound, but this node cannot run it.
    """
    if integration.integration_type not in ("AWS_PROXY", "HTTP_PROXY"):
        raise bad_request("Invalid integration type for HTTP protocol. Must be one of [AWS_PROXY, HTTP_PROXY]")
    timeout = integration.timeout_in_millis or 0
    if not limits.TIMEOUT_MS_MIN <= timeout <= limits.TIMEOUT_MS_MAX:
        raise bad_request("Timeout should be between 50 ms and 30000 ms")
    if integration.payload_format_version not in ("1.0", "2.0"):
        raise bad_request("Invalid PayloadFormatVersion. Must be one of [1.0, 2.0]")
    if integration.connection_type == "VPC_LINK":
        raise not_implemented("Integrations through VPC links are not implemented by Forebay: use a public HTTP URL.")
    if integration.connection_type != "INTERNET":
        raise bad_request("Invalid connection type. Must be one of [INTERNET, VPC_LINK]")
    if integration.integration_type == "HTTP_PROXY":
        _check_http(integration)
    elif integration.integration_subtype is not None:
        _check_service(integration, services)
    else:
        _check_lambda(integration)
    _check_responses(integration)


def function_arn(uri: str) -> str | None:
    """Return the function in an integration's or authorizer's URI: its ARN, or that ARN in API Gateway's own form."""
    match = _LAMBDA_URI.fullmatch(uri)
    arn = match[1] if match is not None else uri
    # Stage variables may stand for the function's name or for the whole ARN.
    return arn if _LAMBDA_ARN.fullmatch(arn) or "${stageVariables." in arn else None


def _check_lambda(integration: api.Integration) -> None:
    if not integration.integration_uri or function_arn(integration.integration_uri) is None:
        raise bad_request("Integration uri should be a valid Lambda function ARN for the integration type AWS_PROXY")
    _check_changes(integration.request_parameters)


def _check_http(integration: api.Integration) -> None:
    uri = integration.integration_uri or ""
    if not uri.startswith(("http://", "https://", "${stageVariables.")):
        raise bad_request("HttpIntegration endpoint is invalid: the integration uri must be a valid HTTP URL")
    if integration.integration_method not in _METHODS:
        raise bad_request("HttpMethod must be specified for HTTP_PROXY integrations")
    if integration.payload_format_version != "1.0":
        raise bad_request("PayloadFormatVersion must be 1.0 for HTTP_PROXY integrations")
    _check_changes(integration.request_parameters)


def _check_service(integration: api.Integration, services: tuple[str, ...]) -> None:
    name = integration.integration_subtype or ""
    subtype = SUBTYPES.get(name)
    if name in _FOREIGN_SUBTYPES or (subtype is not None and subtype.service not in services):
        raise not_implemented(f"Integration subtype {name} is not implemented by Forebay: its service is not there.")
    if subtype is None:
        raise bad_request(f"Invalid integration subtype {name} specified")
    if not integration.credentials_arn:
        raise bad_request(f"Credentials must be specified for integration subtype {name}")
    if integration.payload_format_version != "1.0":
        raise bad_request(f"PayloadFormatVersion must be 1.0 for integration subtype {name}")
    _check_parameters(integration, name, subtype)


def _check_parameters(integration: api.Integration, name: str, subtype: Subtype) -> None:
    given = integration.request_parameters or {}
    for required in subtype.required:
        if not given.get(required):
            raise bad_request(f"Parameter {required} is required for integration subtype {name}")
    for parameter, value in given.items():
        if parameter not in (*subtype.required, *subtype.optional, "Region"):
            raise bad_request(f"Parameter {parameter} is not supported for integration subtype {name}")
        try:
            compile_value(value)
        except InvalidMapping as error:
            raise bad_request(str(error)) from None


def _check_changes(mappings: Mapping[str, str] | None) -> None:
    try:
        compile_request_changes(mappings or {})
    except InvalidMapping as error:
        raise bad_request(str(error)) from None


def _check_responses(integration: api.Integration) -> None:
    try:
        for status, mappings in (integration.response_parameters or {}).items():
            if _STATUS.fullmatch(status) is None:
                raise bad_request(f"Invalid status code {status} specified in responseParameters")
            compile_response_changes(mappings)
    except InvalidMapping as error:
        raise bad_request(str(error)) from None
