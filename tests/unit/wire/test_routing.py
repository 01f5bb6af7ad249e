"""Which service and operation a request is for."""

import pytest

from forebay.api import lambda_, s3
from forebay.core.http import Request
from forebay.operations.service import Address
from forebay.wire.rest_table import RestTable
from forebay.wire.routing import NO_SCOPE, Scope, find_route, ingress_address, path_style


def request(method="POST", path="/", query="", headers=None, body=b"", host="127.0.0.1:4566"):
    return Request(method, path, query, headers or {}, body, host, "127.0.0.1", False)


FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("asked", "scope", "expected"),
    [
        (request(headers={"x-amz-target": "AmazonSQS.SendMessage"}), NO_SCOPE, (("sqs",), "SendMessage", "json")),
        (request(headers={"x-amz-target": "Nothing.Here"}), NO_SCOPE, ((), "Here", "json")),
        (
            request(headers=FORM, body=b"Action=GetQueueUrl&Version=2012-11-05"),
            NO_SCOPE,
            (("sqs",), "GetQueueUrl", "query"),
        ),
        (
            request("GET", query="Action=GetCallerIdentity&Version=2011-06-15"),
            NO_SCOPE,
            (("sts",), "GetCallerIdentity", "query"),
        ),
        (
            request("GET", "/000000000000/q", "Action=SendMessage&MessageBody=x"),
            NO_SCOPE,
            (("sqs",), "SendMessage", "query"),
        ),
        (
            request(
                path="/service/GraniteServiceVersion20100801/operation/ListMetrics",
                headers={"smithy-protocol": "rpc-v2-cbor"},
            ),
            NO_SCOPE,
            (("cloudwatch",), "ListMetrics", "smithy-rpc-v2-cbor"),
        ),
        (request("GET", "/2015-03-31/functions"), Scope("k", "d", "r", "lambda"), (("lambda",), None, "rest")),
        (request("GET", "/2015-03-31/functions"), NO_SCOPE, (("lambda",), None, "rest")),
        (
            request("GET", "/v2/apis"),
            Scope("k", "d", "r", "apigateway"),
            (("apigatewayv2", "apigateway"), None, "rest"),
        ),
        (request("GET", "/bucket/key"), NO_SCOPE, (("s3",), None, "rest")),
    ],
)
def test_signs_of_a_request_name_its_operation(asked, scope, expected):
    route = find_route(asked, scope)
    assert (tuple(route.services), route.operation, route.protocol) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("GET", "/p", host="a1b2.execute-api.localhost:4566"), Address("execute-api", "a1b2", "/p")),
        (request("GET", "/p", host="a1b2.execute-api.eu-west-1.amazonaws.com"), Address("execute-api", "a1b2", "/p")),
        (request("GET", "/_aws/execute-api/a1b2/dev/p"), Address("execute-api", "a1b2", "/dev/p")),
        (request("GET", "/_aws/execute-api/a1b2"), Address("execute-api", "a1b2", "/")),
        (request("GET", "/", host="u.lambda-url.us-east-1.localhost"), Address("lambda-url", "u", "/")),
        (request("GET", "/", host="127.0.0.1:4566"), None),
        (request("GET", "/", host="[::1]:4566"), None),
    ],
)
def test_host_or_path_names_the_ingress(asked, expected):
    assert ingress_address(asked, {}) == expected


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("bucket.s3.us-east-1.amazonaws.com", "/bucket/key"),
        ("my.bucket.localhost:4566", "/my.bucket/key"),
        ("localhost:4566", "/key"),
        ("127.0.0.1:4566", "/key"),
    ],
)
def test_bucket_in_the_host_moves_to_the_path(host, path):
    assert path_style(request("GET", "/key", host=host)).path == path


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation", "labels"),
    [
        ("GET", "/b/k", "", {}, "GetObject", {"Bucket": "b", "Key": "k"}),
        ("GET", "/b/k", "uploadId=1", {}, "ListParts", {"Bucket": "b", "Key": "k"}),
        ("PUT", "/b/a/b%20c/", "partNumber=1&uploadId=2", {}, "UploadPart", {"Bucket": "b", "Key": "a/b c/"}),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "x"}, "CopyObject", {"Bucket": "b", "Key": "k"}),
        ("GET", "/b", "list-type=2", {}, "ListObjectsV2", {"Bucket": "b"}),
        ("GET", "/b/", "", {}, "ListObjects", {"Bucket": "b"}),
        ("GET", "/", "", {}, "ListBuckets", {}),
        ("POST", "/b", "delete", {}, "DeleteObjects", {"Bucket": "b"}),
    ],
)
def test_rest_table_tells_s3_operations_apart(method, path, query, headers, operation, labels):
    match = RestTable(s3.MODEL).find(request(method, path, query, headers))
    assert (match.operation.name, dict(match.labels)) == (operation, labels)


def test_rest_table_finds_lambda_operations_and_nothing_else():
    table = RestTable(lambda_.MODEL)
    assert table.find(request("POST", "/2015-03-31/functions/f/invocations")).operation.name == "Invoke"
    assert table.find(request("GET", "/2015-03-31/functions/")).operation.name == "ListFunctions"
    assert table.find(request("POST", "/2015-03-31/nothing")) is None
