import json
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.aws.lambda_.conftest import Functions
from tests.harness import ACCOUNT, RunningNode, wait_until

CODE = "def handler(event, context):\n    return 'done'\n"
GONE = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:gone"


@pytest.fixture
def functions(node: RunningNode) -> Functions:
    return Functions(node)


def test_function_gets_the_event(sns: Any, sqs: Any, topic: str, functions: Functions) -> None:
    done = Inbox(sqs, "done")
    functions.make("f", CODE)
    functions.client.put_function_event_invoke_config(
        FunctionName="f", DestinationConfig={"OnSuccess": {"Destination": done.arn}}
    )
    endpoint = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    arn = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=endpoint)["SubscriptionArn"]
    kind = {"kind": {"DataType": "String", "StringValue": "new"}}
    message_id = sns.publish(TopicArn=topic, Message="m", MessageAttributes=kind)["MessageId"]
    (report,) = wait_until(done.events)
    (record,) = report["requestPayload"]["Records"]
    notification = record.pop("Sns")
    assert record == {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": arn}
    assert notification["MessageId"] == message_id
    assert (notification["Subject"], notification["Message"]) == (None, "m")
    assert notification["MessageAttributes"] == {"kind": {"Type": "String", "Value": "new"}}
    assert {"SigningCertUrl", "UnsubscribeUrl", "Signature", "SignatureVersion"} <= notification.keys()


def test_message_for_a_function_that_is_gone_is_a_dead_letter(sns: Any, sqs: Any, topic: str) -> None:
    dead = Inbox(sqs, "dead")
    policy = json.dumps({"deadLetterTargetArn": dead.arn})
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=GONE, Attributes={"RedrivePolicy": policy})
    sns.publish(TopicArn=topic, Message="lost")
    (event,) = dead.events()
    assert event["Records"][0]["Sns"]["Message"] == "lost"
