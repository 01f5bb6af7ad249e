"""Which fields the states of a definition have, and what their values may be, as tables.

Fields by state type, ranges and texts: as ValidateStateMachineDefinition answered public measurements (8 types by 50
fields, September 2026) and as users have reported them.
"""

from collections.abc import Mapping

TOP_FIELDS = ("Comment", "QueryLanguage", "StartAt", "TimeoutSeconds", "Version", "States")
BRANCH_FIELDS = ("Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version")
# AWS refuses a query language of their own to processors.
PROCESSOR_FIELDS = (*(name for name in BRANCH_FIELDS if name != "QueryLanguage"), "ProcessorConfig")
_COMMON = ("Type", "Comment", "QueryLanguage")
_ENDS = ("Next", "End")
_IO = ("InputPath", "OutputPath", "Output")

STATE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Pass": (*_COMMON, *_IO, *_ENDS, "Result", "ResultPath", "Parameters", "Assign"),
    "Task": (
        *_COMMON,
        *_IO,
        *_ENDS,
        "ResultPath",
        "Parameters",
        "Arguments",
        "Assign",
        "Resource",
        "Credentials",
        "ResultSelector",
        "Retry",
        "Catch",
        "TimeoutSeconds",
        "TimeoutSecondsPath",
        "HeartbeatSeconds",
        "HeartbeatSecondsPath",
    ),
    "Wait": (*_COMMON, *_IO, *_ENDS, "Assign", "Seconds", "Timestamp", "SecondsPath", "TimestampPath"),
    "Parallel": (
        *_COMMON,
        *_IO,
        *_ENDS,
        "ResultPath",
        "Parameters",
        "Arguments",
        "Assign",
        "ResultSelector",
        "Retry",
        "Catch",
        "Branches",
    ),
    "Map": (
        *_COMMON,
        *_IO,
        *_ENDS,
        "ResultPath",
        "Parameters",
        "Assign",
        "ResultSelector",
        "Retry",
        "Catch",
        "ItemProcessor",
        "Iterator",
        "ItemsPath",
        "Items",
        "ItemSelector",
        "ItemReader",
        "ItemBatcher",
        "ResultWriter",
        "MaxConcurrency",
        "MaxConcurrencyPath",
        "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath",
        "ToleratedFailureCount",
        "ToleratedFailureCountPath",
        "Label",
    ),
    "Choice": (*_COMMON, *_IO, "Assign", "Choices", "Default"),
    "Succeed": (*_COMMON, *_IO),
    "Fail": (*_COMMON, "Error", "Cause", "ErrorPath", "CausePath"),
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "Task": ("Resource",),
    "Parallel": ("Branches",),
    "Choice": ("Choices",),
}
JSONPATH_ONLY = (
    "InputPath",
    "OutputPath",
    "ResultPath",
    "Parameters",
    "ResultSelector",
    "Result",
    "ItemsPath",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "SecondsPath",
    "TimestampPath",
    "MaxConcurrencyPath",
    "ToleratedFailurePercentagePath",
    "ToleratedFailureCountPath",
    "ErrorPath",
    "CausePath",
)
JSONATA_ONLY = ("Arguments", "Output", "Items")

# Of each of these only one may be there, in the order in which AWS lists them.
EXCLUSIVE: tuple[tuple[str, ...], ...] = (
    ("SecondsPath", "Seconds", "TimestampPath", "Timestamp"),
    ("TimeoutSeconds", "TimeoutSecondsPath"),
    ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ("MaxConcurrency", "MaxConcurrencyPath"),
    ("ToleratedFailureCount", "ToleratedFailureCountPath"),
    ("ToleratedFailurePercentage", "ToleratedFailurePercentagePath"),
    ("Error", "ErrorPath"),
    ("Cause", "CausePath"),
    ("ItemProcessor", "Iterator"),
)
# And of these one has to be there.
ONE_OF: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Wait": (EXCLUSIVE[0],),
    "Map": (("ItemProcessor", "Iterator"),),
}

# Field: least, most.
NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    "TimeoutSeconds": (1, 99_999_999),
    "HeartbeatSeconds": (1, 99_999_999),
    "Seconds": (0, 99_999_999),
    "MaxConcurrency": (0, None),
    "ToleratedFailureCount": (0, None),
    "ToleratedFailurePercentage": (0, 100),
}
RETRY_FIELDS = (
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
)
RETRY_NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    "IntervalSeconds": (0, 99_999_999),
    "MaxAttempts": (0, 99_999_999),
    "BackoffRate": (1, None),
    "MaxDelaySeconds": (1, 31_622_400),
}
CATCH_FIELDS = ("ErrorEquals", "Next", "ResultPath", "Output", "Assign", "Comment")
STRINGS = ("Resource", "Comment", "Next", "Default", "Label", "Timestamp", "Error", "Cause", "StartAt")
OBJECTS = ("Assign", "ResultSelector", "Credentials", "ItemReader", "ItemBatcher", "ResultWriter")
ARRAYS = ("Retry", "Catch", "Choices", "Branches")
# Fields that may hold any path, those that hold a place (a reference path), and those that are templates.
PATHS = (
    "InputPath",
    "OutputPath",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "SecondsPath",
    "TimestampPath",
    "MaxConcurrencyPath",
    "ToleratedFailurePercentagePath",
    "ToleratedFailureCountPath",
    "ErrorPath",
    "CausePath",
)
REFERENCE_PATHS = ("ResultPath", "ItemsPath")
# These two may be null.
NULLABLE = ("InputPath", "OutputPath", "ResultPath")
TEMPLATES = (
    "Parameters",
    "ResultSelector",
    "ItemSelector",
    "Assign",
    "Credentials",
    "ItemReader",
    "ResultWriter",
    "ItemBatcher",
)

STATE_NAME_CHARACTERS_MAX = 80
LABEL_CHARACTERS_MAX = 40
NESTING_MAX = 64
VARIABLE_NAME_CHARACTERS_MAX = 80

# Fields that a request of an optimized integration must have (measured as above).
INTEGRATION_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "lambda:invoke": ("FunctionName",),
    "sqs:sendMessage": ("QueueUrl", "MessageBody"),
    "sns:publish": ("Message",),
    "dynamodb:putItem": ("TableName", "Item"),
    "dynamodb:getItem": ("TableName", "Key"),
    "dynamodb:updateItem": ("TableName", "Key"),
    "dynamodb:deleteItem": ("TableName", "Key"),
    "states:startExecution": ("StateMachineArn",),
    "events:putEvents": ("Entries",),
    "ecs:runTask": ("TaskDefinition",),
    "glue:startJobRun": ("JobName",),
}
WITHOUT_SYNC = ("lambda", "sns", "sqs", "dynamodb", "events", "apigateway", "aws-sdk", "bedrock-agentcore", "http")
WITHOUT_TOKEN = (
    "athena",
    "batch",
    "codebuild",
    "elasticmapreduce",
    "emr-containers",
    "emr-serverless",
    "glue",
    "databrew",
    "mediaconvert",
    "sagemaker",
    "dynamodb",
    "bedrock-agentcore",
    "http",
)
