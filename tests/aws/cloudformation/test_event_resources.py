"""Archives, connections and API destinations of stacks."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.cloudformation.stacks import create, delete, update
from tests.harness import ACCOUNT, RunningNode

BUS = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "claims"}}


def archive(**properties: Any) -> dict[str, Any]:
    source = {"Fn::GetAtt": ["Bus", "Arn"]}
    return {"Type": "AWS::Events::Archive", "Properties": {"SourceArn": source, **properties}}


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_archive_of_a_stack(node: RunningNode) -> None:
    client, events = node.client("cloudformation"), node.client("events")
    pattern = {"source": ["shop"]}
    sections = {"Outputs": {"Name": {"Value": {"Ref": "A"}}, "Arn": {"Value": {"Fn::GetAtt": ["A", "Arn"]}}}}
    first = {"Bus": BUS, "A": archive(EventPattern=pattern, RetentionDays=3)}
    stack = create(client, "one", first, **sections)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    name, arn = outputs(stack)["Name"], outputs(stack)["Arn"]
    assert len(name) <= 48
    assert arn == f"arn:aws:events:us-east-1:{ACCOUNT}:archive/{name}"
    described = events.describe_archive(ArchiveName=name)
    assert (described["EventPattern"], described["RetentionDays"]) == ('{"source":["shop"]}', 3)
    stack = update(client, "one", {"Bus": BUS, "A": archive(EventPattern=pattern, RetentionDays=5)}, **sections)
    assert (stack["StackStatus"], outputs(stack)["Name"]) == ("UPDATE_COMPLETE", name)
    assert events.describe_archive(ArchiveName=name)["RetentionDays"] == 5
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert events.list_archives()["Archives"] == []


def test_connection_and_api_destination_of_a_stack(node: RunningNode) -> None:
    client, events = node.client("cloudformation"), node.client("events")

    def resources(rate: int) -> dict[str, Any]:
        key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "secret"}}
        connection = {"AuthorizationType": "API_KEY", "AuthParameters": key}
        destination = {
            "ConnectionArn": {"Fn::GetAtt": ["C", "Arn"]},
            "InvocationEndpoint": "http://127.0.0.1:9/",
            "HttpMethod": "POST",
            "InvocationRateLimitPerSecond": rate,
        }
        return {
            "C": {"Type": "AWS::Events::Connection", "Properties": connection},
            "D": {"Type": "AWS::Events::ApiDestination", "Properties": destination},
        }

    sections = {"Outputs": {"C": {"Value": {"Ref": "C"}}, "D": {"Value": {"Ref": "D"}}}}
    stack = create(client, "one", resources(5), **sections)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    names = outputs(stack)
    assert events.describe_connection(Name=names["C"])["AuthorizationType"] == "API_KEY"
    assert events.describe_api_destination(Name=names["D"])["InvocationRateLimitPerSecond"] == 5
    update(client, "one", resources(7), **sections)
    assert events.describe_api_destination(Name=names["D"])["InvocationRateLimitPerSecond"] == 7
    assert delete(client, "one") == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="does not exist"):
        events.describe_connection(Name=names["C"])


def test_global_endpoint_of_a_stack(node: RunningNode) -> None:
    client, events = node.client("cloudformation"), node.client("events")
    for region in ("us-east-1", "eu-west-1"):
        node.client("events", region=region).create_event_bus(Name="claims")
    arns = [f"arn:aws:events:{region}:{ACCOUNT}:event-bus/claims" for region in ("us-east-1", "eu-west-1")]
    failover = {
        "Primary": {"HealthCheck": "arn:aws:route53:::healthcheck/1"},
        "Secondary": {"Route": "eu-west-1"},
    }
    properties = {
        "Name": "both",
        "EventBuses": [{"EventBusArn": arn} for arn in arns],
        "RoutingConfig": {"FailoverConfig": failover},
    }
    sections = {"Outputs": {"Id": {"Value": {"Fn::GetAtt": ["E", "EndpointId"]}}}}
    stack = create(client, "one", {"E": {"Type": "AWS::Events::Endpoint", "Properties": properties}}, **sections)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert outputs(stack)["Id"] == events.describe_endpoint(Name="both")["EndpointId"]
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert events.list_endpoints()["Endpoints"] == []
