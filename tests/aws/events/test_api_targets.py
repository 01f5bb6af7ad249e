"""Routes of APIs as targets of rules."""

import json
from typing import Any

from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode, wait_until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/caller"


def test_event_becomes_a_request_to_the_api(node: RunningNode, events: Any, sqs: Any) -> None:
    apis, inbox = node.client("apigatewayv2"), Inbox(sqs, "asked")
    api_id = apis.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
    integration = apis.create_integration(
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationSubtype="SQS-SendMessage",
        PayloadFormatVersion="1.0",
        CredentialsArn=ROLE,
        RequestParameters={"QueueUrl": inbox.url, "MessageBody": "$request.body"},
    )["IntegrationId"]
    apis.create_route(ApiId=api_id, RouteKey="POST /orders/{id}", Target=f"integrations/{integration}")
    apis.create_stage(ApiId=api_id, StageName="live", AutoDeploy=True)
    events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
    arn = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api_id}/live/POST/orders/*"
    target = {
        "Id": "api",
        "Arn": arn,
        "RoleArn": ROLE,
        "InputPath": "$.detail",
        "HttpParameters": {"PathParameterValues": ["$.detail.id"]},
    }
    assert events.put_targets(Rule="all", Targets=[target])["FailedEntryCount"] == 0
    events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": '{"id": "a b"}'}])
    (body,) = wait_until(inbox.bodies)
    assert json.loads(body) == {"id": "a b"}


def test_refused_request_goes_to_the_dead_letter_queue(node: RunningNode, events: Any, sqs: Any) -> None:
    api_id = node.client("apigatewayv2").create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
    dead = Inbox(sqs, "dead")
    events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
    arn = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api_id}/live/POST/none"
    target = {"Id": "api", "Arn": arn, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": dead.arn}}
    events.put_targets(Rule="all", Targets=[target])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}])
    (letter,) = wait_until(dead.messages)
    assert letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"] == "The API answered 404."
