"""What stands around functions: policies, tags, layers, URLs, the live log."""

import json
import threading

import pytest
from botocore.exceptions import ClientError

from tests.aws.lambda_.conftest import Answer, Functions, fetch, packed
from tests.harness import RunningNode

OK = "def handler(event, context):\n    return event\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def test_policy_documents_are_exact(functions: Functions):
    functions.make("f", OK)
    added = functions.client.add_permission(
        FunctionName="f",
        StatementId="bus",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn="arn:aws:events:us-east-1:000000000000:rule/r",
        SourceAccount="000000000000",
    )
    expected = {
        "Sid": "bus",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN,
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "000000000000"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:events:us-east-1:000000000000:rule/r"},
        },
    }
    assert json.loads(added["Statement"]) == expected
    functions.client.add_permission(
        FunctionName="f", StatementId="all", Action="lambda:InvokeFunction", Principal="111122223333"
    )
    found = functions.client.get_policy(FunctionName="f")
    document = json.loads(found["Policy"])
    assert (document["Version"], document["Id"]) == ("2012-10-17", "default")
    assert document["Statement"][0] == expected
    assert document["Statement"][1]["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    with pytest.raises(ClientError) as caught:
        functions.client.add_permission(
            FunctionName="f", StatementId="bus", Action="lambda:InvokeFunction", Principal="*"
        )
    assert caught.value.response["Error"]["Code"] == "ResourceConflictException"
    functions.client.remove_permission(FunctionName="f", StatementId="bus")
    with pytest.raises(ClientError) as caught:
        functions.client.remove_permission(FunctionName="f", StatementId="bus")
    assert caught.value.response["Message"] == "Statement bus is not found in resource policy."


def test_tags_come_and_go(functions: Functions):
    functions.make("f", OK, Tags={"a": "1"})
    functions.client.tag_resource(Resource=ARN, Tags={"b": "2"})
    functions.client.untag_resource(Resource=ARN, TagKeys=["a"])
    assert functions.client.list_tags(Resource=ARN)["Tags"] == {"b": "2"}


def test_layers_are_there_for_functions(functions: Functions):
    archive = packed({"python/shared.py": "WORD = 'from the layer'\n"})
    lambda_ = functions.client
    made = lambda_.publish_layer_version(
        LayerName="l", Content={"ZipFile": archive}, CompatibleRuntimes=["python3.11"], Description="d"
    )
    assert made["LayerVersionArn"] == "arn:aws:lambda:us-east-1:000000000000:layer:l:1"
    functions.make(
        "f",
        "import shared\ndef handler(event, context):\n    return shared.WORD\n",
        Layers=[made["LayerVersionArn"]],
    )
    assert functions.call("f")[1] == "from the layer"
    shown = lambda_.get_function_configuration(FunctionName="f")["Layers"]
    assert shown == [{"Arn": made["LayerVersionArn"], "CodeSize": len(archive)}]
    lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": archive})
    assert [layer["Version"] for layer in lambda_.list_layer_versions(LayerName="l")["LayerVersions"]] == [2, 1]
    assert lambda_.list_layers(CompatibleRuntime="python3.11")["Layers"][0]["LatestMatchingVersion"]["Version"] == 1
    lambda_.delete_layer_version(LayerName="l", VersionNumber=1)
    with pytest.raises(ClientError) as caught:
        lambda_.get_layer_version(LayerName="l", VersionNumber=1)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert functions.call("f")[1] == "from the layer"


WEB = """
import base64
def handler(event, context):
    http = event["requestContext"]["http"]
    if event["rawPath"] == "/fail":
        raise RuntimeError("no")
    if event["rawPath"] == "/plain":
        return {"hello": "world"}
    return {
        "statusCode": 201,
        "headers": {"X-Method": http["method"], "Content-Type": "text/plain"},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": f"{event['rawPath']}?{event['rawQueryString']} {event.get('body')} {event.get('cookies')}",
    }
"""


def test_function_url_answers_http(functions: Functions):
    functions.make("f", WEB)
    made = functions.client.create_function_url_config(FunctionName="f", AuthType="NONE")
    url = made["FunctionUrl"]
    answer = fetch(f"{url}some/path?x=1&x=2", data=b'{"a":1}', Content_Type="application/json", Cookie="k=v")
    assert answer.status == 201
    assert answer.headers["X-Method"] == "POST"
    assert answer.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert answer.body.decode() == "/some/path?x=1&x=2 {\"a\":1} ['k=v']"
    plain = fetch(f"{url}plain")
    assert (plain.status, json.loads(plain.body)) == (200, {"hello": "world"})
    assert plain.headers["Content-Type"] == "application/json"
    assert fetch(f"{url}fail").status == 502
    functions.client.delete_function_url_config(FunctionName="f")
    assert fetch(url).status == 403


def test_function_url_speaks_cors(functions: Functions):
    functions.make("f", WEB)
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["POST"], "MaxAge": 60}
    url = functions.client.create_function_url_config(FunctionName="f", AuthType="NONE", Cors=cors)["FunctionUrl"]
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    answer = fetch(url, "OPTIONS", **asked)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Max-Age"] == "60"
    other = fetch(f"{url}plain", Origin="https://b.example")
    assert other.status == 200
    assert "Access-Control-Allow-Origin" not in other.headers


def test_function_url_can_want_a_signature(functions: Functions):
    functions.make("f", WEB)
    url = functions.client.create_function_url_config(FunctionName="f", AuthType="AWS_IAM")["FunctionUrl"]
    assert fetch(url).status == 403


def test_live_view_has_the_lines(functions: Functions, node: RunningNode):
    functions.make("f", "def handler(event, context):\n    print('hello', event['n'])\n")
    control = f"{node.url}/_forebay/lambda/tail"
    after = json.loads(fetch(control).body)["next"]
    waiting: list[Answer] = []
    thread = threading.Thread(target=lambda: waiting.append(fetch(f"{control}?after={after}&wait=20")))
    thread.start()
    functions.call("f", {"n": 7})
    thread.join(20)
    (first,) = waiting
    assert json.loads(first.body)["lines"][0]["function"] == "f"
    page = json.loads(fetch(f"{control}?after={after}").body)
    assert "hello 7" in [line["line"] for line in page["lines"]]
    assert page["next"] > after
