"""SAM templates, packaged from local files and deployed whole: what happens when a request comes in."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from forebay.cli.package import package
from tests.aws.cloudformation.stacks import events, outputs, settled
from tests.harness import RunningNode

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]

QUEUED = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.11, Timeout: 10, MemorySize: 256}
Resources:
  Payments: {Type: AWS::SQS::Queue}
  Seen: {Type: AWS::SQS::Queue}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      AccessLogSettings: {DestinationArn: !GetAtt Access.Arn, Format: '$context.requestId'}
      DefinitionBody: {'Fn::Transform': {Name: 'AWS::Include', Parameters: {Location: api.yaml}}}
  Access: {Type: AWS::Logs::LogGroup, Properties: {RetentionInDays: 1}}
  ApiRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: apigateway.amazonaws.com}, Action: 'sts:AssumeRole'}]
      Policies:
        - PolicyName: send
          PolicyDocument:
            Version: 2012-10-17
            Statement: [{Effect: Allow, Action: 'sqs:SendMessage', Resource: !GetAtt Payments.Arn}]
  Drain:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: app.handler
      Environment: {Variables: {SEEN: !Ref Seen}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Seen.QueueName}}]
      Events:
        Payments: {Type: SQS, Properties: {Queue: !GetAtt Payments.Arn, BatchSize: 5}}
        OnEvent: {Type: EventBridgeRule, Properties: {Pattern: {source: [shop]}}}
Outputs:
  Api: {Value: !Ref Api}
  Seen: {Value: !Ref Seen}
  Function: {Value: !GetAtt Drain.Arn}
"""

API = """
openapi: "3.0.1"
info: {title: payments, version: "1"}
paths:
  /payments:
    post:
      responses: {default: {description: queued}}
      x-amazon-apigateway-integration:
        type: aws_proxy
        integrationSubtype: SQS-SendMessage
        credentials: {'Fn::GetAtt': [ApiRole, Arn]}
        payloadFormatVersion: "1.0"
        requestParameters: {MessageBody: $request.body, QueueUrl: {Ref: Payments}}
"""

CODE = """
import json, os, boto3
queue = os.environ["SEEN"]
sqs = boto3.client("sqs")
def handler(event, context):
    for record in event.get("Records", [{"body": json.dumps(event.get("detail"))}]):
        sqs.send_message(QueueUrl=queue, MessageBody=record["body"])
"""


def deploy(node: RunningNode, folder: Path, template: str) -> dict[str, Any]:
    (folder / "template.yaml").write_text(template)
    client, s3 = node.client("cloudformation"), node.client("s3")
    s3.create_bucket(Bucket="artifacts")
    packaged = package(
        folder / "template.yaml",
        lambda key, data: s3.put_object(Bucket="artifacts", Key=key, Body=data),
        bucket="artifacts",
    )
    client.create_change_set(
        StackName="shop",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=packaged.template,
        Capabilities=_CAPABILITIES,
    )
    found = client.describe_change_set(StackName="shop", ChangeSetName="first")
    assert found["Status"] == "CREATE_COMPLETE", found.get("StatusReason")
    client.execute_change_set(StackName="shop", ChangeSetName="first")
    stack = settled(client, "shop")
    assert stack["StackStatus"] == "CREATE_COMPLETE", [e for e in events(client, "shop") if e[1].endswith("FAILED")]
    return stack


def post(url: str, value: Any, host: str) -> int:
    request = urllib.request.Request(
        url, json.dumps(value).encode(), {"content-type": "application/json", "Host": host}
    )
    with urllib.request.urlopen(request) as answer:
        return answer.status


def receive(node: RunningNode, url: str) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = node.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=2)
        for message in answer.get("Messages", []):
            return json.loads(message["Body"])
    raise AssertionError("nothing came")


def test_request_goes_over_a_queue_and_event_over_a_bus_to_a_function(node: RunningNode, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(CODE)
    (tmp_path / "api.yaml").write_text(API)
    found = outputs(deploy(node, tmp_path, QUEUED))
    assert post(f"{node.url}/payments", {"amount": 3}, f"{found['Api']}.execute-api.localhost") == 200
    assert receive(node, found["Seen"]) == {"amount": 3}
    entry = {"Source": "shop", "DetailType": "sale", "Detail": json.dumps({"id": 7})}
    assert node.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert receive(node, found["Seen"]) == {"id": 7}
    client = node.client("cloudformation")
    client.delete_stack(StackName="shop")
    client.get_waiter("stack_delete_complete").wait(StackName="shop", WaiterConfig={"Delay": 1})
    assert node.client("lambda").list_functions()["Functions"] == []
    assert node.client("apigatewayv2").get_apis()["Items"] == []
    assert node.client("iam").list_roles()["Roles"] == []


CUSTOM = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: 'sts:AssumeRole'}]
  Maker:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code:
        ZipFile: |
          import cfnresponse
          def handler(event, context):
              properties = event["ResourceProperties"]
              if properties.get("Fail") == "true" and event["RequestType"] != "Delete":
                  cfnresponse.send(event, context, cfnresponse.FAILED, {}, "made", reason="as asked")
              else:
                  cfnresponse.send(event, context, cfnresponse.SUCCESS, {"Doubled": properties["Word"] * 2}, "made")
  Made:
    Type: Custom::Word
    Properties: {ServiceToken: !GetAtt Maker.Arn, Word: ab, Number: 3, Fail: FAIL}
Outputs:
  Doubled: {Value: !GetAtt Made.Doubled}
  Id: {Value: !Ref Made}
"""


def test_custom_resource_is_made_by_its_function(node: RunningNode) -> None:
    client = node.client("cloudformation")
    template = CUSTOM.replace("FAIL}", "false}")
    client.create_stack(StackName="one", TemplateBody=template, Capabilities=_CAPABILITIES)
    stack = settled(client, "one")
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(client, "one")
    assert outputs(stack) == {"Doubled": "abab", "Id": "made"}
    client.delete_stack(StackName="one")
    assert settled(client, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


def test_custom_resource_that_fails_gives_its_reason(node: RunningNode) -> None:
    client = node.client("cloudformation")
    template = CUSTOM.replace("FAIL}", "true}")
    client.create_stack(StackName="one", TemplateBody=template, Capabilities=_CAPABILITIES)
    assert settled(client, "one")["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = [reason for name, status, reason in events(client, "one") if (name, status) == ("Made", "CREATE_FAILED")]
    assert reasons[0] is not None
    assert "Message returned: as asked" in reasons[0]
