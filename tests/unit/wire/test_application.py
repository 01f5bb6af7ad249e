"""Every way in which an error leaves: in the words of the protocol that was spoken, and never with a bug's own."""

import asyncio
import json
import re

import cbor2
import pytest
import structlog

from forebay.api import iam, lambda_, s3, sqs
from forebay.core.errors import ServiceError, Unavailable
from forebay.core.http import Request, Response
from forebay.operations.metrics import Metrics
from forebay.operations.service import operation
from forebay.wire.application import Application
from forebay.wire.authentication import Authenticator
from tests.unit.operations.stage import Stage, made_up

SECRET = "a detail that is nobody's business"


def build(failure=None, *, is_open=True, specials=None, ingress=None):
    """Return an application whose every operation fails as given, and its metrics."""

    async def act(call, _request):
        act.caller = call.caller
        if failure is not None:
            raise failure

    def named(name):
        async def function(call, request):
            await act(call, request)

        function.__name__ = name
        return operation(function)

    services = [
        made_up(sqs.MODEL, named("list_queues"), named("delete_queue")),
        made_up(iam.MODEL, named("delete_user")),
        made_up(lambda_.MODEL, named("delete_function")),
        made_up(s3.MODEL, named("delete_bucket")),
    ]
    stage = Stage(*services)

    async def nobody(_key):
        return None

    async def find_ingress(address):
        return None if ingress is None else ingress(address)

    metrics = Metrics()
    application = Application(
        stage.table,
        Authenticator({}, nobody, default_account="000000000000", is_open=is_open),
        metrics,
        stage.ids,
        default_region="us-east-1",
        public_url=None,
        specials=specials or {},
        find_ingress=find_ingress,
        hosts={},
    )
    return application, metrics, act


def answer(application, request):
    async def main():
        return await application.handle(request)

    return asyncio.run(main())


def signed(service):
    scope = f"123456789012/20260101/eu-west-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"


def http(method="POST", path="/", body=b"", query="", service="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if service:
        named |= {"authorization": signed(service), "x-amz-date": "20260101T000000Z"}
    return Request(method, path, query, {"host": "localhost:4566", **named}, body, "localhost:4566", "10.0.0.1", False)


def as_json(target="AmazonSQS.DeleteQueue", body=b'{"QueueUrl": "http://localhost/000000000000/q"}', **more):
    return http(body=body, x_amz_target=target, content_type="application/x-amz-json-1.0", **more)


def as_query(body=b"Action=DeleteUser&Version=2010-05-08&UserName=u", **more):
    return http(body=body, content_type="application/x-www-form-urlencoded", **more)


def as_cbor(path="/service/AmazonSQS/operation/DeleteQueue", body=None, **more):
    data = cbor2.dumps({"QueueUrl": "u"}) if body is None else body
    return http(path=path, body=data, smithy_protocol="rpc-v2-cbor", content_type="application/cbor", **more)


def as_rest_json():
    return http("DELETE", "/2015-03-31/functions/f", service="lambda")


def as_rest_xml():
    return http("DELETE", "/bucket", service="s3")


def code_and_text(response):
    """Return what any SDK reads of an error: its code and text."""
    headers = {name.lower(): value for name, value in response.headers}
    kind = headers["content-type"]
    if "cbor" in kind:
        found = cbor2.loads(response.body)
        return found["__type"].rpartition("#")[2], found.get("message", found.get("Message"))
    if "json" in kind:
        found = json.loads(response.body)
        code = headers.get("x-amzn-errortype") or found["__type"]
        return code.rpartition("#")[2], found.get("message", found.get("Message"))
    text = response.body.decode()
    return re.search("<Code>(.*?)</Code>", text)[1], re.search("<Message>(.*?)</Message>", text)[1]


PROTOCOLS = {
    "json": as_json,
    "query": as_query,
    "cbor": as_cbor,
    "rest-json": as_rest_json,
    "rest-xml": as_rest_xml,
}


@pytest.fixture
def log():
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_error_on_purpose_keeps_code_text_and_status(protocol, log):
    application, _, _ = build(ServiceError.of("TooBusy", "Come back later.", 429))
    response = answer(application, PROTOCOLS[protocol]())
    code, text = code_and_text(response)
    assert response.status == 429
    assert code.removesuffix("Exception") == "TooBusy"
    assert text == "Come back later."
    assert log == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unavailable_store_is_503(protocol, log):
    application, _, _ = build(Unavailable(SECRET))
    response = answer(application, PROTOCOLS[protocol]())
    code, text = code_and_text(response)
    assert response.status == 503
    assert code.removesuffix("Exception") == "ServiceUnavailable"
    assert text == "The service is unavailable. Please try again shortly."
    assert SECRET not in str(response)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bug_is_an_internal_failure_without_its_words(protocol, log):
    application, _, _ = build(ValueError(SECRET))
    response = answer(application, PROTOCOLS[protocol]())
    code, text = code_and_text(response)
    assert response.status == 500
    assert code == "InternalFailure"
    assert text == "An internal error occurred."
    assert SECRET not in str(response)
    assert "Traceback" not in str(response)
    (entry,) = log
    assert entry["event"] == "request.failed"
    assert entry["request_id"] in str(response)
    assert isinstance(entry["exc_info"], ValueError)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_operation_that_is_not_implemented_is_named(protocol):
    requests = {
        "json": as_json("AmazonSQS.PurgeQueue"),
        "query": as_query(b"Action=GetUser&Version=2010-05-08"),
        "cbor": as_cbor("/service/AmazonSQS/operation/PurgeQueue"),
        "rest-json": http("GET", "/2015-03-31/functions/f", service="lambda"),
        "rest-xml": http("GET", "/bucket", query="acl", service="s3"),
    }
    names = {"json": "PurgeQueue", "query": "GetUser", "cbor": "PurgeQueue", "rest-json": "GetFunction"}
    application, _, _ = build()
    response = answer(application, requests[protocol])
    code, text = code_and_text(response)
    assert response.status == 501
    assert code.removesuffix("Exception") == "NotImplemented"
    assert f"Operation {names.get(protocol, 'GetBucketAcl')} of " in text


@pytest.mark.parametrize(
    ("request_", "status", "code", "part"),
    [
        (as_json("AmazonSQS.Nope"), 400, "UnknownOperationException", "SQS has no operation Nope"),
        (as_json("Nope.Nope"), 400, "UnknownOperationException", "The operation Nope is not known"),
        (as_json("no dot"), 400, "UnknownOperationException", "no dot"),
        (as_json("Kinesis_20131202.ListStreams", service="kinesis"), 501, "NotImplemented", "Service kinesis is not"),
        (as_json("DynamoDB_20120810.ListTables"), 501, "NotImplemented", "Service dynamodb is not part of Forebay"),
        (as_query(b"Action=Nope&Version=2010-05-08"), 400, "InvalidAction", "The action Nope is not valid"),
        (as_query(b"Action=ListTopics&Version=2010-03-31"), 501, "NotImplemented", "Service sns is not"),
        (as_cbor("/service/AmazonSQS/operation/Nope"), 400, "UnknownOperationException", "no operation Nope"),
        (as_cbor("/service/Nope/operation/Nope"), 400, "UnknownOperationException", "Nope"),
        (as_cbor("/nowhere"), 400, "UnknownOperationException", "is not known"),
        (http("GET", "/schedules", service="scheduler"), 501, "NotImplemented", "Service scheduler is not"),
        (http("PUT", "/2015-03-31/nothing", service="lambda"), 404, "UnknownOperationException", "method and path"),
        (http("PATCH", "/bucket/key"), 404, "UnknownOperationException", "method and path"),
    ],
)
def test_what_is_not_known_is_refused_in_the_clients_own_form(request_, status, code, part):
    application, metrics, _ = build()
    response = answer(application, request_)
    found, text = code_and_text(response)
    assert (response.status, found) == (status, code)
    assert part in text
    assert metrics.operations["", ""].codes == {code: 1}


@pytest.mark.parametrize("protocol", ["json", "cbor", "query"])
def test_body_that_does_not_decode_is_the_callers_error(protocol, log):
    requests = {
        "json": as_json(body=b"{"),
        "cbor": as_cbor(body=b"\xff"),
        "query": as_query(b"Action=DeleteUser&Version=2010-05-08"),
    }
    application, _, act = build()
    response = answer(application, requests[protocol])
    assert response.status == 400
    assert not hasattr(act, "caller")
    assert log == []


def test_failure_while_a_service_is_loaded_is_answered_and_can_be_mended(log):
    application, _, _ = build()
    load, application._table.load = application._table.load, None

    async def broken(_service):
        raise RuntimeError(SECRET)

    application._table.load = broken
    response = answer(application, as_json())
    assert code_and_text(response) == ("InternalFailure", "An internal error occurred.")
    assert SECRET not in str(response)
    application._table.load = load
    assert answer(application, as_json()).status == 200


def test_unsigned_request_to_a_closed_node_is_refused():
    application, _, _ = build(is_open=False)
    response = answer(application, as_json())
    code, text = code_and_text(response)
    assert response.status == 403
    assert code.startswith("MissingAuthenticationToken")
    assert text == "Request is missing Authentication Token"


def test_unknown_key_on_a_closed_node_is_refused():
    application, _, act = build(is_open=False)
    response = answer(application, as_json(service="sqs"))
    assert response.status == 403
    assert code_and_text(response)[0] == "UnrecognizedClientException"
    assert not hasattr(act, "caller")


def test_caller_is_who_the_signature_says():
    application, _, act = build()
    answer(application, as_json(service="sqs", x_amzn_trace_id="Root=1", user_agent="test"))
    caller = act.caller
    assert (caller.account, caller.region) == ("123456789012", "eu-west-1")
    assert caller.principal == "arn:aws:iam::123456789012:root"
    assert (caller.endpoint, caller.source_ip) == ("http://localhost:4566", "10.0.0.1")
    assert (caller.trace_header, caller.user_agent) == ("Root=1", "test")


def test_answers_are_counted_by_operation_and_code():
    application, metrics, _ = build(ServiceError.of("TooBusy", "", 429))
    for _ in range(2):
        answer(application, as_json())
    counted = metrics.operations["sqs", "DeleteQueue"]
    assert counted.codes == {"TooBusy": 2}
    assert sum(counted.buckets) == 2


def test_special_paths_are_no_aws_api():
    async def special(request):
        return Response(200, (), request.path.encode())

    application, _, _ = build(specials={"_forebay": special, "metrics": special})
    assert answer(application, http("GET", "/_forebay/health")).body == b"/_forebay/health"
    assert answer(application, http("GET", "/metrics")).body == b"/metrics"
    assert answer(application, http("DELETE", "/metrics-of-mine")).status == 204


@pytest.mark.parametrize(
    ("host", "path", "seen"),
    [
        ("abc.execute-api.localhost:4566", "/claims", "execute-api abc /claims"),
        ("localhost:4566", "/_aws/execute-api/abc/claims", "execute-api abc /claims"),
        ("localhost:4566", "/_aws/execute-api/abc", "execute-api abc /"),
        ("u1.lambda-url.localhost:4566", "/x", "lambda-url u1 /x"),
    ],
)
def test_ingress_is_found_by_host_or_path(host, path, seen):
    def ingress(address):
        async def handle(_request):
            return Response(200, (), f"{address.label} {address.resource_id} {address.path}".encode())

        return handle

    application, _, _ = build(ingress=ingress)
    response = answer(application, http("GET", path)._replace(host=host))
    assert response.body.decode() == seen
