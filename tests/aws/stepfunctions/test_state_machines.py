"""State machines, their versions and aliases, activities and tags, through boto3."""

import json

import pytest

from forebay.node import Node
from forebay.services.stepfunctions.state_machine import REVISION
from forebay.store.records import key_parts
from tests.aws.stepfunctions.conftest import PASS, ROLE, States
from tests.harness import wait_until

OTHER = {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}}


def test_create_gives_what_describe_shows(states: States) -> None:
    arn = states.create(PASS, name="shown")
    shown = states.client.describe_state_machine(stateMachineArn=arn)
    del shown["ResponseMetadata"]
    assert arn == "arn:aws:states:us-east-1:000000000000:stateMachine:shown"
    assert shown.pop("creationDate")
    assert shown == {
        "stateMachineArn": arn,
        "name": "shown",
        "status": "ACTIVE",
        "definition": json.dumps(PASS),
        "roleArn": ROLE,
        "type": "STANDARD",
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
    }


def test_create_is_idempotent_but_for_the_role(states: States) -> None:
    first = states.create(PASS, name="again")
    assert states.create(PASS, name="again", roleArn=ROLE + "2") == first
    assert states.client.describe_state_machine(stateMachineArn=first)["roleArn"] == ROLE
    code, text = states.refusal("create_state_machine", name="again", roleArn=ROLE, definition=json.dumps(OTHER))
    assert (code, text) == ("StateMachineAlreadyExists", f"State Machine Already Exists: '{first}'")


@pytest.mark.parametrize("name", ["a b", "a*", "a?", "a/b", "a:b", "<a>", "[a]", 'a"b', "a#"])
def test_create_refuses_names(states: States, name: str) -> None:
    refused = states.refusal("create_state_machine", name=name, roleArn=ROLE, definition=json.dumps(PASS))
    assert refused == ("InvalidName", f"Invalid Name: '{name}'")


def test_create_refuses_what_is_no_role(states: States) -> None:
    refused = states.refusal("create_state_machine", name="r", roleArn="arn:x", definition=json.dumps(PASS))
    assert refused == ("InvalidArn", "Invalid Role Arn: 'arn:x'")


def test_create_refuses_a_description_of_no_version(states: States) -> None:
    given = {"name": "d", "roleArn": ROLE, "definition": json.dumps(PASS), "versionDescription": "x"}
    refused = states.refusal("create_state_machine", **given)
    assert refused == ("ValidationException", "Version description can only be set when publish is true")


def test_create_refuses_logging_to_nowhere(states: States) -> None:
    given = {"name": "l", "roleArn": ROLE, "definition": json.dumps(PASS), "loggingConfiguration": {"level": "ALL"}}
    code, _ = states.refusal("create_state_machine", **given)
    assert code == "InvalidLoggingConfiguration"


def test_update_makes_a_revision_and_running_executions_keep_theirs(states: States) -> None:
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    arn = states.create(wait)
    execution = states.start(arn)
    revision = states.client.update_state_machine(stateMachineArn=arn, definition=json.dumps(OTHER))["revisionId"]
    shown = states.client.describe_state_machine(stateMachineArn=arn)
    assert (shown["revisionId"], shown["definition"]) == (revision, json.dumps(OTHER))
    kept = states.client.describe_state_machine_for_execution(executionArn=execution)
    assert kept["definition"] == json.dumps(wait)
    states.client.stop_execution(executionArn=execution)


def test_update_refuses_nothing(states: States) -> None:
    code, _ = states.refusal("update_state_machine", stateMachineArn=states.create(PASS))
    assert code == "MissingRequiredParameter"


def test_delete_takes_a_machine_and_its_versions_away(states: States) -> None:
    arn = states.create(PASS, publish=True)
    states.client.delete_state_machine(stateMachineArn=arn)
    states.client.delete_state_machine(stateMachineArn=arn)
    refused = states.refusal("describe_state_machine", stateMachineArn=arn)
    assert refused == ("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
    assert states.client.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"] == []


def test_delete_waits_for_executions_and_stops_them(states: States) -> None:
    arn = states.create({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}})
    execution = states.start(arn)
    states.client.delete_state_machine(stateMachineArn=arn)
    assert states.ended(execution)["status"] == "ABORTED"


def test_list_pages_by_name(states: States) -> None:
    for name in ("list-a", "list-b", "list-c"):
        states.create(PASS, name=name)
    paginator = states.client.get_paginator("list_state_machines")
    names = [item["name"] for page in paginator.paginate(maxResults=2) for item in page["stateMachines"]]
    assert [name for name in names if name.startswith("list-")] == ["list-a", "list-b", "list-c"]
    refused = states.refusal("list_state_machines", nextToken="no token")
    assert refused == ("InvalidToken", "Invalid Token: 'Invalid token'")


def test_a_version_is_made_once_for_each_revision(states: States) -> None:
    arn = states.create(PASS)
    publish = states.client.publish_state_machine_version
    first = publish(stateMachineArn=arn, description="one")["stateMachineVersionArn"]
    assert publish(stateMachineArn=arn)["stateMachineVersionArn"] == first == f"{arn}:1"
    states.client.update_state_machine(stateMachineArn=arn, definition=json.dumps(OTHER))
    assert publish(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:2"
    states.client.delete_state_machine_version(stateMachineVersionArn=f"{arn}:2")
    assert publish(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:3"
    listed = states.client.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"]
    assert [item["stateMachineVersionArn"] for item in listed] == [f"{arn}:3", f"{arn}:1"]
    shown = states.client.describe_state_machine(stateMachineArn=f"{arn}:1")
    assert (shown["stateMachineArn"], shown["description"]) == (f"{arn}:1", "one")
    code, _ = states.refusal("publish_state_machine_version", stateMachineArn=arn, revisionId="INITIAL")
    assert code == "ConflictException"


def test_an_alias_routes_executions_to_versions(states: States) -> None:
    arn = states.create(PASS, publish=True)
    states.client.update_state_machine(stateMachineArn=arn, definition=json.dumps(OTHER), publish=True)
    routing = [
        {"stateMachineVersionArn": f"{arn}:1", "weight": 0},
        {"stateMachineVersionArn": f"{arn}:2", "weight": 100},
    ]
    alias = states.client.create_state_machine_alias(name="live", routingConfiguration=routing)["stateMachineAliasArn"]
    execution = states.ended(states.start(alias))
    assert (execution["stateMachineVersionArn"], execution["stateMachineAliasArn"]) == (f"{arn}:2", alias)
    listed = states.client.list_executions(stateMachineArn=alias)["executions"]
    assert [item["executionArn"] for item in listed] == [execution["executionArn"]]
    code, text = states.refusal("delete_state_machine_version", stateMachineVersionArn=f"{arn}:1")
    assert code == "ConflictException"
    assert text.endswith("[live]")
    states.client.update_state_machine_alias(
        stateMachineAliasArn=alias,
        routingConfiguration=routing[:1][:0] or [{"stateMachineVersionArn": f"{arn}:2", "weight": 100}],
    )
    states.client.delete_state_machine_version(stateMachineVersionArn=f"{arn}:1")


@pytest.mark.parametrize("weights", [[50, 40], [100, 100]])
def test_an_alias_needs_weights_that_add_up(states: States, weights: list[int]) -> None:
    arn = states.create(PASS, publish=True)
    states.client.update_state_machine(stateMachineArn=arn, definition=json.dumps(OTHER), publish=True)
    routing = [{"stateMachineVersionArn": f"{arn}:{n}", "weight": weight} for n, weight in enumerate(weights, 1)]
    code, _ = states.refusal("create_state_machine_alias", name="x", routingConfiguration=routing)
    assert code == "ValidationException"


def test_tags_are_set_and_taken(states: States) -> None:
    arn = states.create(PASS, tags=[{"key": "a", "value": "1"}])
    states.client.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    states.client.untag_resource(resourceArn=arn, tagKeys=["a", "none"])
    assert states.client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    code, _ = states.refusal("list_tags_for_resource", resourceArn=arn + "none")
    assert code == "ResourceNotFound"


def test_an_activity_is_made_once(states: States) -> None:
    first = states.client.create_activity(name="work")
    again = states.client.create_activity(name="work")
    assert again["activityArn"] == first["activityArn"]
    assert again["creationDate"] == first["creationDate"]
    assert states.client.describe_activity(activityArn=first["activityArn"])["name"] == "work"
    assert [item["name"] for item in states.client.list_activities()["activities"]] == ["work"]
    states.client.delete_activity(activityArn=first["activityArn"])
    refused = states.refusal("describe_activity", activityArn=first["activityArn"])
    assert refused == ("ActivityDoesNotExist", f"Activity Does Not Exist: '{first['activityArn']}'")


def test_labelled_arns_are_refused_where_aws_does(states: States) -> None:
    code, _ = states.refusal("start_execution", stateMachineArn=states.create(PASS) + "/label")
    assert code == "ValidationException"


def test_arns_of_other_things_are_refused(states: States) -> None:
    refused = states.refusal("describe_state_machine", stateMachineArn="not an arn")
    assert refused == ("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: not an arn'")


def test_revisions_that_nothing_refers_to_are_forgotten(states: States) -> None:
    used = states.create(PASS, name="used", publish=True)
    states.ended(states.start(used))
    for number in range(3):
        definition = json.dumps({**OTHER, "Comment": str(number)})
        states.client.update_state_machine(stateMachineArn=used, definition=definition)
    unused = states.create(PASS, name="unused")
    for number in range(3):
        definition = json.dumps({**OTHER, "Comment": str(number)})
        states.client.update_state_machine(stateMachineArn=unused, definition=definition)

    async def revisions(node: Node) -> dict[str, int]:
        found = await node.store.view(lambda view: view.records.list(REVISION))
        names = [key_parts(key)[2] for key, _ in found]
        return {name: names.count(name) for name in ("used", "unused")}

    states.node.clock.advance(61)
    wait_until(lambda: states.node.run(revisions) == {"used": 4, "unused": 1})
    for arn in (used, unused):
        states.client.delete_state_machine(stateMachineArn=arn)
    states.node.clock.advance(61)
    wait_until(lambda: states.node.run(revisions) == {"used": 4, "unused": 0})
