"""What operations need to get far and their models do not say: members of some requests, by service and operation.

A minimal request is the members that the model requires, these, and the world's names.
"""

import json
from collections.abc import Mapping
from typing import Any

_SAM = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Resources": {
        "Table": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "Properties": {"Tags": [{"Key": "a", "Value": "b"}]}},
        "Api": {"Type": "AWS::Serverless::HttpApi", "Properties": {"StageName": "x"}},
    },
}  # fmt: skip
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}]})  # fmt: skip
_ENTRIES = [{"Id": "1", "MessageBody": "a"}, {"Id": "2", "MessageBody": "b", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "1"}}}]  # fmt: skip
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
        "PutTargets": {"Targets": [{"Id": "3", "Arn": "x", "RetryPolicy": {"MaximumRetryAttempts": 1}, "InputPath": "$.detail"}]},
    },
    "lambda": {
        "AddPermission": {"StatementId": "one", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"},
        "RemovePermission": {"StatementId": "one"},
        "AddLayerVersionPermission": {"StatementId": "one", "Action": "lambda:GetLayerVersion", "Principal": "*"},
        "RemoveLayerVersionPermission": {"StatementId": "one"},
        "CreateFunction": {"Runtime": "provided.al2023", "Handler": "x", "Environment": {"Variables": {"A": "b"}}, "MemorySize": 128, "Code": {"ZipFile": b"x"}},
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
        "CreateIntegration": {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "PayloadFormatVersion": "1.0"},
        "CreateModel": {"Name": "model", "Schema": "{}", "ContentType": "application/json"},
        "CreateApi": {"Name": "further", "ProtocolType": "HTTP"},
        "CreateStage": {"StageVariables": {"a": "b"}, "AutoDeploy": True},
        "CreateApiMapping": {"ApiMappingKey": "a/b"},
        "ImportApi": {"Basepath": "ignore", "FailOnWarnings": False},
        "ReimportApi": {"Basepath": "prepend"},
    },
    "cloudformation": {
        "CreateStack": {"TemplateBody": "x", "Parameters": [{"ParameterKey": "Name", "ParameterValue": "made"}]},
        "UpdateStack": {"TemplateBody": "x", "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]},
        "CreateChangeSet": {"TemplateBody": "x", "Capabilities": ["CAPABILITY_AUTO_EXPAND"]},
        "ValidateTemplate": {"TemplateBody": json.dumps(_SAM)},
        "GetTemplateSummary": {"TemplateBody": json.dumps(_SAM)},
        "DescribeStackResources": {"StackName": "stack"},
        "DescribeStackEvents": {"StackName": "stack"},
        "GetTemplate": {"StackName": "stack"},
    },
    "iam": {
        "UpdateAccessKey": {"Status": "Inactive"},
        "UpdateAssumeRolePolicy": {"PolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": []})},
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
}  # fmt: skip
