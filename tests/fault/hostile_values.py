"""Texts, numbers, headers, paths and queries that are wrong somewhere, for requests that nobody should send."""
# ruff: noqa: E501, ISC004 - tables of many short values read best with many a line

import re
from typing import Any

from tests.fault.hostile_world import ACCOUNT, HOST, REGION

_DEEP_LIST: Any = []
for _ in range(300):
    _DEEP_LIST = [_DEEP_LIST]
_DEEP_MAP: Any = {}
for _ in range(60):
    _DEEP_MAP = {"a": _DEEP_MAP, "M": {"S": "x"}}

TEXTS = (
    *("", " ", "\t", "\r\n", "\0", "a\0b", "\x01", "\x7f", "\ud800", "\udfffa", "\u202e", "\ufeff", "\u0130", "é" * 300),
    *("a" * 65, "a" * 257, "a" * 1025, "a" * 70_000, "雪" * 5000, "😀" * 300, "/" * 2000, "." * 300, "*" * 200),
    *("0", "-1", "+1", "1.0", "1e9", "1e999", "9" * 30, "0x10", "١٢", "²", "NaN", "Infinity", "true", "null", "None"),
    *("[]", "{}", "[1", '{"a":', '{"a":NaN}', '"', "'", "[" * 2000, '{"a":' * 500, "<a>", "<![CDATA[", "&amp;", "%", "%00"),
    *("arn:", "arn:aws:", ":::::", "arn:aws:sqs:::", "arn:aws:sqs:us-east-1:x:", "arn::::::::", "arn:aws:s3:::bucket/../x"),
    *(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:{'9' * 40}", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/"),
    *(f"arn:aws:sqs:{REGION}:{ACCOUNT}:", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:x", "arn:aws:iam::x:role/"),
    *("http://", "http://[::1", "http://127.0.0.1:99999/x", "http://127.0.0.1:1/x", "//", "file:///etc/passwd", "s3://"),
    *(f"http://{HOST}/", f"http://{HOST}/{ACCOUNT}/", f"http://{HOST}/1/2/3", "https://[v1.x]/a/b", "http://a b/c/d"),
    *("..", "../../../etc/passwd", "/../..", "./.", "a/../../b", "C:\\x", "~", "-", "--help", "$(id)", "`id`", "${", "${a}"),
    *("{{resolve:ssm:/p/a}}", "{{resolve:", "$.", "$..", "$[", "$.a[999999999999]", "<a", "<aws.events.event>", "$default"),
    *("AAAA", "e30=", "W10=", "MA==", "bnVsbA==", "W1sxXV0=", "/w==", "Ojo6", "AAEC", "W1tbW1tbW1tbW1tb", "eyJhIjoxfQ=="),
    *("AAAA=", "A===", "!!!!", "eyJ" * 30, "gASV", "AQEB" * 20, "\\", "\\u", "?", "*", "**", "a,b", "a=b&c", "a;b", "#", "@", "|"),
    *("2026-13-45T99:99:99Z", "9999999999999999", "-62135596801", "1970-01-01", "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("rate(0 minutes)", "rate(99999999999999 days)", "cron(* * * * ? *)", "cron(0 0 30 2 ? *)", "at(x)", "cron(" + "*" * 200),
    *("[", "(a+)+$", "(?P<a>", "ANY /{a}/{a}", "GET /{a+}/b", "{", "}", "{a", "a}", "!!python/object:os.system", "&a [*a]", "? ? ?"),
    '{"detail":{"a":[{"numeric":[">",1e400]}]}}',
    '{"a":[{"wildcard":"' + "*a" * 300 + '"}]}',
    '{"a":[{"cidr":"::/999"},{"prefix":null},{"anything-but":{"prefix":[]}},{"exists":"x"},{"numeric":[]}]}',
    '{"$or":[' + '{"a":[1]},' * 600 + '{"a":[2]}]}',
    '{"Resources":{"A":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":{"Ref":"A"}}}}}',
    '{"Resources":{"A":{"Type":"AWS::SNS::Topic","DependsOn":"B"},"B":{"Type":1,"DependsOn":["A",{}]}}}',
    "a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n",
    "Resources: {A: {Type: AWS::SQS::Queue, Properties: {Tags: !Sub [1, 2, 3], QueueName: !GetAtt 5}}}",
    "Transform: AWS::Serverless-2016-10-31\nResources: {A: {Type: AWS::Serverless::Function, Properties: 5}}",
)  # fmt: skip
TOKENS = tuple(text for text in TEXTS if re.fullmatch("[A-Za-z0-9+/=_-]{3,}", text))
VALUES: tuple[Any, ...] = (
    *({"Ref": "Nothing"}, {"Ref": None}, {"Ref": ["AWS::Region"]}, {"Fn::GetAtt": ["Queue"]}, {"Fn::GetAtt": {"a": 1}}, {"Fn::GetAtt": "a"}),
    *({"Fn::Sub": "${"}, {"Fn::Sub": ["${a}", []]}, {"Fn::Sub": {"a": 1}}, {"Fn::Join": [1, {}]}, {"Fn::Join": ",".join("ab")}),
    *({"Fn::Select": [9, ["a"]]}, {"Fn::Select": ["x", []]}, {"Fn::Select": []}, {"Fn::Split": ["", "a"]}, {"Fn::FindInMap": ["Map", {}, 1]}),
    *({"Fn::If": ["No", 1, 2]}, {"Fn::If": []}, {"Fn::Nothing": 1}, {"Ref": "a", "Fn::Sub": "b"}, {"Fn::ImportValue": {}}, {"Fn::Base64": []}),
    *({"Ref": "AWS::NoValue"}, {"Ref": "AWS::Nothing"}, {"Fn::Cidr": ["x", 1]}, {"Fn::Transform": {"Name": "AWS::Include"}}, {"Condition": 1}),
    *({"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "file:///etc/passwd"}}}, {"Fn::GetAZs": 5}, {"Fn::Length": 1}),
    *(None, True, False, 0, -1, 1, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**40, -(2**63) - 1),
    *(0.5, -0.5, 1e308, 1e-320, 4_000_000_000.5, 253402300800, -62135596801),
    *([], {}, [None], [[]], [{}], [""], ["a", "a"], ["a"] * 1001, {"a": None}, {"": ""}, {"a": {"b": 1}}, {"__type": "x"}),
    *({"a" * 600: "b"}, {f"k{at}": "v" for at in range(120)}, {"Key": "a", "Value": "b"}, [{"Id": "1"}, {"Id": "1"}]),
    *(_DEEP_LIST, _DEEP_MAP),
)  # fmt: skip
NUMBERS = tuple(value for value in VALUES if isinstance(value, (int, float)))
HEADERS = (
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "multipart/form-data; boundary=x"),
    ("content-type", "\xff\xfe; charset=utf-99"),
    ("content-encoding", "gzip"),
    ("content-encoding", "aws-chunked"),
    ("content-md5", "AAAA"),
    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    ("x-amz-content-sha256", "0" * 64),
    ("x-amz-decoded-content-length", "-5"),
    ("x-amz-decoded-content-length", "9" * 40),
    ("x-amz-checksum-crc32", "AAAA"),
    ("x-amz-checksum-sha256", "\xff"),
    ("x-amz-sdk-checksum-algorithm", "MD99"),
    ("x-amz-trailer", "x-amz-checksum-crc32"),
    ("x-amz-target", "AmazonSQS."),
    ("x-amz-target", "."),
    ("x-amz-target", "AWSEvents.PutEvents.x"),
    ("x-amz-target", "\xff" * 20),
    ("smithy-protocol", "rpc-v2-cbor"),
    ("x-amz-date", "20261301T999999Z"),
    ("x-amz-security-token", "\xe9" * 40),
    ("x-amz-copy-source", "%"),
    ("x-amz-copy-source", "/bucket/key?versionId="),
    ("x-amz-copy-source-range", "bytes=9-1"),
    ("x-amz-tagging", "a=b&a=c&%zz"),
    ("x-amz-acl", "nobody"),
    ("x-amz-meta-a", "\xff"),
    ("range", "bytes=-0"),
    ("range", "bytes=5-1"),
    ("range", "bytes=" + "0-1," * 500),
    ("range", "bytes=" + "9" * 40 + "-"),
    ("if-match", '"'),
    ("if-none-match", "*"),
    ("if-modified-since", "yesterday"),
    ("if-unmodified-since", "Thu, 99 Jan 9999 99:99:99 GMT"),
    ("origin", "https://a.example"),
    ("origin", "\xff"),
    ("access-control-request-method", "X" * 300),
    ("access-control-request-headers", ",,,"),
    ("cookie", "a=b; ; =; \xff"),
    ("x-amzn-trace-id", "Root=;;;=" * 30),
    ("user-agent", "\x80" * 300),
    ("x-forwarded-for", "::::"),
    ("accept", "*/*;q=x"),
    ("x-type", "\xe9"),
)
HOSTS = (
    *("", ":", "a", "a:b", "[", "[::1]:1", "..", ".execute-api.localhost", "x.execute-api.localhost:1", "a.b.c.d.e"),
    *("x.lambda-url.localhost", "\xff", "a" * 5000, "bucket.s3.localhost", "bucket.s3.us-east-1.amazonaws.com"),
    *("..s3.localhost", "%00.s3.localhost", "*.s3.localhost", "code.lambda-url.localhost", "localhost:99999"),
)  # fmt: skip
AUTHORIZATIONS = (
    *("", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"),
    "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=, Signature=",
    "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=;;;, Signature=zz",
    f"AWS4-HMAC-SHA256 Credential=AKIAAAAAAAAAAAAAAAAA/x/{'r' * 3000}/sqs/aws4_request, SignedHeaders=host, Signature=00",
    "AWS4-HMAC-SHA256 Credential=ASIAAAAAAAAAAAAAAAAA/\xff/\xe9/sqs/aws4_request, SignedHeaders=\xff, Signature=0",
    "AWS4-HMAC-SHA256 Credential=111111111111/20260101/eu-\xe9/sqs/aws4_request, SignedHeaders=host, Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/1/r/nosuchservice/aws4_request, SignedHeaders=host, Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/1//execute-api/aws4_request, SignedHeaders=host, Signature=0",
    *("Basic AAAA", "Bearer " + "e" * 9000, "AWS a:b", "AWS4-ECDSA-P256-SHA256 Credential=a", "\xff\xfe"),
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
PATH_PIECES = (
    *("..", ".", "%2e%2e", "%2F", "%00", "%ff", "%zz", "%", "//", "/", "{a}", "*", "~", "%ED%A0%80", "a" * 3000, "%0d%0aX:y"),
    *("bucket", "key", "2015-03-31", "functions", "f", "v2", "apis", ACCOUNT, "queue", "_aws", "_forebay", "metrics"),
    *("service", "AmazonSQS", "operation", "ListQueues", "invocations", "versions", "tags", "$default", "dev", "@", ":", ";x=y"),
)  # fmt: skip
QUERIES = (
    *("response-content-disposition=%E9%9B%AA", "response-content-type=a%0d%0ab", "response-expires=x", "response-cache-control=%00"),
    *("", "a", "=", "&&", "%", "%zz=%ff", "a=%ED%A0%80", "a=%00", "uploads", "list-type=2&max-keys=-1", "partNumber=0&uploadId=x"),
    *("versionId=", "tagging&acl&policy", "delete", "marker=\x7f", "Action=", "Action=ListQueues", "Action=X&Version=2012-11-05"),
    *("Action=CreateStack&Version=2010-05-15&" + "a.1=b&" * 300, "X-Amz-Signature=", "X-Amz-Signature=00&X-Amz-Expires=x"),
    *("&".join(f"a{at}=b" for at in range(2500)), "max-keys=" + "9" * 40, "encoding-type=x", "continuation-token=%00"),
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F1%2Fr%2Fs3%2Faws4_request&X-Amz-Date=x&X-Amz-Expires=1"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
    "X-Amz-Credential=AKIAAAAAAAAAAAAAAAAA%2F1%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z"
    "&X-Amz-Expires=-9999999999999999999&X-Amz-SignedHeaders=%ff&X-Amz-Signature=\x7f",
)  # fmt: skip
INDEXES = ("0", "-1", "2", "99", "999999999", "9" * 25, "x", "", "01", "1.1", "²")

# What a function may return, from what is right to what is none of an answer.
ANSWERS = (
    *({}, None, [], "", "text", 5, True, {"statusCode": 200}, {"statusCode": "200", "body": "x"}, {"statusCode": 99}),
    *({"statusCode": 1e99}, {"statusCode": None}, {"statusCode": 200.5}, {"statusCode": 204, "body": "x"}, {"statusCode": 600}),
    *({"statusCode": 200, "headers": {"a\r\nb": "c"}}, {"statusCode": 200, "headers": {"": "c", "\u96ea": "\u96ea"}}),
    *({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, {"statusCode": 200, "headers": {"a": [1, {}]}}),
    *({"statusCode": 200, "headers": []}, {"statusCode": 200, "headers": {"Content-Length": "5", "Transfer-Encoding": "x"}}),
    *({"statusCode": 200, "body": {"a": 1}}, {"statusCode": 200, "body": "!!", "isBase64Encoded": True}),
    *({"statusCode": 200, "body": "\ud800"}, {"statusCode": 200, "cookies": ["a=b\r\nx: y", 5, None]}, {"statusCode": 101}),
    *({"statusCode": 200, "multiValueHeaders": {"a": "b"}}, {"statusCode": 200, "multiValueHeaders": {"a": ["\0", "\xff"]}}),
    *({"statusCode": 304, "headers": {"etag": "\t"}}, {"statusCode": 200, "isBase64Encoded": "x"}, {"errorMessage": "x"}),
)  # fmt: skip
