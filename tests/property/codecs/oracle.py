"""botocore as the oracle: its serializer makes requests, its parser reads our answers."""

import copy
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from forebay.core import shapes
from forebay.core.http import Request, Response
from forebay.wire.codecs import codec_for
from forebay.wire.rest_table import RestTable
from tools.services import LIST_ITEMS, MAP_ENTRIES, MAP_MEMBERS, SERVICES, XML_NAMESPACES

MODULES = {service.name: service.module for service in SERVICES}
# S3's models of these have two members under one name, or share a path with an operation of other hosts.
AMBIGUOUS = {
    "GetBucketNotification": "Event and Events are one element",
    "PutBucketNotification": "Event and Events are one element",
    "ListDirectoryBuckets": "is ListBuckets on another host",
}
# Whoever carries a body writes these headers.
_CARRIED = {"Content-Type", "Content-Length"}
# Every service in every protocol that it answers.
PAIRS = [
    (name, protocol)
    for name, module in MODULES.items()
    for protocol in import_module(f"forebay.api.{module}").MODEL.protocols
]


class Side(NamedTuple):
    """One service in one protocol, seen by botocore and by us."""

    theirs: ServiceModel
    ours: shapes.ServiceModel
    protocol: str

    @property
    def codec(self):
        return codec_for(self.ours, self.protocol)


@cache
def side(name: str, protocol: str) -> Side:
    model = Loader().load_service_model(name, "service-2")
    if name == "sqs" and protocol == "query":
        model = _query_sqs(model)
    ours = import_module(f"forebay.api.{MODULES[name]}").MODEL
    return Side(ServiceModel(model, name), ours, protocol)


@cache
def rest_table(name: str) -> RestTable:
    return RestTable(import_module(f"forebay.api.{MODULES[name]}").MODEL)


def request_for(side_: Side, operation: OperationModel, params: dict[str, Any]) -> Request:
    """Give the request that boto3 would send."""
    serializer = create_serializer(side_.protocol, include_validation=False)
    serialized = serializer.serialize_to_request(params, operation)
    serialized.pop("host_prefix", None)
    prepare_request_dict(serialized, "http://localhost:4566", user_agent="test", context={})
    prepared = create_request_object(serialized).prepare()
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    headers = {
        key.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for key, value in prepared.headers.items()
    }
    body = body.encode() if isinstance(body, str) else bytes(body)
    return Request(prepared.method, url.path or "/", url.query, headers, body, "localhost:4566", "127.0.0.1", False)


def labels_for(side_: Side, operation: str, request: Request) -> dict[str, str]:
    if not side_.protocol.startswith("rest"):
        return {}
    match = rest_table(side_.theirs.service_name).find(request)
    assert match is not None, f"no route for {request.method} {request.path}?{request.query}"
    # Those are S3's replaced operations, whose paths their successors have.
    deprecated = side_.theirs.operation_model(operation).deprecated
    assert deprecated or match.operation.name == operation, f"{operation} was taken for {match.operation.name}"
    return dict(match.labels)


def parsed_by_botocore(side_: Side, operation: OperationModel | None, response: Response) -> dict[str, Any]:
    answer = {
        "headers": HeadersDict(response.headers),
        "status_code": response.status,
        "body": response.body,
        "context": {"operation_name": operation.name if operation else "None"},
    }
    shape = operation.output_shape if operation else None
    return create_parser(side_.protocol).parse(answer, shape)


def differences(shape: Shape, expected: Any, found: Any, path: str = "") -> list[str]:
    """Say where a structure of ours (or botocore's dict) is not what botocore's names and values say."""
    if isinstance(shape, StructureShape):
        return [
            line
            for name, member in shape.members.items()
            for line in _member_differences(name, member, expected.get(name), found, f"{path}.{name}")
        ]
    if isinstance(shape, ListShape):
        if len(expected) != len(found or ()):
            return [f"{path}: {expected!r} became {found!r}"]
        pairs = enumerate(zip(expected, found or (), strict=True))
        return [line for at, (a, b) in pairs for line in differences(shape.member, a, b, f"{path}[{at}]")]
    if isinstance(shape, MapShape):
        if expected.keys() != (found or {}).keys():
            return [f"{path}: {expected!r} became {found!r}"]
        return [
            line for key in expected for line in differences(shape.value, expected[key], found[key], f"{path}[{key}]")
        ]
    return [] if _same(expected, found) else [f"{path}: {expected!r} became {found!r}"]


def _member_differences(name: str, member: Shape, expected: Any, found: Any, path: str) -> list[str]:
    if isinstance(found, dict):
        value = found.get(name)
    else:
        field = xform_name(name).replace("-", "_")
        value = getattr(found, field if field in found.__struct_fields__ else field + "_")
    if expected is None or value is None:
        # Most protocols cannot tell an empty list, map or body from an absent one.
        carried = expected is None and member.serialization.get("name") in _CARRIED
        same = expected is value or carried or (not expected and _is_nothing(value))
        return [] if same else [f"{path}: {expected!r} became {value!r}"]
    return differences(member, expected, value, path)


def _is_nothing(value: Any) -> bool:
    if isinstance(value, shapes.Shape):
        return all(getattr(value, field) is None for field in value.__struct_fields__)
    return not value and not isinstance(value, bool | int | float)


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, datetime):
        seconds = found.timestamp() if isinstance(found, datetime) else found
        return abs(expected.timestamp() - seconds) < 0.0015
    if isinstance(expected, float):
        return abs(expected - found) < 1e-6 * max(1.0, abs(expected))
    if isinstance(expected, bytes) and isinstance(found, str):
        return expected == found.encode()
    return type(expected) is type(found) and expected == found


def _query_sqs(model: dict[str, Any]) -> dict[str, Any]:
    """Give SQS's model as it was while its protocol was Query."""
    model = copy.deepcopy(model)
    model["metadata"] |= {"protocol": "query", "protocols": ["query"], "xmlNamespace": XML_NAMESPACES["sqs"]}
    for name, item in LIST_ITEMS["sqs"].items():
        model["shapes"][name]["member"]["locationName"] = item
    for name, (key, value) in MAP_ENTRIES["sqs"].items():
        model["shapes"][name]["key"]["locationName"] = key
        model["shapes"][name]["value"]["locationName"] = value
    for shape in model["shapes"].values():
        for member in shape.get("members", {}).values():
            if member["shape"] in MAP_MEMBERS["sqs"]:
                member["locationName"] = MAP_MEMBERS["sqs"][member["shape"]]
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    return model
