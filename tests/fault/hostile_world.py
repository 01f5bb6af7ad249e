"""A whole node without a socket, with a small world of resources in it, for requests by the thousand.

The node's clock stands still and is stepped to the next thing anyone waits for, so long polls, retries and deploys
take no real time. Whatever the node logs as an error is kept: a bug that was answered politely is a bug.
"""

import asyncio
import contextlib
import io
import json
import re
import tempfile
import time
import traceback
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from forebay import node as composition
from forebay.config import Config
from forebay.core.clock import Clock
from forebay.core.http import Request, Response
from forebay.core.ids import Ids
from tests.fault.hostile_cases import SAM, WIDE
from tests.property.codecs.oracle import parsed_by_botocore, request_for, side

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/role"
HOST = "localhost:4566"
# Real time, which also passes while others use the machine: past it, nobody works on the answer.
SECONDS_MAX = 30.0

_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
TEMPLATE = {
    "Parameters": {"Name": {"Type": "String", "Default": "made"}},
    "Conditions": {"Always": {"Fn::Equals": [{"Ref": "Name"}, "made"]}},
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 1}},
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Condition": "Always",
            "Properties": {
                "EventPattern": {"source": ["a"]},
                "Targets": [{"Id": "1", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
            },
        },
    },
    "Outputs": {"Url": {"Value": {"Fn::Sub": "${Queue}-${AWS::Region}"}}},
}
OPEN_API = {
    "openapi": "3.0.1",
    "info": {"title": "imported", "version": "1"},
    "x-amazon-apigateway-cors": {"allowOrigins": ["*"]},
    "paths": {
        "/x/{id}": {
            "get": {
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy",
                    "httpMethod": "GET",
                    "uri": "http://127.0.0.1:1/{id}",
                    "payloadFormatVersion": "1.0",
                    "requestParameters": {"append:header.a": "$request.path.id"},
                }
            }
        }
    },
}
_EVENT = {
    **dict.fromkeys(("id", "source", "account", "region", "detail-type"), "a"),
    "time": "2026-01-01T00:00:00Z",
    "resources": [],
    "detail": {},
}
# Returns what the request's body says, so that a test writes the function's answer.
BOOTSTRAP = """#!/usr/bin/env python3
import http.client, json, os
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = connection.getresponse()
    event, request_id = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    body = event.get("body") or "{}" if isinstance(event, dict) else "{}"
    connection.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/response", body.encode("utf-8", "replace"))
    connection.getresponse().read()
"""


def packed(text: str) -> bytes:
    """Return an archive with one executable file, `bootstrap`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", (2020, 1, 1, 0, 0, 0))
        entry.create_system = 3
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, text)
    return data.getvalue()


class Findings:
    """What the node logged as an error, and what its tasks raised, each with its trace."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def take(self) -> list[str]:
        """Return what was found since the last time."""
        found, self.texts = self.texts, []
        return found

    def record(self, _logger: object, method: str, event: dict[str, Any]) -> Any:
        """Keep an error's line; a structlog processor that lets nothing through."""
        if method in ("error", "exception", "critical"):
            failure = event.pop("exc_info", None)
            trace = ""
            if isinstance(failure, BaseException):
                trace = "".join(traceback.format_exception(failure))
            elif failure:
                trace = traceback.format_exc()
            self.texts.append(f"{event}\n{trace}")
        raise structlog.DropEvent

    def handle(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what a task raised and nobody caught; a loop's exception handler."""
        failure = context.get("exception")
        trace = "".join(traceback.format_exception(failure)) if failure else ""
        self.texts.append(f"{context.get('message')}\n{trace}")


@contextlib.contextmanager
def errors_kept() -> Iterator[Findings]:
    """Take all log lines until the end of the block."""
    findings = Findings()
    before = structlog.get_config()
    structlog.configure(processors=[findings.record])
    try:
        yield findings
    finally:
        structlog.configure(**before)


class World:
    """A node, and the names of what is in it. `names` gives values for members by service and lower-case name."""

    def __init__(self, node: composition.Node, application: Any, clock: Clock, findings: Findings) -> None:
        self.node = node
        self.clock = clock
        self.findings = findings
        self._application = application
        self.names: dict[str, dict[str, list[Any]]] = {}

    async def answer(self, request: Request) -> Response:
        """Answer one request; time is moved forward while it waits. Fails where that takes too long."""
        task = asyncio.ensure_future(_awaited(self._application.handle, request))
        await self.settle([task])
        return task.result()

    async def settle(self, tasks: list[asyncio.Future[Any]]) -> None:
        """Wait until all tasks are done, moving time forward to whatever is due next."""
        deadline = time.monotonic() + SECONDS_MAX
        pending = set(tasks)
        patience = 0.001
        while pending:
            _, pending = await asyncio.wait(pending, timeout=patience)
            if not pending:
                return
            if time.monotonic() > deadline:
                for task in pending:
                    task.cancel()
                raise AssertionError(f"no answer within {SECONDS_MAX} s")
            patience = min(patience * 2, 0.05)
            self.step()

    def step(self, seconds_max: float = 3600) -> None:
        """Move the clock to the next moment anyone waits for, if that is not too far away."""
        due_at = self.clock.next_due_at()
        if due_at is not None and due_at < self.clock.now() + seconds_max:
            self.clock.advance(max(due_at - self.clock.now(), 0.001))

    async def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Run an operation as boto3 would and return its parsed answer."""
        side_ = side(service, side(service, _first_protocol(service)).protocol)
        model = side_.theirs.operation_model(operation)
        request = request_for(side_, model, params)
        request = signed(request._replace(host=HOST), side_.ours.signing_name)
        response = await self.answer(request)
        assert response.status < 300, f"{operation}: {response}"
        return parsed_by_botocore(side_, model, response)


async def _awaited(handle: Callable[[Request], Any], request: Request) -> Response:
    return await handle(request)


def _first_protocol(service: str) -> str:
    from importlib import import_module

    from tests.property.codecs.oracle import MODULES

    return import_module(f"forebay.api.{MODULES[service]}").MODEL.protocols[0]


def signed(request: Request, service: str, key: str = ACCOUNT) -> Request:
    """Return the request with a signature that an open node takes for what it says."""
    scope = f"{key}/20260101/{REGION}/{service}/aws4_request"
    value = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    return request._replace(headers={**request.headers, "authorization": value})


@contextlib.asynccontextmanager
async def open_world(findings: Findings, store: str = "memory:", **settings: Any) -> AsyncIterator[World]:
    """Start a node in this process, without a server, and make its world."""
    asyncio.get_running_loop().set_exception_handler(findings.handle)
    with tempfile.TemporaryDirectory(prefix="forebay-hostile-") as folder:
        given = {"data": Path(folder), "port": 0, "store": store, "function_instances_max": 2, **settings}
        if store == "sqlite:":
            given["store"] = None
        config = Config(**given)
        # The same ids in each life of the world, so that requests made for one fit the next.
        clock = Clock(frozen_at=1_790_000_000.0)
        opened = await composition._open_store(config)
        try:
            # A server of PostgreSQL outlives the node.
            await opened.wipe()
            node, application = composition._build(config, opened, clock, Ids(seed=1))
            node.port, node.is_ready = 4566, True
            started = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(node.supervisor.run(started))
                await started.wait()
                world = World(node, application, clock, findings)
                try:
                    await make(world)
                    yield world
                finally:
                    node.is_ready = False
                    node.drain()
                    await node.supervisor.stop(0.5)
                    await node.close_parts()
        finally:
            await opened.close()


async def make(world: World) -> None:
    """Make the world's resources and learn their names."""
    call = world.call
    urls = [
        (await call("sqs", "CreateQueue", QueueName=name, Attributes=attributes))["QueueUrl"]
        for name, attributes in (("queue", {}), ("dead", {}), ("queue.fifo", {"FifoQueue": "true"}))
    ]
    arns = [f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in ("queue", "dead", "queue.fifo")]
    redrive = json.dumps({"deadLetterTargetArn": arns[1], "maxReceiveCount": 3})
    await call("sqs", "SetQueueAttributes", QueueUrl=urls[0], Attributes={"RedrivePolicy": redrive})
    await call("iam", "CreateRole", RoleName="role", AssumeRolePolicyDocument=json.dumps(_TRUST))
    await call("iam", "CreateUser", UserName="user")
    await call("iam", "CreateGroup", GroupName="group")
    for kind in ("User", "Group", "Role"):
        named = {f"{kind}Name": kind.lower()}
        await call("iam", f"Put{kind}Policy", **named, PolicyName="policy", PolicyDocument=json.dumps(_POLICY))
    await call("iam", "CreateInstanceProfile", InstanceProfileName="profile")
    policy = (await call("iam", "CreatePolicy", PolicyName="policy", PolicyDocument=json.dumps(_POLICY)))["Policy"]
    await call("events", "CreateEventBus", Name="bus")
    for bus in ("bus", "default"):
        await call("events", "PutRule", Name="rule", EventBusName=bus, EventPattern='{"source":[{"prefix":"a"}]}')
        transformer = {"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '{"a":<a>}'}
        targets = [{"Id": "1", "Arn": arns[0], "InputTransformer": transformer}, {"Id": "2", "Arn": arns[1]}]
        await call("events", "PutTargets", Rule="rule", EventBusName=bus, Targets=targets)
    code = packed(BOOTSTRAP)
    function = await call(
        "lambda", "CreateFunction", FunctionName="f", Runtime="provided.al2023", Handler="x", Role=ROLE, Timeout=3,
        Code={"ZipFile": code}, Publish=True,
    )  # fmt: skip
    await call("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    url = await call("lambda", "CreateFunctionUrlConfig", FunctionName="f", AuthType="NONE")
    layer = await call("lambda", "PublishLayerVersion", LayerName="layer", Content={"ZipFile": packed("x")})
    mapping = await call("lambda", "CreateEventSourceMapping", FunctionName="f", EventSourceArn=arns[1], Enabled=False)
    await call("logs", "CreateLogGroup", logGroupName="group")
    await call("logs", "CreateLogStream", logGroupName="group", logStreamName="stream")
    await call("ssm", "PutParameter", Name="/p/a", Value="v", Type="String")
    secret = await call("secretsmanager", "CreateSecret", Name="secret", SecretString='{"a":"b"}')
    await call("s3", "CreateBucket", Bucket="bucket")
    await call("s3", "PutObject", Bucket="bucket", Key="key", Body=b"body")
    await call("s3", "PutObject", Bucket="bucket", Key="template.json", Body=json.dumps(TEMPLATE).encode())
    upload = await call("s3", "CreateMultipartUpload", Bucket="bucket", Key="large")
    topic = (await call("sns", "CreateTopic", Name="topic"))["TopicArn"]
    await call("sns", "CreateTopic", Name="topic.fifo", Attributes={"FifoTopic": "true"})
    subscribed = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arns[0], "ReturnSubscriptionArn": True}
    policy_text = json.dumps({"kind": ["a", {"prefix": "b"}]})
    subscription = await call("sns", "Subscribe", **subscribed, Attributes={"FilterPolicy": policy_text})
    stack = await call("cloudformation", "CreateStack", StackName="stack", TemplateBody=json.dumps(TEMPLATE))
    ids = await _make_api(world, urls[0], function["FunctionArn"])
    world.names = _names(urls, arns, function["FunctionArn"], policy["Arn"], secret["ARN"], ids)
    world.names["lambda"] |= {
        "code": [code],
        "zipfile": [code],
        "layers": [layer["LayerVersionArn"]],
        "layername": ["layer"],
        "arn": [layer["LayerVersionArn"]],
        "uuid": [mapping["UUID"]],
        "urlid": [re.sub(r"https?://([^.]+)\..*", r"\1", url["FunctionUrl"])],
    }
    world.names["sns"] = {
        "topicarn": [topic, f"{topic}.fifo"],
        "resourcearn": [topic],
        "targetarn": [topic],
        "subscriptionarn": [subscription["SubscriptionArn"]],
        "name": ["topic", "new", "new.fifo"],
        "protocol": ["sqs"],
        "endpoint": arns,
        "attributename": ["FilterPolicy", "RawMessageDelivery", "DisplayName", "DeliveryPolicy", "RedrivePolicy"],
        "attributevalue": [policy_text, "true"],
    }
    world.names["s3"]["uploadid"] = [upload["UploadId"]]
    world.names["cloudformation"]["stackname"].append(stack["StackId"])


async def _make_api(world: World, queue_url: str, function_arn: str) -> dict[str, list[Any]]:
    call = world.call
    cors = {"AllowOrigins": ["https://a.example"], "AllowHeaders": ["*"], "AllowMethods": ["*"]}
    api_id = (await call("apigatewayv2", "CreateApi", Name="api", ProtocolType="HTTP", CorsConfiguration=cors))["ApiId"]
    await call("apigatewayv2", "CreateStage", ApiId=api_id, StageName="$default", AutoDeploy=True)
    await call("apigatewayv2", "CreateStage", ApiId=api_id, StageName="dev", AutoDeploy=True)
    first_class = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "1.0", "CredentialsArn": ROLE}
    kinds: dict[str, dict[str, Any]] = {
        "POST /queue": {
            **first_class,
            "IntegrationSubtype": "SQS-SendMessage",
            "RequestParameters": {"QueueUrl": queue_url, "MessageBody": "$request.body.message"},
        },
        "ANY /bus/{source}/{rest+}": {
            **first_class,
            "IntegrationSubtype": "EventBridge-PutEvents",
            "RequestParameters": {
                "Detail": "$request.body",
                "DetailType": "$request.header.x-type",
                "Source": "$request.path.source",
                "EventBusName": "bus",
                "Time": "$request.querystring.time",
            },
        },
        "GET /receive": {
            **first_class,
            "IntegrationSubtype": "SQS-ReceiveMessage",
            "RequestParameters": {"QueueUrl": queue_url, "MaxNumberOfMessages": "$request.querystring.n"},
        },
        "ANY /proxy/{rest+}": {
            "IntegrationType": "HTTP_PROXY",
            "IntegrationMethod": "ANY",
            "PayloadFormatVersion": "1.0",
            # A port at which nobody listens: what matters is what is made of the request.
            "IntegrationUri": "http://127.0.0.1:1/{rest}",
            "RequestParameters": {"append:header.x-a": "$request.querystring.a", "overwrite:path": "/x/$request.path"},
        },
    }
    for version in ("1.0", "2.0"):
        kinds[f"ANY /function{version}/{{rest+}}"] = {
            "IntegrationType": "AWS_PROXY",
            "PayloadFormatVersion": version,
            "IntegrationUri": function_arn,
        }
    routes, integrations = [], []
    for key, settings in kinds.items():
        made = await call("apigatewayv2", "CreateIntegration", ApiId=api_id, **settings)
        integrations.append(made["IntegrationId"])
        target = f"integrations/{made['IntegrationId']}"
        routes.append((await call("apigatewayv2", "CreateRoute", ApiId=api_id, RouteKey=key, Target=target))["RouteId"])
    await call("apigatewayv2", "CreateDomainName", DomainName="a.example.com")
    return {
        "apiid": [api_id],
        "routeid": routes,
        "integrationid": integrations,
        "target": [f"integrations/{integrations[0]}"],
    }


def _names(
    urls: list[str], arns: list[str], function: str, policy: str, secret: str, ids: dict[str, list[Any]]
) -> dict[str, dict[str, list[Any]]]:
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/bus"
    document = [json.dumps(_POLICY)]
    pattern = ['{"source":["a"]}', '{"detail":{"a":[{"numeric":[">",1]}]}}', '{"a":[{"wildcard":"*a*b*"}]}']
    expression = ["rate(5 minutes)", "cron(0 12 * * ? *)"]
    return {
        "sqs": {
            "queueurl": [*urls, "queue"],
            "queuename": ["queue", "queue.fifo", "new", "new.fifo"],
            "sourcearn": arns,
            "destinationarn": arns,
        },
        "events": {
            "name": ["rule", "bus", "default", "new"],
            "rule": ["rule"],
            "eventbusname": ["bus", "default", bus],
            "eventbus": ["bus", "default"],
            "arn": [*arns, function, bus, f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group"],
            "resourcearn": [bus, f"arn:aws:events:{REGION}:{ACCOUNT}:rule/bus/rule"],
            "eventpattern": pattern,
            "scheduleexpression": expression,
            "detail": ['{"a":1}', '{"a":[1,null]}', "{}"],
            "source": ["a", "aws.x"],
            "detailtype": ["t"],
            "event": [json.dumps(_EVENT)],
            "rolearn": [ROLE],
        },
        "lambda": {
            "functionname": ["f", "new", function],
            "qualifier": ["$LATEST", "1", "live"],
            "functionversion": ["1", "$LATEST"],
            "runtime": ["provided.al2023", "python3.11"],
            "handler": ["app.handler"],
            "role": [ROLE],
            "eventsourcearn": arns,
            "name": ["live", "new"],
            "resource": [function],
            "resourcearn": [function],
            "versionnumber": [1],
            "destination": arns,
        },
        "iam": {
            "rolename": ["role", "new"],
            "username": ["user", "new"],
            "groupname": ["group", "new"],
            "instanceprofilename": ["profile", "new"],
            "policyarn": [policy],
            "policyname": ["policy", "inline"],
            "policydocument": document,
            "assumerolepolicydocument": [json.dumps(_TRUST)],
            "versionid": ["v1"],
        },
        "apigatewayv2": {
            **ids,
            "stagename": ["$default", "dev", "new"],
            "protocoltype": ["HTTP"],
            "routekey": ["GET /x/{id}", "$default", "ANY /y/{rest+}", "POST /queue"],
            "domainname": ["a.example.com", "new.example.com"],
            "body": [json.dumps(OPEN_API)],
            "stage": ["$default", "dev"],
            "integrationtype": ["AWS_PROXY", "HTTP_PROXY"],
            "integrationuri": [function, "http://127.0.0.1:1/a"],
            "integrationsubtype": ["SQS-SendMessage", "EventBridge-PutEvents"],
            "resource-arn": [f"arn:aws:apigateway:{REGION}::/apis/{ids['apiid'][0]}"],
            "credentialsarn": [ROLE],
        },
        "cloudformation": {
            "stackname": ["stack", *(f"new{at}" for at in range(8))],
            "templatebody": [json.dumps(TEMPLATE), json.dumps(WIDE), json.dumps(SAM)],
            "templateurl": [f"http://{HOST}/bucket/template.json", "s3://bucket/template.json"],
            "changesetname": ["change"],
            "logicalresourceid": ["Queue", "Rule"],
            "parameterkey": ["Name"],
            "typename": ["AWS::SQS::Queue"],
        },
        "s3": {
            "bucket": ["bucket", "new-bucket"],
            "key": ["key", "large", "new/key", "template.json"],
            "copysource": ["bucket/key", "/bucket/key"],
            "x-amz-copy-source": ["bucket/key", "/bucket/key"],
            "partnumber": [1],
        },
        "logs": {
            "loggroupname": ["group", "new"],
            "logstreamname": ["stream", "new"],
            "loggroupidentifier": ["group"],
            "resourcearn": [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group"],
            "filterpattern": ["ERROR", '{ $.a = "b" }', "[a, b, ...]", "%a.*b%"],
            "policydocument": document,
        },
        "ssm": {
            "name": ["/p/a", "/p/new"],
            "names": ["/p/a"],
            "path": ["/", "/p"],
            "resourceid": ["/p/a"],
            "resourcetype": ["Parameter"],
        },
        "secretsmanager": {"secretid": ["secret", secret], "name": ["secret", "new"], "resourcepolicy": document},
        "pipes": {
            "name": ["new", "pipe"],
            "source": arns,
            "target": [*arns, bus],
            "rolearn": [ROLE],
        },
        "scheduler": {
            "name": ["new", "schedule"],
            "groupname": ["default", "new"],
            "scheduleexpression": [*expression, "at(2030-01-01T00:00:00)"],
            "arn": [*arns, "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"],
            "rolearn": [ROLE],
        },
        "sts": {"rolearn": [ROLE], "rolesessionname": ["session"], "policy": document},
    }  # fmt: skip
