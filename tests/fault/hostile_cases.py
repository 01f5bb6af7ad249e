"""What operations need to get far and their models do not say: members of some requests, by service and operation.

A minimal request is the members that the model requires, these, and the world's names.
"""

import json
from collections.abc import Mapping
from typing import Any

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_STATEMENT = {"Effect": "Allow", "Action": ["sqs:*"], "Resource": "*"}


def _of(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


WIDE: Mapping[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "Most resource types, every intrinsic function.",
    "Parameters": {
        "Size": {"Type": "Number", "Default": "3", "MinValue": 1, "MaxValue": 10},
        "Kind": {"Type": "String", "AllowedValues": ["a", "b"], "Default": "a", "NoEcho": True},
        "Many": {"Type": "CommaDelimitedList", "Default": "x,y,z"},
    },
    "Mappings": {"Map": {"a": {"x": "30"}, "b": {"x": "60"}}},
    "Conditions": {
        "IsA": {"Fn::Equals": [{"Ref": "Kind"}, "a"]},
        "IsNot": {"Fn::Not": [{"Condition": "IsA"}]},
        "Both": {"Fn::Or": [{"Fn::And": [{"Condition": "IsA"}, {"Condition": "IsNot"}]}, {"Condition": "IsA"}]},
    },
    "Resources": {
        "Dead": _of("SQS::Queue", FifoQueue=True, ContentBasedDeduplication=True),
        "Queue": {
            **_of(
                "SQS::Queue",
                DelaySeconds={"Ref": "Size"},
                RedrivePolicy={"deadLetterTargetArn": {"Fn::GetAtt": ["Plain", "Arn"]}, "maxReceiveCount": 3},
                Tags=[
                    {
                        "Key": "k",
                        "Value": {"Fn::Join": ["-", [{"Fn::Select": [1, {"Ref": "Many"}]}, {"Ref": "AWS::Region"}]]},
                    }
                ],
            ),
            "Condition": "Both",
            "DependsOn": ["Plain"],
            "DeletionPolicy": "Retain",
        },
        "Plain": _of("SQS::Queue", VisibilityTimeout={"Fn::FindInMap": ["Map", {"Ref": "Kind"}, "x"]}),
        "Policy": _of("SQS::QueuePolicy", Queues=[{"Ref": "Plain"}], PolicyDocument={"Statement": [_STATEMENT]}),
        "Bus": _of("Events::EventBus", Name={"Fn::Sub": ["${a}-bus", {"a": {"Ref": "AWS::StackName"}}]}),
        "Rule": _of(
            "Events::Rule",
            EventBusName={"Ref": "Bus"},
            EventPattern={"source": [{"prefix": "a"}], "detail": {"n": [{"numeric": [">", 1]}]}},
            Targets=[
                {
                    "Id": "1",
                    "Arn": {"Fn::GetAtt": "Plain.Arn"},
                    "InputTransformer": {"InputPathsMap": {"a": "$.a"}, "InputTemplate": "<a>"},
                }
            ],
        ),
        "Tick": _of("Events::Rule", ScheduleExpression="rate(5 minutes)", State="DISABLED"),
        "Role": _of(
            "IAM::Role",
            AssumeRolePolicyDocument=_TRUST,
            Policies=[{"PolicyName": "p", "PolicyDocument": {"Statement": [_STATEMENT]}}],
        ),
        "User": _of("IAM::User", Groups=[]),
        "Function": _of(
            "Lambda::Function",
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Runtime="python3.11",
            Handler="index.handler",
            Code={"ZipFile": {"Fn::If": ["IsA", "def handler(e, c): pass", {"Ref": "AWS::NoValue"}]}},
            Environment={"Variables": {"AB": {"Fn::Base64": "x"}}},
        ),
        "Version": _of("Lambda::Version", FunctionName={"Ref": "Function"}),
        "Alias": _of(
            "Lambda::Alias",
            FunctionName={"Ref": "Function"},
            FunctionVersion={"Fn::GetAtt": ["Version", "Version"]},
            Name="live",
        ),
        "Mapping": _of(
            "Lambda::EventSourceMapping",
            FunctionName={"Ref": "Function"},
            EventSourceArn={"Fn::GetAtt": ["Plain", "Arn"]},
            Enabled=False,
        ),
        "Permission": _of(
            "Lambda::Permission",
            FunctionName={"Ref": "Function"},
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
        ),
        "Url": _of("Lambda::Url", TargetFunctionArn={"Ref": "Function"}, AuthType="NONE"),
        "Api": _of("ApiGatewayV2::Api", Name="a", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["*"]}),
        "Integration": _of(
            "ApiGatewayV2::Integration",
            ApiId={"Ref": "Api"},
            IntegrationType="AWS_PROXY",
            IntegrationUri={"Fn::GetAtt": ["Function", "Arn"]},
            PayloadFormatVersion="2.0",
        ),
        "Route": _of(
            "ApiGatewayV2::Route",
            ApiId={"Ref": "Api"},
            RouteKey="GET /a",
            Target={"Fn::Sub": "integrations/${Integration}"},
        ),
        "Stage": _of("ApiGatewayV2::Stage", ApiId={"Ref": "Api"}, StageName="$default", AutoDeploy=True),
        "Logs": _of("Logs::LogGroup", RetentionInDays=7),
        "Bucket": _of("S3::Bucket", VersioningConfiguration={"Status": "Enabled"}),
        "BucketPolicy": _of(
            "S3::BucketPolicy",
            Bucket={"Ref": "Bucket"},
            PolicyDocument={"Statement": [{**_STATEMENT, "Principal": "*"}]},
        ),
        "Parameter": _of("SSM::Parameter", Type="String", Value={"Fn::Select": ["0", {"Fn::Split": [",", "a,b"]}]}),
        "Secret": _of(
            "SecretsManager::Secret",
            GenerateSecretString={"PasswordLength": 12, "SecretStringTemplate": "{}", "GenerateStringKey": "k"},
        ),
        "Wait": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    },
    "Outputs": {
        "Out": {"Value": {"Fn::GetAtt": ["Plain", "Arn"]}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-out"}}},
        "Zone": {"Value": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "Condition": "IsA"},
    },
}
SAM: Mapping[str, Any] = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Globals": {"Function": {"Timeout": 5, "Runtime": "python3.11", "Environment": {"Variables": {"AB": "b"}}}},
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Function": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Handler": "index.handler",
                "InlineCode": "def handler(e, c): pass",
                "Policies": [
                    "AWSLambdaBasicExecutionRole",
                    {"SQSPollerPolicy": {"QueueName": {"Fn::GetAtt": ["Queue", "QueueName"]}}},
                ],
                "AutoPublishAlias": "live",
                "Events": {
                    "Api": {
                        "Type": "HttpApi",
                        "Properties": {"Path": "/a/{b}", "Method": "post", "ApiId": {"Ref": "Api"}},
                    },
                    "Queue": {
                        "Type": "SQS",
                        "Properties": {"Queue": {"Fn::GetAtt": ["Queue", "Arn"]}, "BatchSize": 3, "Enabled": False},
                    },
                    "Rule": {"Type": "EventBridgeRule", "Properties": {"Pattern": {"source": ["a"]}}},
                    "Tick": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 hour)", "Enabled": False}},
                },
            },
        },
        "Api": {"Type": "AWS::Serverless::HttpApi", "Properties": {"StageName": "x", "CorsConfiguration": True}},
    },
}
_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}]}
)
_ENTRIES = [
    {"Id": "1", "MessageBody": "a"},
    {"Id": "2", "MessageBody": "b", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "1"}}},
]
_ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}

EXTRAS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "sqs": {
        "AddPermission": {"Label": "label", "AWSAccountIds": ["123456789012"], "Actions": ["SendMessage"]},
        "RemovePermission": {"Label": "label"},
        "ChangeMessageVisibility": {"VisibilityTimeout": 0},
        "ChangeMessageVisibilityBatch": {"Entries": [{"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 1}]},
        "DeleteMessageBatch": {"Entries": [{"Id": "1", "ReceiptHandle": "x"}]},
        "SendMessage": {"MessageBody": "a", "MessageAttributes": {"b": {"DataType": "Binary", "BinaryValue": b"x"}}},
        "SendMessageBatch": {"Entries": _ENTRIES},
        "ReceiveMessage": {"AttributeNames": ["All"], "MessageAttributeNames": ["All"], "MaxNumberOfMessages": 10},
        "SetQueueAttributes": {"Attributes": {"VisibilityTimeout": "30", "DelaySeconds": "0"}},
        "CreateQueue": {"Attributes": {"ReceiveMessageWaitTimeSeconds": "1"}, "tags": {"a": "b"}},
        "ListDeadLetterSourceQueues": {"MaxResults": 5},
    },
    "events": {
        "PutPermission": {"Action": "events:PutEvents", "Principal": "123456789012", "StatementId": "one"},
        "RemovePermission": {"StatementId": "one"},
        "PutEvents": {"Entries": [{"Source": "a", "DetailType": "t", "Detail": '{"a":1}', "EventBusName": "bus"}]},
        "PutRule": {"EventPattern": '{"source":["a"]}'},
        "PutTargets": {
            "Targets": [{"Id": "3", "Arn": "x", "RetryPolicy": {"MaximumRetryAttempts": 1}, "InputPath": "$.detail"}]
        },
    },
    "lambda": {
        "AddPermission": {"StatementId": "one", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"},
        "RemovePermission": {"StatementId": "one"},
        "AddLayerVersionPermission": {"StatementId": "one", "Action": "lambda:GetLayerVersion", "Principal": "*"},
        "RemoveLayerVersionPermission": {"StatementId": "one"},
        "CreateFunction": {
            "Runtime": "provided.al2023",
            "Handler": "x",
            "Environment": {"Variables": {"AB": "b"}},
            "MemorySize": 128,
            "Code": {"ZipFile": b"x"},
        },
        "CreateFunctionUrlConfig": {"AuthType": "NONE", "Cors": {"AllowOrigins": ["*"], "MaxAge": 5}},
        "CreateEventSourceMapping": {"EventSourceArn": "x", "BatchSize": 5, "Enabled": False},
        "UpdateEventSourceMapping": {"BatchSize": 3},
        "PublishLayerVersion": {"Content": {"ZipFile": b"x"}},
        "UpdateFunctionCode": {"ZipFile": b"x"},
        "UpdateFunctionConfiguration": {"Timeout": 5, "Description": "d"},
        "PutFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
        "Invoke": {"InvocationType": "DryRun"},
        "InvokeAsync": {"InvokeArgs": b"{}"},
    },
    "apigatewayv2": {
        "CreateAuthorizer": {
            "AuthorizerType": "REQUEST",
            "Name": "authorizer",
            "IdentitySource": ["$request.header.a"],
            "AuthorizerPayloadFormatVersion": "2.0",
            "AuthorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            "arn:aws:lambda:us-east-1:000000000000:function:f/invocations",
        },
        "CreateIntegration": {
            "IntegrationType": "HTTP_PROXY",
            "IntegrationMethod": "GET",
            "PayloadFormatVersion": "1.0",
        },
        "CreateModel": {"Name": "model", "Schema": "{}", "ContentType": "application/json"},
        "CreateApi": {"Name": "further", "ProtocolType": "HTTP"},
        "CreateStage": {"StageVariables": {"a": "b"}, "AutoDeploy": True},
        "CreateApiMapping": {"ApiMappingKey": "a/b"},
        "ImportApi": {"Basepath": "ignore", "FailOnWarnings": False},
        "ReimportApi": {"Basepath": "prepend"},
    },
    "cloudformation": {
        "CreateStack": {"TemplateBody": "x", "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]},
        "UpdateStack": {"TemplateBody": "x", "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]},
        "CreateChangeSet": {"TemplateBody": "x", "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]},
        "ValidateTemplate": {"TemplateBody": json.dumps(SAM)},
        "GetTemplateSummary": {"TemplateBody": json.dumps(SAM)},
        "DescribeStackResources": {"StackName": "stack"},
        "DescribeStackEvents": {"StackName": "stack"},
        "GetTemplate": {"StackName": "stack"},
    },
    "iam": {
        "UpdateAccessKey": {"Status": "Inactive"},
        "UpdateAssumeRolePolicy": {"PolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": []})},
    },
    "sns": {
        "Publish": {
            "TopicArn": "x",
            "Message": "m",
            "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "a"}},
        },
        "PublishBatch": {"PublishBatchRequestEntries": [{"Id": "1", "Message": "m"}, {"Id": "2", "Message": "n"}]},
        "AddPermission": {"Label": "label", "AWSAccountId": ["123456789012"], "ActionName": ["Publish"]},
        "RemovePermission": {"Label": "label"},
        "CreateTopic": {"Attributes": {"DisplayName": "d"}},
        "Subscribe": {"Endpoint": "x", "Attributes": {"FilterPolicy": '{"kind":["a"]}', "RawMessageDelivery": "true"}},
    },
    "pipes": {
        "CreatePipe": {
            "DesiredState": "STOPPED",
            "SourceParameters": {
                "SqsQueueParameters": {"BatchSize": 2},
                "FilterCriteria": {"Filters": [{"Pattern": '{"body":{"a":[1]}}'}]},
            },
            "TargetParameters": {"InputTemplate": '{"a":<$.body.a>}'},
        },
    },
    "scheduler": {
        "CreateSchedule": {
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": "x", "RoleArn": "x", "Input": '{"QueueUrl":"queue","MessageBody":"m"}'},
        },
    },
    "sts": {"GetAccessKeyInfo": {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}},
    "logs": {
        "FilterLogEvents": {"logGroupName": "group"},
        "GetLogEvents": {"logGroupName": "group", "logStreamName": "stream"},
        "PutLogEvents": {"logEvents": [{"timestamp": 1_790_000_000_000, "message": "ERROR a"}]},
        "PutRetentionPolicy": {"retentionInDays": 7},
        "PutResourcePolicy": {"policyName": "one"},
        "DeleteResourcePolicy": {"policyName": "one"},
    },
    "ssm": {
        "PutParameter": {"Type": "String", "Value": "v", "Overwrite": True},
        "LabelParameterVersion": {"Labels": ["a"]},
        "UnlabelParameterVersion": {"ParameterVersion": 1, "Labels": ["a"]},
    },
    "secretsmanager": {"CreateSecret": {"SecretString": "x"}, "PutSecretValue": {"SecretString": "y"}},
    "s3": {
        "PutObject": {"Body": b"body", "Metadata": {"a": "b"}, "Tagging": "a=b"},
        "PutBucketEncryption": {"ServerSideEncryptionConfiguration": _ENCRYPTED},
        "PutBucketOwnershipControls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        "PutBucketPolicy": {"Policy": _POLICY},
        "PutBucketVersioning": {"VersioningConfiguration": {"Status": "Enabled"}},
        "DeleteObjects": {"Delete": {"Objects": [{"Key": "gone"}, {"Key": "gone"}]}},
        "CompleteMultipartUpload": {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}},
        "ListObjectsV2": {"Prefix": "a", "Delimiter": "/", "MaxKeys": 2},
        "CopyObject": {"MetadataDirective": "REPLACE"},
    },
}
