"""Lambda integrations and authorizers, with real functions."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.aws.apigatewayv2.conftest import Apis
from tests.aws.lambda_.conftest import ROLE, packed

CODE = """
import json, time
def echo(event, context):
    return {"got": event}
def full(event, context):
    path = event["path" if "path" in event else "rawPath"]
    return {"statusCode": 201, "headers": {"X-A": "1"}, "cookies": ["a=1"], "body": json.dumps(path)}
def slow(event, context):
    time.sleep(3)
def fail(event, context):
    raise ValueError("secret")
def bad(event, context):
    return {"statusCode": 200, "body": {"no": "text"}}
calls = 0
def guard(event, context):
    global calls
    calls += 1
    context = {"calls": calls, "arn": event["routeArn"]}
    return {"isAuthorized": event["headers"].get("auth") == "yes", "context": context}
def policy(event, context):
    allowed = event["methodArn"].rsplit("/", 1)[0] + "/open"
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": allowed}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "me", "context": {"k": "v"}, "policyDocument": document}
"""


def function(apis: Apis, handler: str, **settings) -> str:
    made = apis.node.client("lambda").create_function(
        FunctionName=handler,
        Runtime="python3.11",
        Handler=f"app.{handler}",
        Role=ROLE,
        Timeout=10,
        Code={"ZipFile": packed({"app.py": CODE})},
        **settings,
    )
    return made["FunctionArn"]


def proxy(apis: Apis, api_id: str, key: str, arn: str, version: str = "2.0", **more) -> str:
    return apis.route(
        api_id, key, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion=version, **more
    )


def test_function_gets_the_event_and_its_value_is_the_answer(apis: Apis):
    api_id = apis.api()
    arn = function(apis, "echo")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    proxy(apis, api_id, "ANY /pets/{proxy+}", uri)
    answer = apis.ask("PUT", api_id, "/pets/a/b%20c?x=1&x=2", b"hi", {"Content-Type": "text/plain", "X-Thing": "t"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    event = answer.json()["got"]
    assert event["version"] == "2.0"
    assert event["routeKey"] == "ANY /pets/{proxy+}"
    assert event["rawPath"] == "/pets/a/b c"
    assert event["rawQueryString"] == "x=1&x=2"
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert event["pathParameters"] == {"proxy": "a/b c"}
    assert event["headers"]["x-thing"] == "t"
    assert event["body"] == "hi"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["requestId"] == answer.headers["apigw-requestid"]


def test_named_stage_is_the_first_segment(apis: Apis):
    api_id = apis.api()
    proxy(apis, api_id, "GET /p", function(apis, "full"), version="1.0")
    apis.client.create_stage(ApiId=api_id, StageName="dev", AutoDeploy=True)
    answer = apis.ask("GET", api_id, "/dev/p")
    assert (answer.status, answer.json()) == (201, "/dev/p")
    assert apis.ask("GET", api_id, "/p").json() == "/p"
    assert answer.headers["x-a"] == "1"
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"


def test_failures_of_functions(apis: Apis):
    api_id = apis.api()
    for handler in ("fail", "bad"):
        proxy(apis, api_id, f"GET /{handler}", function(apis, handler))
    proxy(apis, api_id, "GET /slow", function(apis, "slow"), TimeoutInMillis=500)
    proxy(apis, api_id, "GET /gone", "arn:aws:lambda:us-east-1:000000000000:function:gone")
    for path in ("/fail", "/bad", "/gone"):
        answer = apis.ask("GET", api_id, path)
        assert (answer.status, answer.json()) == (500, {"message": "Internal Server Error"}), path
    slow = apis.ask("GET", api_id, "/slow")
    assert (slow.status, slow.json()) == (503, {"message": "Service Unavailable"})


def test_quick_create_makes_all_of_it(apis: Apis):
    made = apis.client.create_api(Name="quick", ProtocolType="HTTP", Target=function(apis, "full"))
    answer = apis.ask("GET", made["ApiId"], "/any/path")
    assert (answer.status, answer.json()) == (201, "/any/path")
    assert answer.headers["set-cookie"] == "a=1"
    (route,) = apis.client.get_routes(ApiId=made["ApiId"])["Items"]
    assert (route["RouteKey"], route["ApiGatewayManaged"]) == ("$default", True)
    (integration,) = apis.client.get_integrations(ApiId=made["ApiId"])["Items"]
    assert integration["PayloadFormatVersion"] == "2.0"


def authorizer(apis: Apis, api_id: str, handler: str, route_ids: list[str], **settings) -> str:
    made = apis.client.create_authorizer(
        ApiId=api_id,
        Name=handler,
        AuthorizerType="REQUEST",
        AuthorizerUri=function(apis, handler),
        IdentitySource=["$request.header.auth"],
        **settings,
    )
    for route_id in route_ids:
        apis.client.update_route(
            ApiId=api_id, RouteId=route_id, AuthorizationType="CUSTOM", AuthorizerId=made["AuthorizerId"]
        )
    return made["AuthorizerId"]


def test_simple_authorizer_decides_and_is_remembered(apis: Apis):
    api_id = apis.api()
    route = proxy(apis, api_id, "GET /p", function(apis, "echo"))
    authorizer(
        apis,
        api_id,
        "guard",
        [route],
        AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True,
        AuthorizerResultTtlInSeconds=300,
    )
    missing = apis.ask("GET", api_id, "/p")
    assert (missing.status, missing.json()) == (401, {"message": "Unauthorized"})
    denied = apis.ask("GET", api_id, "/p", headers={"auth": "no"})
    assert (denied.status, denied.json()) == (403, {"message": "Forbidden"})
    calls = [
        apis.ask("GET", api_id, "/p", headers={"auth": "yes"}).json()["got"]["requestContext"]["authorizer"]["lambda"]
        for _ in range(2)
    ]
    assert calls[0] == calls[1]
    assert calls[0]["arn"].endswith(f":{api_id}/$default/GET/p")
    apis.client.reset_authorizers_cache(ApiId=api_id, StageName="$default")
    again = apis.ask("GET", api_id, "/p", headers={"auth": "yes"}).json()
    assert again["got"]["requestContext"]["authorizer"]["lambda"]["calls"] == calls[0]["calls"] + 1


def test_policy_of_an_authorizer_is_asked_for_each_route(apis: Apis):
    api_id = apis.api()
    arn = function(apis, "echo")
    routes = [proxy(apis, api_id, f"GET /{name}", arn) for name in ("open", "shut")]
    used = authorizer(
        apis, api_id, "policy", routes, AuthorizerPayloadFormatVersion="1.0", AuthorizerResultTtlInSeconds=300
    )
    opened = apis.ask("GET", api_id, "/open", headers={"auth": "x"})
    assert opened.status == 200
    assert opened.json()["got"]["requestContext"]["authorizer"]["lambda"] == {"k": "v", "principalId": "me"}
    assert apis.ask("GET", api_id, "/shut", headers={"auth": "x"}).status == 403
    with pytest.raises(ClientError) as caught:
        apis.client.delete_authorizer(ApiId=api_id, AuthorizerId=used)
    assert caught.value.response["Error"]["Code"] == "ConflictException"


def test_stage_variable_names_the_function(apis: Apis):
    api_id = apis.api()
    arn = function(apis, "full")
    proxy(apis, api_id, "GET /p", arn.replace(":full", ":${stageVariables.fn}"))
    apis.client.update_stage(ApiId=api_id, StageName="$default", StageVariables={"fn": "full"})
    assert apis.ask("GET", api_id, "/p").status == 201
    apis.client.update_stage(ApiId=api_id, StageName="$default", StageVariables={"fn": "gone"})
    assert apis.ask("GET", api_id, "/p").status == 500
    assert json.loads(apis.ask("GET", api_id, "/p").body)["message"] == "Internal Server Error"
