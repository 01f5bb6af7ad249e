"""Which service and operation a request is for.

Five signs, in this order: the host or path of an ingress (API Gateway, function URLs), the `X-Amz-Target` header, the
rpc-v2 path, the `Action` parameter, and the REST path within the service that the signature names.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, unquote_plus

from forebay.core.http import Request
from forebay.operations.service import Address

TARGET_SERVICES: Mapping[str, str] = {
    "AWSEvents": "events",
    "AWSStepFunctions": "stepfunctions",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "GraniteServiceVersion20100801": "cloudwatch",
    "Logs_20140328": "logs",
    "secretsmanager": "secretsmanager",
}

# The `Version` that Query requests carry.
VERSION_SERVICES: Mapping[str, str] = {
    "2010-03-31": "sns",
    "2010-05-08": "iam",
    "2010-05-15": "cloudformation",
    "2010-08-01": "cloudwatch",
    "2011-06-15": "sts",
    "2012-11-05": "sqs",
}

# The service part of a credential scope; more than one model can be signed as the same service.
SIGNING_SERVICES: Mapping[str, Sequence[str]] = {
    "apigateway": ("apigatewayv2", "apigateway"),
    "execute-api": ("apigatewaymanagementapi",),
    "lambda": ("lambda",),
    "monitoring": ("cloudwatch",),
    "pipes": ("pipes",),
    "s3": ("s3",),
    "scheduler": ("scheduler",),
    "states": ("stepfunctions",),
}

# Signed for one of these, a request names its operation by its target and in no other way.
TARGETED = frozenset({"dynamodb", "events", "logs", "secretsmanager", "ssm", "states"})

# Paths that name their service without a signature.
_REST_PATHS = (
    (re.compile(r"/20\d\d-\d\d-\d\d/"), "lambda"),
    (re.compile(r"/v2/apis(/|$)"), "apigatewayv2"),
    (re.compile(r"/restapis(/|$)"), "apigateway"),
)

INGRESS_LABELS = ("execute-api", "lambda-url")
QUEUE_PATH = re.compile(r"/[^/]+/[^/]+\Z")
CLUSTER_LABEL = "kubernetes"
# Where Kubernetes' API lies. What is signed for AWS there is an S3 bucket of that name.
CLUSTER_PATHS = ("/api", "/openapi/v", "/version", "/healthz", "/readyz", "/livez")
_CLUSTER_PATH = re.compile(r"/(api|apis|openapi/v[23]|version|healthz|readyz|livez)(/|$)")
_INGRESS_PATH = re.compile(r"/_aws/(execute-api|lambda-url|sns)/([A-Za-z0-9]+)(/.*)?$")
_CBOR_PATH = re.compile(r"/service/([A-Za-z0-9_]+)/operation/([A-Za-z0-9]+)$")
_BUCKET_HOST = re.compile(r"(.+?)\.(?:s3[.-].+|s3|localhost)$")


class Route(NamedTuple):
    """Where a request goes: `operation` None means that the service's REST table decides, by method and path."""

    services: Sequence[str]
    operation: str | None
    protocol: str


class Scope(NamedTuple):
    """What a signature says of itself: whose key, for which day, region and service."""

    access_key: str
    date: str
    region: str
    service: str


NO_SCOPE = Scope("", "", "", "")


def ingress_address(request: Request, hosts: Mapping[str, str]) -> Address | None:
    """Return the ingress that a request's host or path names, or None; `hosts` gives labels of further host names."""
    found = _host_ingress(request.host)
    if found is not None:
        return Address(found[0], found[1], request.path)
    if hosts:
        name = request.host.rsplit(":", 1)[0].lower()
        label = hosts.get(name)
        if label is not None:
            return Address(label, name, request.path)
    if request.path.startswith("/_aws/"):
        match = _INGRESS_PATH.match(request.path)
        if match is not None:
            return Address(match[1], match[2], match[3] or "/")
    return None


def is_cluster_path(request: Request) -> bool:
    """Return whether a request is for Kubernetes' API: by its path, unless it is signed for a service of AWS."""
    if _CLUSTER_PATH.match(request.path) is None:
        return False
    is_signed = request.headers.get("authorization", "").startswith("AWS") or "X-Amz-Signature=" in request.query
    return not is_signed and "x-amz-target" not in request.headers


@lru_cache(maxsize=4096)
def _host_ingress(host: str) -> tuple[str, str] | None:
    labels = host.split(".", 2)
    if len(labels) == 3 and labels[1] in INGRESS_LABELS:
        return labels[1], labels[0]
    return None


_TELLING = re.compile(rb"(?:^|&)(Action|Version)=([^&]*)")


def find_route(request: Request, scope: Scope) -> Route:
    """Return where an API request goes; S3 is what is left, as its paths can be anything."""
    headers = request.headers
    target = headers.get("x-amz-target")
    if target is not None:
        prefix, _, operation = target.rpartition(".")
        service = TARGET_SERVICES.get(prefix)
        return Route((service,) if service else (), operation, "json")
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        match = _CBOR_PATH.match(request.path)
        service = TARGET_SERVICES.get(match[1]) if match else None
        return Route((service,) if service else (), match[2] if match else "", "smithy-rpc-v2-cbor")
    if (query := _query_route(request, scope)) is not None:
        return query
    if scope.service in TARGETED:
        return Route(SIGNING_SERVICES.get(scope.service, (scope.service,)), "", "json")
    return Route(_rest_services(request, scope), None, "rest")


def _query_route(request: Request, scope: Scope) -> Route | None:
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    form = request.body if is_form else b""
    if "Action=" not in request.query and b"Action=" not in form:
        return None
    fields = dict(parse_qsl(request.query)) | _telling_fields(form)
    action = fields.get("Action")
    if action is None:
        return None
    service = _service_of_scope(scope) or VERSION_SERVICES.get(fields.get("Version", ""), "sqs")
    return Route((service,), action, "query") if service in VERSION_SERVICES.values() else None


def _telling_fields(form: bytes) -> dict[str, str]:
    """Return the parameters of a form that say where it goes; the codec reads the others."""
    found = (
        (match[1].decode(), unquote_plus(match[2].decode("utf-8", "replace"))) for match in _TELLING.finditer(form)
    )
    return {name: value for name, value in found if value}


def _service_of_scope(scope: Scope) -> str | None:
    if not scope.service:
        return None
    return SIGNING_SERVICES.get(scope.service, (scope.service,))[0]


def _rest_services(request: Request, scope: Scope) -> Sequence[str]:
    if scope.service in SIGNING_SERVICES:
        return SIGNING_SERVICES[scope.service]
    if scope.service:
        return (scope.service,)
    for pattern, service in _REST_PATHS:
        if pattern.match(request.path):
            return (service,)
    return ("s3",)


def path_style(request: Request) -> Request:
    """Return an S3 request with its bucket in the path where it stood in the host name."""
    host_name = request.host.rsplit(":", 1)[0]
    match = _BUCKET_HOST.match(host_name)
    if match is None:
        return request
    return request._replace(path=f"/{match[1]}{request.path}")


def query_names(query: str) -> dict[str, str]:
    """Return a query string's parameters by name (the last one wins, without a value: empty)."""
    return dict(parse_qsl(query, keep_blank_values=True))


def path_label(text: str) -> str:
    """Return a path label's value."""
    return unquote(text)
