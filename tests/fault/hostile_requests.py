"""Requests that nobody should send, made from those that clients would: valid by the model, near a real resource, broken.

A `Sample` is one valid request taken apart, so that it is cheap to put together again with one part changed. Values
are those of the world where a member is called after one of its resources (also ids and tokens out of answers).
"""

import base64
import copy
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import cbor2
from botocore.model import ListShape, Shape, StructureShape

from forebay.core.http import Request
from forebay.core.shapes import Operation
from tests.fault.hostile_world import ACCOUNT, HOST, REGION, signed
from tests.property.codecs.oracle import Side, labels_for, request_for
from tests.property.codecs.test_hostile_input import PIECES, damaged
from tests.property.codecs.values import Unfit, Values

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")
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
    ("x-amz-meta-\xe9", "\xff"),
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


@dataclass(frozen=True)
class Sample:
    """A valid request in parts. `tree` is the body of `kind` json, cbor or form (pairs); `body` any other."""

    side: Side
    operation: Operation
    labels: dict[str, str]
    request: Request
    kind: str
    tree: Any

    @property
    def name(self) -> str:
        """Which operation it is, in which protocol."""
        return f"{self.side.ours.name}.{self.operation.name} ({self.side.protocol})"


def samples_of(
    side_: Side,
    operation: Operation,
    seed: int,
    names: Mapping[str, list[Any]],
    count: int,
    extras: Mapping[str, dict[str, Any]],
) -> list[Sample]:
    """Return up to `count` valid requests of an operation, with the world's names where a member asks for one.

    `extras` are members that an operation needs although its model does not say so.
    """
    model = side_.theirs.operation_model(operation.name)
    found: list[Sample] = []
    if not operation.name.startswith(("Create", "Put", "Publish", "Import")):
        names = {name: _existing(values) for name, values in names.items()}
    for at in range(count * 2):
        chance = random.Random(seed * 1000 + at)
        try:
            params = Values(seed + at, full=side_.protocol != "json").for_input(model)
            if at % 2 == 0 and model.input_shape:
                # Few members, so that little but the mutation stands between the request and the operation's depths.
                params = only_required(model.input_shape, params) | extras.get(operation.name, {})
            params = named(chance, params, names, 1.0 if at % 2 == 0 else 0.9)
            request = request_for(side_, model, params)
            labels = labels_for(side_, operation.name, request)
        except (Unfit, AssertionError, ValueError, TypeError, AttributeError, KeyError):
            continue
        found.append(_taken_apart(side_, operation, labels, signed(request._replace(host=HOST), _scope(side_))))
        if len(found) == count:
            break
    return found


def _existing(values: list[Any]) -> list[Any]:
    """Leave out the names that nothing has yet."""
    return [value for value in values if not (isinstance(value, str) and value.startswith(("new", "/p/new")))]


def only_required(shape: Shape, value: Any) -> Any:
    """Return plain values without the members that their shape does not require, at any depth."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        names = shape.required_members
        return {name: only_required(shape.members[name], value[name]) for name in names if name in value}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [only_required(shape.member, item) for item in value[: max(1, shape.metadata.get("min", 0))]]
    return value


def _scope(side_: Side) -> str:
    return side_.ours.signing_name


def _taken_apart(side_: Side, operation: Operation, labels: dict[str, str], request: Request) -> Sample:
    content = request.headers.get("content-type", "")
    if side_.protocol == "query":
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        return Sample(side_, operation, labels, request, "form", pairs)
    if side_.protocol == "smithy-rpc-v2-cbor" and request.body:
        return Sample(side_, operation, labels, request, "cbor", cbor2.loads(request.body))
    if request.body[:1] in (b"{", b"[") and (side_.protocol == "json" or "json" in content or not content):
        try:
            return Sample(side_, operation, labels, request, "json", json.loads(request.body))
        except ValueError:
            pass
    return Sample(side_, operation, labels, request, "raw", None)


def named(chance: random.Random, value: Any, names: Mapping[str, list[Any]], share: float, member: str = "") -> Any:
    """Return a copy of plain values in which members called as in `names` have one of those values, mostly."""
    if member and chance.random() < share and (known := names.get(member.lower())):
        one = chance.choice(known)
        if isinstance(value, list) and not isinstance(one, list):
            return [one]
        if type(one) is type(value) or not isinstance(value, (dict, list)):
            return one
    if isinstance(value, dict):
        return {key: named(chance, item, names, share, key) for key, item in value.items()}
    if isinstance(value, list):
        return [named(chance, item, names, share, member) for item in value]
    return value


class Maker:
    """Makes requests out of samples. `harvest` gives values out of answers by lower-case member name."""

    def __init__(self, chance: random.Random, harvest: Mapping[str, list[Any]]) -> None:
        self.chance = chance
        self.harvest = harvest

    def make(self, sample: Sample, names: Mapping[str, list[Any]]) -> Request:
        """Return a request like the sample: as it is, nearer to the world, or broken in one to three places."""
        chance = self.chance
        tree = sample.tree
        labels, pairs = sample.labels, parse_qsl(sample.request.query, keep_blank_values=True)
        known = {**self.harvest, **names} if chance.random() < 0.5 else {**names, **self.harvest}
        if chance.random() < 0.5:
            labels = {name: self._known(name, value, known) for name, value in labels.items()}
            pairs = [(name, self._known(name, value, known)) for name, value in pairs]
            if sample.kind == "form":
                tree = [(name, self._known(name.rpartition(".")[2], value, known)) for name, value in tree]
            elif tree is not None:
                tree = named(chance, tree, known, 0.5)
        request = sample.request
        times = chance.choice((0, 0, 1, 1, 1, 2, 3))
        if not times:
            return _put_together(sample, labels, pairs, tree, request)
        if sample.kind in ("json", "cbor"):
            tree = copy.deepcopy(tree)
        late = []
        for _ in range(times):
            part = chance.random()
            if part < 0.08:
                request = self._header(request)
            elif part < 0.14:
                late.append(self._late)
            elif part < 0.34 and labels:
                labels = self._label(labels)
            elif part < 0.54 and sample.side.protocol.startswith("rest"):
                pairs = self._pair(pairs)
            elif sample.kind == "form":
                tree = self._pair(tree)
            elif tree is not None:
                tree = self._tree(tree)
            else:
                request = request._replace(body=damaged(chance, request.body))
        request = _put_together(sample, labels, pairs, tree, request)
        for change in late:
            request = change(request)
        return request

    def _known(self, name: str, value: str, known: Mapping[str, list[Any]]) -> str:
        values = known.get(name.lower())
        return str(self.chance.choice(values)) if values and self.chance.random() < 0.6 else value

    def _header(self, request: Request) -> Request:
        chance = self.chance
        headers = dict(request.headers)
        kind = chance.randrange(4)
        if kind == 0:
            headers.pop(chance.choice(list(headers)), None)
        elif kind == 1:
            name = chance.choice(list(headers))
            headers[name] = damaged(chance, headers[name].encode("latin-1")).decode("latin-1")
        elif kind == 2:
            headers["authorization"] = chance.choice(AUTHORIZATIONS)
        else:
            name, value = chance.choice(HEADERS)
            headers[name] = value
        return request._replace(headers=headers)

    def _late(self, request: Request) -> Request:
        """Change what the parts do not show: raw bytes, method, host, raw path and query."""
        chance = self.chance
        match chance.randrange(6):
            case 0 | 1:
                return request._replace(body=damaged(chance, request.body))
            case 2:
                return request._replace(method=chance.choice(METHODS))
            case 3:
                return request._replace(host=chance.choice(HOSTS))
            case 4:
                return request._replace(path=ascii_path(damaged(chance, request.path.encode())))
            case _:
                return request._replace(query=chance.choice(QUERIES))

    def _label(self, labels: dict[str, str]) -> dict[str, str]:
        return {**labels, self.chance.choice(list(labels)): self.chance.choice(TEXTS)}

    def _pair(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        chance = self.chance
        pairs = list(pairs)
        if not pairs or chance.random() < 0.1:
            return [*pairs, (chance.choice(TEXTS[:60]), chance.choice(TEXTS))]
        at = chance.randrange(len(pairs))
        name, value = pairs[at]
        if (inner := self._inside(value)) is not None:
            pairs[at] = (name, inner)
            return pairs
        match chance.randrange(8):
            case 0:
                del pairs[at]
            case 1:
                pairs.append((name, chance.choice(TEXTS)))
            case 2:
                pairs[at] = (re.sub(r"\d+", lambda _: chance.choice(_INDEXES), name), value)
            case 3:
                pairs[at] = (name + chance.choice((".1", ".member.1", ".entry.1.key", ".", "..", ".Name", ".x")), value)
            case 4:
                pairs += [(f"{name}.{index}", value) for index in range(chance.choice((3, 30, 300)))]
            case _:
                pairs[at] = (name, chance.choice(self._texts(name)))
        return pairs

    def _texts(self, member: Any) -> tuple[str, ...]:
        is_token = isinstance(member, str) and member.lower().endswith(("token", "marker", "handle"))
        return TOKENS if is_token else TEXTS

    def _tree(self, tree: Any) -> Any:
        """Change one place of a tree, in place where it can be."""
        chance = self.chance
        places = list(_places(tree))
        if not places or chance.random() < 0.03:
            return copy.deepcopy(chance.choice((*VALUES, *TEXTS[:20])))
        holder, key = chance.choice(places)
        old = holder[key]
        if isinstance(old, str) and (inner := self._inside(old)) is not None:
            holder[key] = inner
            return tree
        match chance.randrange(10):
            case 0:
                del holder[key]
            case 1:
                holder[key] = chance.choice(([old], {"a": old}, str(old), [old, old], [old] * 30, None))
            case 2 if isinstance(old, list) and old:
                holder[key] = old * chance.choice((2, 11, 101))
            case 2 if isinstance(old, str):
                holder[key] = old * 2 if chance.random() < 0.5 else old[:-1]
            case 3 if isinstance(holder, dict):
                holder[chance.choice((key.upper(), key.lower(), key + " ", "", "\0", "__type", "x" * 300))] = old
            case 4 | 5 | 6 if isinstance(old, (int, float)):
                holder[key] = chance.choice(NUMBERS)
            case 4 | 5 | 6 | 7:
                holder[key] = chance.choice(self._texts(key))
            case _:
                holder[key] = copy.deepcopy(chance.choice(VALUES))
        return tree


    def document(self, text: str) -> str:
        """Change one to four places of a JSON document."""
        return self._inside(text) or text

    def _inside(self, text: str) -> str | None:
        """Change one place of a document that is the text of a member (a template, pattern, policy), mostly."""
        if text[:1] not in ("{", "[") or self.chance.random() < 0.2:
            return None
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            return None
        for _ in range(self.chance.choice((1, 1, 1, 2, 4))):
            tree = self._tree(tree) if isinstance(tree, (dict, list)) else tree
        return json.dumps(tree)


_INDEXES = ("0", "-1", "2", "99", "999999999", "9" * 25, "x", "", "01", "1.1", "²")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


def _put_together(
    sample: Sample, labels: dict[str, str], pairs: list[tuple[str, str]], tree: Any, request: Request
) -> Request:
    if labels is not sample.labels:
        template = sample.operation.uri.partition("?")[0]

        def fill(label: re.Match[str]) -> str:
            return quote(labels.get(label[1], ""), safe="/~" if label[2] else "~", errors="surrogatepass")

        request = request._replace(path=_LABEL.sub(fill, template))
    if sample.request.query or pairs:
        request = request._replace(query=urlencode(pairs, errors="surrogatepass"))
    if tree is not sample.tree:
        request = request._replace(body=_body(sample.kind, tree))
    return request


def _body(kind: str, tree: Any) -> bytes:
    if kind == "form":
        return urlencode(tree, errors="surrogatepass").encode()
    if kind == "cbor":
        try:
            return cbor2.dumps(tree)
        except (cbor2.CBOREncodeError, UnicodeEncodeError, OverflowError):
            return b"\xbf\xff"
    return json.dumps(tree, default=_as_text).encode()


def _as_text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else repr(value)


def ascii_path(data: bytes) -> str:
    """Return bytes as the server would hand them on in a path: printable ASCII that begins with a slash."""
    text = "".join(chr(byte) for byte in data if 33 <= byte < 127 and byte not in b"?#")
    return "/" + text.lstrip("/") if not text.startswith("/") else text


class Wild:
    """Makes requests that belong to no operation: paths, ingress, the node's own API."""

    def __init__(self, chance: random.Random, names: Mapping[str, Mapping[str, list[Any]]]) -> None:
        self.chance = chance
        self._names = names

    def make(self) -> Request:
        """Return a request of one of the kinds."""
        make = self.chance.choice((self._paths, self._api, self._api, self._api, self._control, self._presigned, self._form))
        request = make()
        if self.chance.random() < 0.2:
            name, value = self.chance.choice(HEADERS)
            request = request._replace(headers={**request.headers, name: value})
        if self.chance.random() < 0.1:
            request = request._replace(headers={**request.headers, "authorization": self.chance.choice(AUTHORIZATIONS)})
        return request

    def _blank(self, path: str, method: str | None = None, query: str = "", body: bytes = b"", host: str = HOST) -> Request:
        return Request(method or self.chance.choice(METHODS), path, query, {}, body, host, "127.0.0.1", False)

    def _path(self, most: int = 6) -> str:
        return "/" + "/".join(self.chance.choices(PATH_PIECES, k=self.chance.randint(0, most)))

    def _paths(self) -> Request:
        request = self._blank(self._path(), query=self.chance.choice(QUERIES), body=self.chance.choice(PIECES))
        if self.chance.random() < 0.5:
            scope = self.chance.choice(("lambda", "apigateway", "s3", "sqs", "iam", "execute-api", "states", "nothing"))
            request = signed(request, scope)
        return request._replace(host=self.chance.choice(HOSTS)) if self.chance.random() < 0.3 else request

    def _api(self) -> Request:
        """Return a request to the world's HTTP API."""
        chance = self.chance
        api_id = self._names["apigatewayv2"]["apiid"][0]
        path = chance.choice(("/queue", "/bus/a/b", "/bus/%00/%ff", "/receive", "/proxy/a", "/dev/queue", "/dev", ""))
        if chance.random() < 0.3:
            path += self._path(3)
        body = chance.choice((b'{"message":"x"}', b'{"message":{"a":[1,null]}}', b'{"a":1}', b"[1]", *PIECES))
        if chance.random() < 0.3:
            body = damaged(chance, b'{"message":"' + b"x" * 50 + b'"}')
        query = chance.choice(("", "n=5", "n=99999999999", "n=x", "time=x", "time=2026-01-01T00:00:00Z", "a=%0d%0a", *QUERIES))
        host = f"{api_id}.execute-api.localhost:4566"
        if chance.random() < 0.3:
            path, host = f"/_aws/execute-api/{api_id}{path}", HOST
        headers = {"x-type": chance.choice(("t", "", "\xff", "a" * 200, "x\ty"))}
        if chance.random() < 0.5:
            headers["content-type"] = chance.choice(("application/json", "text/plain", "application/x-www-form-urlencoded"))
        return self._blank(path or "/", query=query, body=body, host=host)._replace(headers=headers)

    def _control(self) -> Request:
        chance = self.chance
        name = chance.choice(
            ("health", "ready", "version", "clock", "clock", "trace", "events", "sqs/peek", "sqs/redrive", "sqs/x", "x/y", "")
        )
        if chance.random() < 0.1:
            name += self._path(2)
        query = chance.choice(
            ("queue=queue", "queue=queue&limit=-1", "queue=queue&limit=2", "queue=dead&limit=x", "queue=%00", "id=x", "id=%ff",
             "after=0", "after=-1", "after=" + "9" * 30, "after=0&wait=x", "account=%00&region=&queue=queue", *QUERIES)
        )  # fmt: skip
        bodies = (
            b"{}", b'{"advance":1}', b'{"advance":-1}', b'{"advance":1e300}', b'{"freeze":"x"}', b'{"freeze":NaN}',
            b'{"advance":null}', b'{"resume":false}', b'{"freeze":true,"advance":1}', b'{"x":1}', b"[]", *PIECES,
        )  # fmt: skip
        path = "/metrics" if chance.random() < 0.1 else f"/_forebay/{name}"
        return self._blank(path, query=query, body=chance.choice(bodies))

    def _presigned(self) -> Request:
        path = self.chance.choice(("/bucket/key", "/bucket", "/", "/2015-03-31/functions/f", "/_aws/lambda-url/code/x"))
        query = damaged(self.chance, QUERIES[-1].encode()).decode("latin-1")
        query = "".join(character for character in query if "!" <= character <= "~" and character != "#")
        return self._blank(path, query=query)

    def _form(self) -> Request:
        """Return a form post as HTML pages and old clients make them, to any path."""
        chance = self.chance
        pairs = [(chance.choice(("Action", "Version", "QueueUrl", "a.1", "AttributeName.1", *TEXTS[:30])),
                  chance.choice(("ListQueues", "2012-11-05", "SendMessage", *TEXTS))) for _ in range(chance.randint(1, 6))]  # fmt: skip
        body = urlencode(pairs, errors="surrogatepass").encode()
        request = self._blank(chance.choice(("/", f"/{ACCOUNT}/queue", self._path(2))), "POST", body=body)
        return request._replace(headers={"content-type": "application/x-www-form-urlencoded"})
