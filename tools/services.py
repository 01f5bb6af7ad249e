"""Which services are generated, and what botocore's models do not say about them.

Everything here was learnt from AWS's documentation or from models of earlier years, and is data for `generate_api`.
"""

from typing import NamedTuple


class Service(NamedTuple):
    """One module to generate; `own_texts` says why decoding leaves the model's constraints to the service.

    With `hashed_enums` the service lists an enum's values in the order of a hash set, not in the model's.
    """

    name: str
    module: str
    own_texts: str | None = None
    error_namespace: str | None = None
    hashed_enums: bool = False


SERVICES = (
    Service(
        "sqs",
        "sqs",
        own_texts="answers InvalidParameterValue, InvalidAttributeName, ... in words of its own",
        error_namespace="com.amazonaws.sqs",
    ),
    Service("sns", "sns", own_texts="answers InvalidParameter: Invalid parameter: ... in words of its own"),
    Service("events", "events"),
    Service("scheduler", "scheduler"),
    Service("pipes", "pipes"),
    Service("lambda", "lambda_"),
    Service("stepfunctions", "stepfunctions"),
    Service("dynamodb", "dynamodb", error_namespace="com.amazonaws.dynamodb.v20120810", hashed_enums=True),
    Service(
        "dynamodbstreams", "dynamodbstreams", error_namespace="com.amazonaws.dynamodb.v20120810", hashed_enums=True
    ),
    Service("apigateway", "apigateway", own_texts="answers BadRequestException in words of its own"),
    Service("apigatewayv2", "apigatewayv2", own_texts="answers BadRequestException in words of its own"),
    Service(
        "apigatewaymanagementapi",
        "apigatewaymanagementapi",
        own_texts="answers PayloadTooLargeException, not a constraint",
    ),
    Service("cloudformation", "cloudformation"),
    Service("iam", "iam"),
    Service("sts", "sts"),
    Service("logs", "logs"),
    Service("cloudwatch", "cloudwatch"),
    Service("ssm", "ssm"),
    Service("secretsmanager", "secretsmanager"),
    Service("s3", "s3", own_texts="answers InvalidArgument, InvalidBucketName, ... in words of its own"),
)


class QueryError(NamedTuple):
    """What an error was called in the Query protocol, and the status it had there."""

    code: str
    status: int = 400


_SQS = "AWS.SimpleQueueService."
# The awsQueryError traits of SQS (Smithy model of 2023; today's botocore model leaves them out).
QUERY_ERRORS: dict[str, dict[str, QueryError]] = {
    "sqs": {
        "BatchEntryIdsNotDistinct": QueryError(_SQS + "BatchEntryIdsNotDistinct"),
        "BatchRequestTooLong": QueryError(_SQS + "BatchRequestTooLong"),
        "EmptyBatchRequest": QueryError(_SQS + "EmptyBatchRequest"),
        "InvalidBatchEntryId": QueryError(_SQS + "InvalidBatchEntryId"),
        "MessageNotInflight": QueryError(_SQS + "MessageNotInflight"),
        "PurgeQueueInProgress": QueryError(_SQS + "PurgeQueueInProgress", 403),
        "QueueDeletedRecently": QueryError(_SQS + "QueueDeletedRecently"),
        "QueueDoesNotExist": QueryError(_SQS + "NonExistentQueue"),
        "QueueNameExists": QueryError("QueueAlreadyExists"),
        "TooManyEntriesInBatchRequest": QueryError(_SQS + "TooManyEntriesInBatchRequest"),
        "UnsupportedOperation": QueryError(_SQS + "UnsupportedOperation"),
        "InvalidAddress": QueryError("InvalidAddress", 404),
        "InvalidSecurity": QueryError("InvalidSecurity", 403),
        "KmsAccessDenied": QueryError("KMS.AccessDeniedException"),
        "KmsDisabled": QueryError("KMS.DisabledException"),
        "KmsInvalidKeyUsage": QueryError("KMS.InvalidKeyUsageException"),
        "KmsInvalidState": QueryError("KMS.InvalidStateException"),
        "KmsNotFound": QueryError("KMS.NotFoundException"),
        "KmsOptInRequired": QueryError("KMS.OptInRequired", 403),
        "KmsThrottled": QueryError("KMS.ThrottlingException"),
        "OverLimit": QueryError("OverLimit", 403),
        "ReceiptHandleIsInvalid": QueryError("ReceiptHandleIsInvalid", 404),
        "RequestThrottled": QueryError("RequestThrottled", 403),
        "ResourceNotFoundException": QueryError("ResourceNotFoundException", 404),
    },
}

# Members that the model requires and AWS leaves out when they are empty: by structure
# (https://github.com/aws/aws-sdk/issues/536 and 657).
_BATCH_MEMBERS = frozenset({"Successful", "Failed"})
OPTIONAL: dict[str, dict[str, frozenset[str]]] = {
    "sqs": {
        "SendMessageBatchResult": _BATCH_MEMBERS,
        "DeleteMessageBatchResult": _BATCH_MEMBERS,
        "ChangeMessageVisibilityBatchResult": _BATCH_MEMBERS,
    },
}

# Members that the model no longer requires and AWS does, but for tables made of what this node has not.
REQUIRED: dict[str, dict[str, frozenset[str]]] = {
    "dynamodb": {"CreateTableInput": frozenset({"AttributeDefinitions", "KeySchema"})},
}

# Spellings of the Query protocol that left botocore's model of SQS when it became JSON: lists by what an item is
# called, maps by their entries' parts, members by their own name (SQS API reference, "Making Query API requests").
LIST_ITEMS: dict[str, dict[str, str]] = {
    "sqs": {
        "AWSAccountIdList": "AWSAccountId",
        "ActionNameList": "ActionName",
        "AttributeNameList": "AttributeName",
        "BatchResultErrorEntryList": "BatchResultErrorEntry",
        "BinaryList": "BinaryListValue",
        "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
        "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
        "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
        "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
        "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
        "MessageAttributeNameList": "MessageAttributeName",
        "MessageList": "Message",
        "MessageSystemAttributeList": "MessageSystemAttributeName",
        "QueueUrlList": "QueueUrl",
        "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
        "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
        "StringList": "StringListValue",
        "TagKeyList": "TagKey",
    },
}
MAP_ENTRIES: dict[str, dict[str, tuple[str, str]]] = {
    "sqs": {
        "MessageBodyAttributeMap": ("Name", "Value"),
        "MessageBodySystemAttributeMap": ("Name", "Value"),
        "MessageSystemAttributeMap": ("Name", "Value"),
        "QueueAttributeMap": ("Name", "Value"),
        "TagMap": ("Key", "Value"),
    },
}
MAP_MEMBERS: dict[str, dict[str, str]] = {
    "sqs": {
        "MessageBodyAttributeMap": "MessageAttribute",
        "MessageBodySystemAttributeMap": "MessageSystemAttribute",
        "MessageSystemAttributeMap": "Attribute",
        "QueueAttributeMap": "Attribute",
        "TagMap": "Tag",
    },
}
# What answers have and no model names: members of a structure, by their shapes (DescribeTable's answers on the wire).
FURTHER_MEMBERS: dict[str, dict[str, dict[str, str]]] = {
    "dynamodb": {
        "TableThroughputModeSummary": {
            "TableThroughputMode": "BillingMode",
            "LastUpdateToPayPerRequestDateTime": "Date",
        },
        "TableDescription": {"TableThroughputModeSummary": "TableThroughputModeSummary"},
    },
}
XML_NAMESPACES = {"sqs": "http://queue.amazonaws.com/doc/2012-11-05/"}
# Protocols that the service still answers although the model no longer lists them.
FURTHER_PROTOCOLS = {"sqs": ("query",)}
