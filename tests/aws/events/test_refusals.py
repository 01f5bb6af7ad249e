"""What EventBridge refuses, operation by operation, on one node that all cases share.

The texts marked `ours` are worded by us: that AWS refuses is documented, in which words is not known.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode

ours = pytest.param

PREFIX = f"arn:aws:events:us-east-1:{ACCOUNT}:"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
PATTERN = '{"source": ["shop"]}'
VALIDATION, MISSING = "ValidationException", "ResourceNotFoundException"
NO_BUS = (MISSING, "Event bus none does not exist.")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a node with a rule on each of two buses, an archive, a connection and an API destination."""
    node = RunningNode(tmp_path_factory.mktemp("data")).start()
    client = node.client("events")
    client.create_event_bus(Name="claims")
    client.put_rule(Name="rule", EventPattern=PATTERN)
    client.put_rule(Name="rule", EventBusName="claims", EventPattern=PATTERN)
    client.put_targets(Rule="rule", EventBusName="claims", Targets=[{"Id": "t", "Arn": QUEUE}])
    client.create_archive(ArchiveName="kept", EventSourceArn=PREFIX + "event-bus/claims")
    yield client
    node.stop()


def broken(path: str, value: str, constraint: str) -> tuple[str, str]:
    """Return the answer about one broken constraint of the model."""
    text = f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {constraint}"
    return VALIDATION, text


NAME = r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"


@pytest.mark.parametrize(
    ("name", "settings", "answer"),
    [
        ("default", {}, ("ResourceAlreadyExistsException", "Event bus default already exists.")),
        ("claims", {}, ("ResourceAlreadyExistsException", "Event bus claims already exists.")),
        ("a/b", {}, (VALIDATION, "Event bus name must not contain '/'.")),
        ours("aws.x", {}, (VALIDATION, "EventBus name starting with 'aws.' is not valid.")),
        (
            "a b",
            {},
            broken("name", "'a b'", r"Member must satisfy regular expression pattern: [/\.\-_A-Za-z0-9]+"),
        ),
        ours(
            "b",
            {"DeadLetterConfig": {"Arn": "queue"}},
            (VALIDATION, "Parameter queue is not valid. Reason: Provided Arn is not in correct format."),
        ),
        ours(
            "b",
            {"DeadLetterConfig": {"Arn": f"{QUEUE}.fifo"}},
            (
                VALIDATION,
                "Parameter DeadLetterConfig is not valid. Reason: The ARN of a standard Amazon SQS queue is expected.",
            ),
        ),
    ],
)
def test_bus_is_refused(events: Any, name: str, settings: Any, answer: tuple[str, str]) -> None:
    assert refusal(lambda: events.create_event_bus(Name=name, **settings)) == answer


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("describe_event_bus", {"Name": "none"}),
        ("update_event_bus", {"Name": "none"}),
        ("put_permission", {"Action": "events:PutEvents", "Principal": "*", "StatementId": "s"}),
        ("remove_permission", {"StatementId": "s"}),
        ("list_rules", {}),
        ("list_rule_names_by_target", {"TargetArn": QUEUE}),
        ("put_rule", {"Name": "rule", "EventPattern": PATTERN}),
        ("describe_rule", {"Name": "rule"}),
        ("enable_rule", {"Name": "rule"}),
        ("disable_rule", {"Name": "rule"}),
        ("delete_rule", {"Name": "rule"}),
        ("put_targets", {"Rule": "rule", "Targets": [{"Id": "t", "Arn": QUEUE}]}),
        ("remove_targets", {"Rule": "rule", "Ids": ["t"]}),
        ("list_targets_by_rule", {"Rule": "rule"}),
    ],
)
def test_bus_that_is_not_there_is_named(events: Any, operation: str, given: Any) -> None:
    bus = {} if operation in {"describe_event_bus", "update_event_bus"} else {"EventBusName": "none"}
    assert refusal(lambda: getattr(events, operation)(**given, **bus)) == NO_BUS


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("describe_rule", {"Name": "none"}),
        ("enable_rule", {"Name": "none"}),
        ("disable_rule", {"Name": "none"}),
        ("put_targets", {"Rule": "none", "Targets": [{"Id": "t", "Arn": QUEUE}]}),
        ("remove_targets", {"Rule": "none", "Ids": ["t"]}),
        ("list_targets_by_rule", {"Rule": "none"}),
    ],
)
def test_rule_that_is_not_there_is_named_with_its_bus(events: Any, operation: str, given: Any) -> None:
    answer = (MISSING, "Rule none does not exist on EventBus claims.")
    assert refusal(lambda: getattr(events, operation)(**given, EventBusName="claims")) == answer


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({}, (VALIDATION, "Parameter Action must be specified.")),
        (
            {"Action": "events:Other", "Principal": "*", "StatementId": "s"},
            (VALIDATION, "Provided value in parameter 'action' is not supported."),
        ),
        (
            {"Action": "events:PutEvents", "Principal": "12345", "StatementId": "s"},
            broken("principal", "'12345'", r"Member must satisfy regular expression pattern: (\d{12}|\*)"),
        ),
        ({"Policy": "{"}, (VALIDATION, "This policy contains invalid Json.")),
        ours(
            {
                "Action": "events:PutEvents",
                "Principal": ACCOUNT,
                "StatementId": "s",
                "Condition": {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1"},
            },
            (VALIDATION, "Parameter Principal is not valid. Reason: With a condition, the only supported value is *."),
        ),
    ],
)
def test_permission_is_refused(events: Any, given: Any, answer: tuple[str, str]) -> None:
    assert refusal(lambda: events.put_permission(**given)) == answer


def test_statement_that_is_not_there_is_not_removed(events: Any) -> None:
    def remove() -> Any:
        return events.remove_permission(EventBusName="claims", StatementId="none")

    assert refusal(remove) == (MISSING, "EventBus does not have a policy.")
    events.put_permission(EventBusName="claims", Action="events:PutEvents", Principal="*", StatementId="s")
    assert refusal(remove) == (MISSING, "Statement with the provided id does not exist.")
    events.remove_permission(EventBusName="claims", RemoveAllPermissions=True)


# Of each field something that is out of range, and what AWS's own six fields do not know.
@pytest.mark.parametrize(
    "expression",
    [
        "rate(10 seconds)",
        "rate(10 years)",
        "rate(1 minutes)",
        "rate(1 hours)",
        "rate(1 days)",
        "rate(5 minute)",
        "rate(5 hour)",
        "rate(0 minutes)",
        "rate(-10 minutes)",
        "rate(1.5 hours)",
        "rate( 10 minutes)",
        "rate(10 minutes )",
        "rate(10  minutes)",
        "rate(10minutes)",
        "rate(10)",
        "rate()",
        "rate 10 minutes",
        "RATE(10 minutes)",
        " rate(10 minutes)",
        "at(2031-01-01T00:00:00)",
        "cron()",
        "cron(INVALID)",
        "cron(0 12 * * ?)",
        "cron(0 12 * * ? * *)",
        "cron(0 1 * * * *)",
        "cron(0 1 ? * ? *)",
        "cron(7 20 * * NOT *)",
        "cron(0 dummy ? * MON-FRI *)",
        "cron(71 8 1 * ? *)",
        "cron(0 24 1 * ? *)",
        "cron(0 8 32 * ? *)",
        "cron(0 8 0 * ? *)",
        "cron(0 8 1 13 ? *)",
        "cron(0 8 ? * 0 *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 ? * 2#6 *)",
        "cron(0 8 1 * ? 1969)",
        "cron(0 8 1 * ? 2200)",
        "cron(0/0 8 1 * ? *)",
        "cron(15 12 ? * -1 *)",
    ],
)
def test_schedule_of_a_rule_is_refused(events: Any, expression: str) -> None:
    answer = (VALIDATION, "Parameter ScheduleExpression is not valid.")
    assert refusal(lambda: events.put_rule(Name="clock", ScheduleExpression=expression)) == answer


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minute)",
        "rate(25 hours)",
        "cron(0/15 8 1 * ? *)",
        "cron(0 8 L * ? *)",
        "cron(0 8 LW * ? *)",
        "cron(0 8 3W * ? *)",
        "cron(0 8 ? * 6L *)",
        "cron(0 8 ? * FRI#2 *)",
        "cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)",
        "cron(30-30 13-13 ? * 2,4,6 *)",
        "cron(1-31/30 1-1 ? * 1,7 *)",
        "cron(0 8 ? JAN-MAR mon-fri 2030-2040)",
    ],
)
def test_schedule_of_a_rule_is_taken(events: Any, expression: str) -> None:
    events.put_rule(Name="clock", ScheduleExpression=expression)
    assert events.describe_rule(Name="clock")["ScheduleExpression"] == expression


def syntax(text: str, column: int) -> str:
    return f'[Source: (String)"{text}"; line: 1, column: {column}]'


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"Arn": "queue"}, "Parameter queue is not valid. Reason: Provided Arn is not in correct format."),
        ({"Input": "x"}, f"JSON syntax error in input for target t: {syntax('x', 2)}"),
        ({"InputPath": "detail"}, "Invalid InputPath for target t : detail."),
        (
            {"Input": "{}", "InputPath": "$.detail"},
            "Only one of Input, InputPath, or InputTransformer must be provided for target t.",
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"a": "$.a"}, "InputTemplate": '"<b>"'}},
            "InputTemplate for target t contains invalid placeholder b.",
        ),
        (
            {"InputTransformer": {"InputTemplate": "hello"}},
            f"Invalid InputTemplate for target t : {syntax('hello', 6)}.",
        ),
        ({"Arn": f"{QUEUE}.fifo"}, "Parameter(s) SqsParameters must be specified for target: t."),
        (
            {"Arn": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"},
            f"RoleArn is required for target arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s.",
        ),
        (
            {"RetryPolicy": {"MaximumRetryAttempts": 186}},
            broken(
                "targets.1.member.retryPolicy.maximumRetryAttempts",
                "'186'",
                "Member must have value less than or equal to 185",
            )[1],
        ),
        ({"Id": "!"}, broken("targets.1.member.id", "'!'", NAME)[1]),
    ],
)
def test_target_is_refused(events: Any, target: Any, text: str) -> None:
    given = {"Id": "t", "Arn": QUEUE, **target}
    assert refusal(lambda: events.put_targets(Rule="rule", Targets=[given])) == (VALIDATION, text)


def test_rule_takes_no_sixth_target(events: Any) -> None:
    targets = [{"Id": str(number), "Arn": QUEUE} for number in range(6)]
    answer = ("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
    assert refusal(lambda: events.put_targets(Rule="rule", Targets=targets)) == answer


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        ({"Source": ""}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        ({"Detail": ""}, "InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument."),
        (
            {"DetailType": ""},
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
        ),
        ({"Detail": '["a"]'}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": '"text"'}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": "text"}, "MalformedDetail", "Detail is malformed."),
        ({"Source": "aws.shop"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
        ours(
            {"DetailType": "t" * 129},
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is too long.",
        ),
    ],
)
def test_entry_fails_alone(events: Any, entry: Any, code: str, text: str) -> None:
    good = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
    answer = events.put_events(Entries=[good, {**good, **entry}])
    taken, failed = answer["Entries"]
    assert answer["FailedEntryCount"] == 1
    assert "EventId" in taken
    assert failed == {"ErrorCode": code, "ErrorMessage": text}


def test_eleven_entries_are_shown_in_the_refusal(events: Any) -> None:
    shown = (
        "PutEventsRequestEntry(time=null, source=shop, resources=null, detailType=t, detail={}, eventBusName=null,"
        " traceHeader=null)"
    )
    answer = broken("entries", f"'[{', '.join([shown] * 11)}]'", "Member must have length less than or equal to 10")
    entries = [{"Source": "shop", "DetailType": "t", "Detail": "{}"}] * 11
    assert refusal(lambda: events.put_events(Entries=entries)) == answer


EVENT = '{"id": "1", "account": "1", "source": "shop", "time": "t", "region": "r", "detail-type": "t"}'


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        ("x", (VALIDATION, "Parameter Event is not valid.")),
        ("[]", (VALIDATION, "Parameter Event is not valid.")),
        (EVENT.replace('"id"', '"ID"'), (VALIDATION, "Parameter Event is not valid.")),
    ],
)
def test_event_to_test_is_refused(events: Any, event: str, answer: tuple[str, str]) -> None:
    assert refusal(lambda: events.test_event_pattern(EventPattern=PATTERN, Event=event)) == answer
    assert events.test_event_pattern(EventPattern=PATTERN, Event=EVENT)["Result"] is True


CONNECTION = f"{PREFIX}connection/none/11111111-1111-1111-1111-111111111111"
BASIC = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}


@pytest.mark.parametrize(
    ("operation", "given", "answer"),
    [
        ("describe_archive", {"ArchiveName": "none"}, (MISSING, "Archive none does not exist.")),
        ("update_archive", {"ArchiveName": "none"}, (MISSING, "Archive none does not exist.")),
        ("delete_archive", {"ArchiveName": "none"}, (MISSING, "Archive none does not exist.")),
        ("describe_replay", {"ReplayName": "none"}, (MISSING, "Replay none does not exist.")),
        ("cancel_replay", {"ReplayName": "none"}, (MISSING, "Replay none does not exist.")),
        (
            "describe_connection",
            {"Name": "none"},
            (MISSING, "Failed to describe the connection(s). Connection 'none' does not exist."),
        ),
        (
            "describe_api_destination",
            {"Name": "none"},
            (MISSING, "Failed to describe the api-destination(s). An api-destination 'none' does not exist."),
        ),
        ("describe_endpoint", {"Name": "none"}, (MISSING, "Endpoint none does not exist.")),
        (
            "create_archive",
            {"ArchiveName": "kept", "EventSourceArn": PREFIX + "event-bus/claims"},
            ("ResourceAlreadyExistsException", "Archive kept already exists."),
        ),
        ("create_archive", {"ArchiveName": "other", "EventSourceArn": PREFIX + "event-bus/none"}, NO_BUS),
        (
            "create_connection",
            {"Name": "c", "AuthorizationType": "NONE", "AuthParameters": BASIC},
            broken(
                "authorizationType",
                "'NONE'",
                "Member must satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]",
            ),
        ),
        (
            "create_api_destination",
            {
                "Name": "d",
                "ConnectionArn": CONNECTION,
                "InvocationEndpoint": "https://shop.example/",
                "HttpMethod": "GET",
            },
            (MISSING, "Connection 'none' does not exist."),
        ),
        (
            "list_archives",
            {"NamePrefix": "k", "State": "ENABLED"},
            (
                VALIDATION,
                "At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or NamePrefix.",
            ),
        ),
    ],
)
def test_resource_is_refused(events: Any, operation: str, given: Any, answer: tuple[str, str]) -> None:
    assert refusal(lambda: getattr(events, operation)(**given)) == answer
