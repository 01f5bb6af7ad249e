"""What reads tables' streams, as SAM templates and stacks make it."""

import json
from typing import Any

from tests.aws.cloudformation.stacks import delete, events, outputs, settled
from tests.harness import RunningNode, wait_until

TEMPLATE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Seen: {Type: AWS::SQS::Queue}
  Failures: {Type: AWS::SQS::Queue}
  Piped: {Type: AWS::SQS::Queue}
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Timeout: 20
      MemorySize: 256
      InlineCode: |
        import boto3, os
        sqs = boto3.client("sqs")
        def handler(event, context):
            for record in event["Records"]:
                sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=record["dynamodb"]["Keys"]["id"]["S"])
      Environment: {Variables: {SEEN: !Ref Seen}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Seen.QueueName}}]
      Events:
        Changes:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Orders.StreamArn
            StartingPosition: TRIM_HORIZON
            BatchSize: 10
            BisectBatchOnFunctionError: true
            MaximumRetryAttempts: 3
            FunctionResponseTypes: [ReportBatchItemFailures]
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Failures.Arn}}
            FilterCriteria: {Filters: [{Pattern: '{"eventName": ["INSERT"]}'}]}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: pipes.amazonaws.com}, Action: 'sts:AssumeRole'}]
  Pipe:
    Type: AWS::Pipes::Pipe
    Properties:
      RoleArn: !GetAtt Role.Arn
      Source: !GetAtt Orders.StreamArn
      SourceParameters: {DynamoDBStreamParameters: {StartingPosition: TRIM_HORIZON, BatchSize: 1}}
      Target: !GetAtt Piped.Arn
Outputs:
  Table: {Value: !Ref Orders}
  Seen: {Value: !Ref Seen}
  Piped: {Value: !Ref Piped}
"""


def take(sqs: Any, url: str, count: int) -> list[str]:
    got: list[str] = []

    def enough() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            got.append(message["Body"])
        return len(got) >= count

    wait_until(enough)
    return got


def test_stack_has_a_function_and_a_pipe_read_a_stream(node: RunningNode) -> None:
    client, sqs, tables = (node.client(name) for name in ("cloudformation", "sqs", "dynamodb"))
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    client.create_stack(StackName="s", TemplateBody=TEMPLATE, Capabilities=capabilities)
    stack = settled(client, "s")
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(client, "s")
    made = outputs(stack)
    for name in ("a", "b"):
        tables.put_item(TableName=made["Table"], Item={"id": {"S": name}})
    assert take(sqs, made["Seen"], 2) == ["a", "b"]
    assert [json.loads(text)["eventName"] for text in take(sqs, made["Piped"], 2)] == ["INSERT", "INSERT"]
    (mapping,) = node.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"].startswith("arn:aws:sqs:")
    assert delete(client, "s") == "DELETE_COMPLETE"
