from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def logs(node: RunningNode) -> Any:
    return node.client("logs")


def test_group_is_described(logs: Any, node: RunningNode) -> None:
    logs.create_log_group(logGroupName="/app/web", tags={"team": "web"})
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"]
    assert group["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/app/web:*"
    assert group["logGroupArn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/app/web"
    assert "retentionInDays" not in group
    assert group["logGroupClass"] == "STANDARD"
    assert abs(group["creationTime"] / 1000 - node.clock.now()) < 30
    text = refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName="/app/web")
    assert text == "The specified log group already exists"
    assert node.client("logs", region="eu-west-1").describe_log_groups()["logGroups"] == []


def test_groups_come_in_pages(logs: Any) -> None:
    for name in ("c", "a", "b"):
        logs.create_log_group(logGroupName=name)
    first = logs.describe_log_groups(limit=2)
    assert [group["logGroupName"] for group in first["logGroups"]] == ["a", "b"]
    second = logs.describe_log_groups(limit=2, nextToken=first["nextToken"])
    assert [group["logGroupName"] for group in second["logGroups"]] == ["c"]
    assert [group["logGroupName"] for group in logs.describe_log_groups(logGroupNamePattern="B")["logGroups"]] == ["b"]


def test_retention_is_one_of_aws_values(logs: Any) -> None:
    logs.create_log_group(logGroupName="g")
    logs.put_retention_policy(logGroupName="g", retentionInDays=7)
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 7
    text = refused("InvalidParameterException", logs.put_retention_policy, logGroupName="g", retentionInDays=2)
    assert "Value '2' at 'retentionInDays' failed to satisfy constraint" in text
    logs.delete_retention_policy(logGroupName="g")
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]


def test_streams_are_listed_by_name_and_by_last_event(logs: Any, node: RunningNode) -> None:
    logs.create_log_group(logGroupName="g")
    now = int(node.clock.now()) * 1000
    for name, at in (("a", now - 1000), ("b", now - 9000), ("ab", None)):
        logs.create_log_stream(logGroupName="g", logStreamName=name)
        if at is not None:
            logs.put_log_events(logGroupName="g", logStreamName=name, logEvents=[{"timestamp": at, "message": "x"}])

    def names(**more: Any) -> list[str]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName="g", PaginationConfig={"PageSize": 2}, **more
        )
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["a", "ab", "b"]
    assert names(descending=True) == ["b", "ab", "a"]
    assert names(orderBy="LastEventTime", descending=True) == ["a", "b", "ab"]
    assert names(logStreamNamePrefix="a") == ["a", "ab"]
    described = logs.describe_log_streams(logGroupName="g", logStreamNamePrefix="a")["logStreams"]
    assert described[0]["lastEventTimestamp"] == now - 1000
    assert "lastEventTimestamp" not in described[1]
    text = refused("ResourceAlreadyExistsException", logs.create_log_stream, logGroupName="g", logStreamName="a")
    assert text == "The specified log stream already exists"


def test_deleted_group_starts_afresh(logs: Any, node: RunningNode) -> None:
    event = [{"timestamp": int(node.clock.now()) * 1000, "message": "x"}]
    for _ in range(2):
        logs.create_log_group(logGroupName="g")
        logs.create_log_stream(logGroupName="g", logStreamName="s")
        assert logs.filter_log_events(logGroupName="g")["events"] == []
        logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=event)
        logs.delete_log_group(logGroupName="g")
    text = refused("ResourceNotFoundException", logs.delete_log_group, logGroupName="g")
    assert text == "The specified log group does not exist."


def test_tags(logs: Any) -> None:
    logs.create_log_group(logGroupName="g", tags={"a": "1"})
    arn = logs.describe_log_groups()["logGroups"][0]["logGroupArn"]
    logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    assert logs.list_tags_log_group(logGroupName="g")["tags"] == {"b": "2"}


def test_resource_policies_are_stored(logs: Any) -> None:
    logs.put_resource_policy(policyName="events", policyDocument='{"Statement": []}')
    (policy,) = logs.describe_resource_policies()["resourcePolicies"]
    assert (policy["policyName"], policy["policyDocument"]) == ("events", '{"Statement": []}')
    logs.delete_resource_policy(policyName="events")
    assert logs.describe_resource_policies()["resourcePolicies"] == []
    refused("ResourceNotFoundException", logs.delete_resource_policy, policyName="events")
