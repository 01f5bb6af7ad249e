import json

import pytest

from forebay.api import apigateway, apigatewayv2, lambda_, s3
from forebay.core.errors import ServiceError
from forebay.wire.codecs import codec_for
from tests.unit.wire.codecs.requests import request

LAMBDA = codec_for(lambda_.MODEL, "rest-json")
HTTP_API = codec_for(apigatewayv2.MODEL, "rest-json")
REST_API = codec_for(apigateway.MODEL, "rest-json")
S3 = codec_for(s3.MODEL, "rest-xml")
INVOKE = lambda_.MODEL.operations["Invoke"]
NAMESPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def refusal(codec, operation, got, labels) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        codec.decode(operation, got, labels)
    return caught.value


def test_rest_json_reads_path_query_headers_and_payload():
    got = request(b"\x00{", query="Qualifier=live", headers={"x-amz-invocation-type": "Event"})
    assert LAMBDA.decode(INVOKE, got, {"FunctionName": "f"}) == lambda_.InvocationRequest(
        function_name="f", qualifier="live", invocation_type="Event", payload=b"\x00{"
    )


def test_rest_json_reads_a_body_in_its_own_case():
    got = request(b'{"name":"a","protocolType":"HTTP","corsConfiguration":{"maxAge":5}}')
    shape = HTTP_API.decode(apigatewayv2.MODEL.operations["CreateApi"], got, {})
    assert shape == apigatewayv2.CreateApiRequest(
        name="a", protocol_type="HTTP", cors_configuration=apigatewayv2.Cors(max_age=5)
    )


def test_path_and_body_may_use_one_name():
    labels = {"restapi_id": "a", "resource_id": "b", "http_method": "GET"}
    got = request(b'{"type":"AWS","httpMethod":"POST"}', method="PUT")
    shape = REST_API.decode(apigateway.MODEL.operations["PutIntegration"], got, labels)
    assert (shape.http_method, shape.integration_http_method) == ("GET", "POST")


def test_rest_json_words_every_broken_constraint():
    got = request(headers={"x-amz-log-type": "Head"}, query="Qualifier=a+b")
    error = refusal(LAMBDA, INVOKE, got, {"FunctionName": "f" * 300})
    assert error.code == "ValidationException"
    assert error.message.startswith("3 validation errors detected: Value 'fff")
    assert (
        "Value 'Head' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]"
        in (error.message)
    )


def test_unknown_runtime_has_lambdas_own_words():
    body = {"Role": "arn:aws:iam::123456789012:role/r", "Code": {}, "Runtime": "cobol", "FunctionName": "f"}
    error = refusal(LAMBDA, lambda_.MODEL.operations["CreateFunction"], request(json.dumps(body).encode()), {})
    assert error.code == "InvalidParameterValueException"
    assert error.message.startswith("Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum")
    assert error.message.endswith("] or be a valid ARN")


@pytest.mark.parametrize("body", [b"[]", b"{", b'"x"', b'{"Role":5}', b"\xff"])
def test_rest_json_refuses_what_it_cannot_read(body):
    error = refusal(LAMBDA, lambda_.MODEL.operations["CreateFunction"], request(body), {})
    assert (error.code, error.status) == ("SerializationException", 400)


def test_rest_json_answers_with_the_models_status_and_headers():
    output = lambda_.InvocationResponse(status_code=202, executed_version="1", payload=b"")
    response = LAMBDA.encode(INVOKE, output, "r")
    assert response.status == 202
    assert ("X-Amz-Executed-Version", "1") in response.headers
    created = HTTP_API.encode(apigatewayv2.MODEL.operations["CreateApi"], apigatewayv2.CreateApiResponse(), "r")
    assert (created.status, created.body) == (201, b"{}")
    stamped = apigatewayv2.CreateApiResponse(created_date=1.5)
    body = HTTP_API.encode(apigatewayv2.MODEL.operations["CreateApi"], stamped, "r").body
    assert json.loads(body) == {"createdDate": "1970-01-01T00:00:01.500Z"}
    deleted = HTTP_API.encode(apigatewayv2.MODEL.operations["DeleteApi"], None, "r")
    assert (deleted.status, deleted.body) == (204, b"")


def test_rest_json_error_has_its_code_in_a_header():
    error = lambda_.TooManyRequestsException("Slow down.", retry_after_seconds="3", reason="CallerRateLimitExceeded")
    response = LAMBDA.encode_error(INVOKE, error, "r")
    assert response.status == 429
    assert ("x-amzn-ErrorType", "TooManyRequestsException") in response.headers
    assert ("Retry-After", "3") in response.headers
    assert json.loads(response.body) == {"Type": "User", "message": "Slow down.", "Reason": "CallerRateLimitExceeded"}


def test_headers_cannot_be_split():
    output = lambda_.InvocationResponse(function_error="a\r\nSet-Cookie: b")
    assert ("X-Amz-Function-Error", "aSet-Cookie: b") in LAMBDA.encode(INVOKE, output, "r").headers


def test_rest_xml_reads_metadata_and_object():
    headers = {"x-amz-meta-colour": "blue", "content-type": "text/plain", "x-amz-tagging": "a=b"}
    shape = S3.decode(
        s3.MODEL.operations["PutObject"], request(b"data", headers=headers), {"Bucket": "b", "Key": "k/l"}
    )
    assert (shape.bucket, shape.key, shape.body, shape.metadata) == ("b", "k/l", b"data", {"colour": "blue"})
    assert (shape.content_type, shape.tagging) == ("text/plain", "a=b")


def test_rest_xml_reads_a_body():
    part = b"<Part><ETag>&quot;e&quot;</ETag><PartNumber>1</PartNumber></Part>"
    body = b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>"
    operation = s3.MODEL.operations["CompleteMultipartUpload"]
    shape = S3.decode(operation, request(body, query="uploadId=u"), {"Bucket": "b", "Key": "k"})
    assert shape.multipart_upload.parts == [s3.CompletedPart(e_tag='"e"', part_number=1)]


@pytest.mark.parametrize(
    "body",
    [b"<a>", b"text", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<a>" * 200 + b"</a>" * 200, b"<a>\xff</a>"],
)
def test_rest_xml_refuses_what_is_no_plain_document(body):
    error = refusal(S3, s3.MODEL.operations["DeleteObjects"], request(body, query="delete"), {"Bucket": "b"})
    assert error.code == "MalformedXML"


def test_rest_xml_answers_with_s3s_names():
    objects = [s3.Object(key="a&b", size=3, last_modified=0.0, e_tag='"e"')]
    output = s3.ListObjectsV2Output(name="b", contents=objects, is_truncated=False)
    response = S3.encode(s3.MODEL.operations["ListObjectsV2"], output, "r")
    assert response.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult ' + NAMESPACE)
    assert b"<Contents><Key>a&amp;b</Key><LastModified>1970-01-01T00:00:00Z</LastModified>" in response.body


def test_bucket_location_is_the_root_itself():
    response = S3.encode(
        s3.MODEL.operations["GetBucketLocation"], s3.GetBucketLocationOutput(location_constraint="eu-west-1"), "r"
    )
    assert response.body.endswith(b"<LocationConstraint " + NAMESPACE + b">eu-west-1</LocationConstraint>")


def test_grantee_keeps_its_type_attribute():
    grant = s3.Grant(grantee=s3.Grantee(type="CanonicalUser", id="i"), permission="READ")
    body = S3.encode(s3.MODEL.operations["GetBucketAcl"], s3.GetBucketAclOutput(grants=[grant]), "r").body
    assert (
        b'<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
        b"<ID>i</ID></Grantee><Permission>READ</Permission></Grant>"
    ) in body


def test_s3_error_is_bare_and_head_has_none():
    error = s3.NoSuchKey("The specified key does not exist.")
    response = S3.encode_error(s3.MODEL.operations["GetObject"], error, "r")
    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
        b"<Message>The specified key does not exist.</Message><RequestId>r</RequestId></Error>"
    )
    assert S3.encode_error(s3.MODEL.operations["HeadObject"], error, "r").body == b""
