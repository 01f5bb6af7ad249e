from typing import Any

from tests.harness import RunningNode


def test_trace_says_who_took_a_message_and_why_others_did_not(
    node: RunningNode, sns: Any, topic: str, subscribed: Any
) -> None:
    subscribed("taken", FilterPolicyScope="MessageBody", FilterPolicy={"kind": ["a"]})
    subscribed("other", FilterPolicyScope="MessageBody", FilterPolicy={"kind": ["b"]})
    subscribed("attributes", FilterPolicy={"size": ["L"]})
    message_id = sns.publish(TopicArn=topic, Message='{"kind": "a"}')["MessageId"]
    steps = node.run(lambda running: running.platform.trace.path(message_id))
    assert [step.what for step in steps] == ["received", "matched", "unmatched", "unmatched", "delivered"]
    assert {step.message for step in steps if step.what == "unmatched"} == {
        'size: expected ["L"], found nothing',
        'kind: expected ["b"], found "a"',
    }
    assert steps[-1].target.endswith(":taken")


def test_trace_says_that_a_message_is_no_json(node: RunningNode, sns: Any, topic: str, subscribed: Any) -> None:
    subscribed(FilterPolicyScope="MessageBody", FilterPolicy={"kind": ["a"]})
    message_id = sns.publish(TopicArn=topic, Message="text")["MessageId"]
    steps = node.run(lambda running: running.platform.trace.path(message_id))
    assert steps[-1].message == "The message is not a JSON object."
