"""Pipes to and through others: workflows, HTTP endpoints, log groups; and what pipes log of themselves."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.aws.events.servers import Server, serving
from tests.aws.pipes.test_pipes import ROLE, World
from tests.harness import ACCOUNT, wait_until

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def destination(world: World, url: str) -> str:
    events = world.node.client("events")
    parameters = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k"}}
    connection = events.create_connection(Name="c", AuthorizationType="API_KEY", AuthParameters=parameters)
    return events.create_api_destination(
        Name="d", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=url, HttpMethod="POST"
    )["ApiDestinationArn"]


def machine(world: World, definition: Any, kind: str) -> str:
    return world.node.client("stepfunctions").create_state_machine(
        name="m", definition=json.dumps(definition), roleArn=ROLE, type=kind
    )["stateMachineArn"]


def messages(world: World, group: str) -> list[str]:
    found = world.node.client("logs").filter_log_events(logGroupName=group)["events"]
    return [event["message"] for event in found]


def test_api_destination_gets_each_event_with_parameters_from_it(world: World, server: Server) -> None:
    http = {"PathParameterValues": ["$.body.id"], "HeaderParameters": {"X-Kind": "$.body.kind"}}
    parameters = {"InputTemplate": '{"order": <$.body.id>}', "HttpParameters": http}
    world.create(Target=destination(world, f"{server.url}/orders/*"), TargetParameters=parameters)
    world.send({"id": "7", "kind": "big"})
    (asked,) = wait_until(lambda: server.asked)
    assert (asked.path, asked.headers["x-kind"], asked.json()) == ("/orders/7", "big", {"order": "7"})
    assert asked.headers["x-key"] == "k"


def test_message_that_an_api_destination_fails_on_comes_again(world: World, server: Server) -> None:
    server.answer("/", 500)
    server.answer("/", 200)
    world.sqs.set_queue_attributes(QueueUrl=world.source.url, Attributes={"VisibilityTimeout": "1"})
    world.create(Target=destination(world, f"{server.url}/"))
    world.send("x")
    wait_until(lambda: len(server.asked) == 2)


def test_api_destination_enriches(world: World, server: Server) -> None:
    server.answer("/", 200, '[{"seen": 1}, {"seen": 2}]')
    world.create(Enrichment=destination(world, f"{server.url}/"))
    world.send("x")
    assert wait_until(world.target.events) == [{"seen": 1}, {"seen": 2}]
    assert server.asked[0].json()[0]["body"] == "x"


def test_express_workflow_enriches(world: World) -> None:
    definition = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": [{"rich": True}], "End": True}}}
    world.create(Enrichment=machine(world, definition, "EXPRESS"))
    world.send("x")
    assert wait_until(world.target.events) == [{"rich": True}]


def test_standard_workflow_is_started_with_the_batch(world: World) -> None:
    arn = machine(world, PASS, "STANDARD")
    world.create(Target=arn)
    world.send({"n": 1})
    states = world.node.client("stepfunctions")
    (execution,) = wait_until(lambda: states.list_executions(stateMachineArn=arn)["executions"])
    given = json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
    assert [json.loads(each["body"]) for each in given] == [{"n": 1}]


def test_failed_express_workflow_gives_the_batch_back(world: World) -> None:
    definition = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "No"}}}
    dead = Inbox(world.sqs, "dead")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "1"}
    world.sqs.set_queue_attributes(QueueUrl=world.source.url, Attributes=attributes)
    world.create(Target=machine(world, definition, "EXPRESS"))
    world.send("x")
    assert wait_until(dead.bodies) == ["x"]


@pytest.mark.parametrize("stream", [None, "mine"])
def test_log_group_gets_events(world: World, stream: str | None) -> None:
    logs = world.node.client("logs")
    logs.create_log_group(logGroupName="events")
    parameters = {"InputTemplate": '{"b": <$.body>}'}
    if stream is not None:
        parameters["CloudWatchLogsParameters"] = {"LogStreamName": stream}  # type: ignore[assignment] - JSON
    world.create(Target=f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:events", TargetParameters=parameters)
    world.send("x")
    assert [json.loads(text) for text in wait_until(lambda: messages(world, "events"))] == [{"b": "x"}]
    if stream is not None:
        assert [each["logStreamName"] for each in logs.describe_log_streams(logGroupName="events")["logStreams"]] == [
            "mine"
        ]


def test_event_has_the_time_that_the_pipe_gives_it(world: World) -> None:
    events = world.node.client("events")
    events.put_rule(Name="all", EventPattern='{"source": ["from.pipe"]}')
    events.put_targets(Rule="all", Targets=[{"Id": "t", "Arn": world.target.arn}])
    bus = {"Source": "from.pipe", "DetailType": "t", "Time": "$.body.at"}
    parameters = {"EventBridgeEventBusParameters": bus, "InputTemplate": '{"x": 1}'}
    world.create(Target=f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default", TargetParameters=parameters)
    world.send({"at": "2024-01-31T12:00:00Z"})
    (event,) = wait_until(world.target.events)
    assert (event["time"], event["detail"]) == ("2024-01-31T12:00:00Z", {"x": 1})


def test_pipe_logs_what_becomes_of_batches(world: World, pipes: Any) -> None:
    world.node.client("logs").create_log_group(logGroupName="/pipes/p")
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/pipes/p"
    configuration = {
        "Level": "INFO",
        "CloudwatchLogsLogDestination": {"LogGroupArn": group},
        "IncludeExecutionData": ["ALL"],
    }
    world.create(LogConfiguration=configuration)
    assert pipes.describe_pipe(Name="p")["LogConfiguration"] == configuration
    world.send("x")
    expected = ["ExecutionStarted", "ExecutionSucceeded", "TargetStageEntered", "TargetStageExited"]

    def entries() -> list[Any]:
        return [json.loads(text) for text in messages(world, "/pipes/p")]

    wait_until(lambda: sorted(entry["messageType"] for entry in entries()) == expected)
    assert {entry["resourceArn"] for entry in entries()} == {f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/p"}
    assert len({entry["executionId"] for entry in entries()}) == 1


def test_events_go_through_the_global_endpoint_that_is_named(world: World) -> None:
    regions = ("us-east-1", "eu-west-1")
    inboxes: list[Inbox] = []
    for region in regions:
        events = world.node.client("events", region=region)
        events.create_event_bus(Name="shared")
        inboxes.append(Inbox(world.node.client("sqs", region=region), "all", region))
        events.put_rule(Name="all", EventBusName="shared", EventPattern='{"source": ["shop"]}')
        events.put_targets(Rule="all", EventBusName="shared", Targets=[{"Id": "q", "Arn": inboxes[-1].arn}])
    buses = [f"arn:aws:events:{region}:{ACCOUNT}:event-bus/shared" for region in regions]
    events = world.node.client("events")
    failover = {"Primary": {"HealthCheck": "arn:aws:route53:::healthcheck/1"}, "Secondary": {"Route": regions[1]}}
    events.create_endpoint(
        Name="both",
        RoutingConfig={"FailoverConfig": failover},
        EventBuses=[{"EventBusArn": bus} for bus in buses],
    )
    endpoint_id = events.describe_endpoint(Name="both")["EndpointId"]
    parameters = {"EndpointId": endpoint_id, "Source": "shop", "DetailType": "$.body.kind"}
    world.create(
        Target=buses[0],
        TargetParameters={"InputTemplate": "<$.body>", "EventBridgeEventBusParameters": parameters},
    )
    world.send({"kind": "Order"})
    arrived = [wait_until(inbox.events) for inbox in inboxes]
    assert [[event["detail-type"], event["detail"]] for (event,) in arrived] == [["Order", {"kind": "Order"}]] * 2
