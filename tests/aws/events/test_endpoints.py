"""Global endpoints; AWS's texts of refusals are not known."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode

PRIMARY, SECONDARY = "us-east-1", "eu-west-1"
ROUTING = {
    "FailoverConfig": {
        "Primary": {"HealthCheck": "arn:aws:route53:::healthcheck/1"},
        "Secondary": {"Route": SECONDARY},
    }
}


def bus_arn(region: str, name: str = "shared") -> str:
    return f"arn:aws:events:{region}:{ACCOUNT}:event-bus/{name}"


BUSES = [{"EventBusArn": bus_arn(PRIMARY)}, {"EventBusArn": bus_arn(SECONDARY)}]


@pytest.fixture
def inboxes(node: RunningNode) -> dict[str, Inbox]:
    """A queue in each region that gets all events of its bus."""
    made: dict[str, Inbox] = {}
    for region in (PRIMARY, SECONDARY):
        events = node.client("events", region=region)
        events.create_event_bus(Name="shared")
        made[region] = Inbox(node.client("sqs", region=region), "q", region)
        events.put_rule(Name="all", EventBusName="shared", EventPattern='{"source": ["shop"]}')
        events.put_targets(Rule="all", EventBusName="shared", Targets=[{"Id": "q", "Arn": made[region].arn}])
    return made


def create(events: Any, state: str) -> str:
    events.create_endpoint(Name="both", RoutingConfig=ROUTING, EventBuses=BUSES, ReplicationConfig={"State": state})
    return events.describe_endpoint(Name="both")["EndpointId"]


@pytest.mark.parametrize(("state", "secondary_count"), [("ENABLED", 1), ("DISABLED", 0)])
def test_events_go_to_the_primary_region_and_are_replicated(
    node: RunningNode, events: Any, inboxes: dict[str, Inbox], state: str, secondary_count: int
) -> None:
    endpoint_id = create(events, state)
    entry = {"Source": "shop", "DetailType": "t", "Detail": json.dumps({"n": 1}), "EventBusName": "shared"}

    answer = put_with_endpoint(node, entry, endpoint_id)
    assert answer["FailedEntryCount"] == 0
    (event,) = inboxes[PRIMARY].events()
    copies = inboxes[SECONDARY].events()
    assert len(copies) == secondary_count
    assert all(copy["id"] == event["id"] for copy in copies)


def test_endpoint_is_changed_listed_and_deleted(events: Any, inboxes: dict[str, Inbox]) -> None:
    create(events, "ENABLED")
    described = events.describe_endpoint(Name="both")
    assert (described["State"], described["EventBuses"], described["RoutingConfig"]) == ("ACTIVE", BUSES, ROUTING)
    events.update_endpoint(Name="both", Description="d", ReplicationConfig={"State": "DISABLED"})
    (listed,) = events.list_endpoints(NamePrefix="bo")["Endpoints"]
    assert (listed["Description"], listed["ReplicationConfig"]) == ("d", {"State": "DISABLED"})
    assert refusal(lambda: create(events, "ENABLED"))[0] == "ResourceAlreadyExistsException"
    events.delete_endpoint(Name="both")
    assert refusal(lambda: events.describe_endpoint(Name="both"))[0] == "ResourceNotFoundException"


def test_endpoint_needs_two_buses_of_one_name(events: Any, inboxes: dict[str, Inbox]) -> None:
    for buses in ([BUSES[0], BUSES[0]], [BUSES[0], {"EventBusArn": bus_arn(SECONDARY, "other")}]):
        given = {"Name": "both", "RoutingConfig": ROUTING, "EventBuses": buses}
        assert refusal(lambda given=given: events.create_endpoint(**given))[0] == "ValidationException"


def test_endpoint_that_is_not_there_takes_no_events(node: RunningNode, events: Any) -> None:
    answer = put_with_endpoint(node, {"Source": "s", "DetailType": "t", "Detail": "{}"}, "abc.def")
    assert answer["__type"].endswith("ValidationException")


def put_with_endpoint(node: RunningNode, entry: Any, endpoint_id: str) -> Any:
    """Put an event through an endpoint; boto3 needs a library of its own to sign such requests."""
    request = urllib.request.Request(
        node.url,
        json.dumps({"Entries": [entry], "EndpointId": endpoint_id}).encode(),
        {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
