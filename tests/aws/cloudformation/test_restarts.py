from tests.aws.cloudformation.stacks import body, events, queue, settled
from tests.harness import RunningNode


def test_deployment_goes_on_after_a_restart(node: RunningNode) -> None:
    client = node.client("cloudformation")
    resources = {f"Q{n}": {**queue(QueueName=f"q{n}"), **({"DependsOn": f"Q{n - 1}"} if n else {})} for n in range(30)}
    client.create_stack(StackName="long", TemplateBody=body(resources))
    node.restart()
    client = node.client("cloudformation")
    assert settled(client, "long")["StackStatus"] == "CREATE_COMPLETE"
    assert len(node.client("sqs").list_queues()["QueueUrls"]) == 30
    complete = [name for name, status, _ in events(client, "long") if status == "CREATE_COMPLETE"]
    assert complete == [*(f"Q{n}" for n in range(30)), "long"]


def test_deleted_stack_is_forgotten_after_ninety_days(node: RunningNode) -> None:
    node.clock.freeze()
    client = node.client("cloudformation")
    client.create_stack(StackName="one", TemplateBody=body({"A": queue()}))
    stack = settled(client, "one")
    client.delete_stack(StackName="one")
    assert settled(client, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert len(client.list_stacks()["StackSummaries"]) == 1
    node.clock.advance(91 * 24 * 3600)
    node.clock.resume()
    for _ in range(200):
        if not node.client("cloudformation").list_stacks()["StackSummaries"]:
            return
    raise AssertionError("the stack is still there")
