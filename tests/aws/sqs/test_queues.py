"""Queues through boto3: create, find, list, attributes, purge, delete, tags, permissions."""

import json

import pytest

from forebay.store.commands import CountTimers
from tests.harness import wait_until

NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
ALL_DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}


def attributes(sqs, url, *names):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names)).get("Attributes")


def test_a_new_queue_has_its_url_and_defaults(node, sqs):
    node.clock.freeze(1_700_000_000)
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    assert url == f"{node.url}/000000000000/q"
    assert attributes(sqs, url, "All") == ALL_DEFAULTS | {
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
        "CreatedTimestamp": "1700000000",
        "LastModifiedTimestamp": "1700000000",
    }


def test_attributes_are_absent_where_none_is_asked_for(sqs, make_queue):
    url = make_queue()
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url)
    assert attributes(sqs, url, "RedrivePolicy") is None
    assert attributes(sqs, url, "DelaySeconds", "Policy") == {"DelaySeconds": "0"}


def test_create_queue_again_returns_it_if_what_is_given_is_the_same(sqs, make_queue, refused):
    url = make_queue(VisibilityTimeout="5")
    assert make_queue() == url
    assert make_queue(VisibilityTimeout="5", DelaySeconds="0") == url
    code, text = refused(sqs.create_queue, QueueName="q", Attributes={"VisibilityTimeout": "6"})
    assert code == "QueueAlreadyExists"
    assert text == "A queue already exists with the same name and a different value for attribute VisibilityTimeout"


def test_create_queue_refuses_in_aws_words(sqs, refused):
    bad_name = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
    assert refused(sqs.create_queue, QueueName="a b") == ("InvalidParameterValue", bad_name)
    assert refused(sqs.create_queue, QueueName="") == (
        "MissingParameter",
        "The request must contain the parameter QueueName.",
    )
    assert refused(sqs.create_queue, QueueName="q", Attributes={"Foo": "1"}) == (
        "InvalidAttributeName",
        "Unknown Attribute Foo.",
    )
    assert refused(sqs.create_queue, QueueName="q", Attributes={"VisibilityTimeout": "43201"}) == (
        "InvalidAttributeValue",
        "Invalid value for the parameter VisibilityTimeout.",
    )
    assert "QueueUrls" not in sqs.list_queues()


def test_queues_are_found_by_name_url_of_any_host_and_account(node, sqs, make_queue, refused):
    url = make_queue()
    assert sqs.get_queue_url(QueueName="q")["QueueUrl"] == url
    for other in ("q", "https://sqs.us-east-1.amazonaws.com/000000000000/q", "http://x/queue/000000000000/q"):
        assert attributes(sqs, other, "DelaySeconds") == {"DelaySeconds": "0"}
    assert refused(sqs.get_queue_url, QueueName="other") == NO_QUEUE
    assert refused(sqs.get_queue_attributes, QueueUrl=f"{url}x", AttributeNames=["All"]) == NO_QUEUE
    address = "http://x/not-an-account/q"
    assert refused(sqs.purge_queue, QueueUrl=address) == (
        "InvalidAddress",
        f"The address {address} is not valid for this endpoint.",
    )
    assert refused(sqs.purge_queue, QueueUrl="") == (
        "MissingParameter",
        "The request must contain the parameter QueueUrl.",
    )
    other = node.client("sqs", account="111111111111")
    assert refused(other.get_queue_url, QueueName="q") == NO_QUEUE
    found = other.get_queue_url(QueueName="q", QueueOwnerAWSAccountId="000000000000")
    assert found["QueueUrl"] == url
    assert refused(node.client("sqs", region="eu-west-1").get_queue_url, QueueName="q") == NO_QUEUE


@pytest.mark.parametrize("operation", ["delete_queue", "purge_queue", "list_queue_tags", "receive_message"])
def test_every_operation_knows_that_a_queue_is_missing(sqs, refused, operation):
    assert refused(getattr(sqs, operation), QueueUrl="http://x/000000000000/none") == NO_QUEUE


def test_list_queues_by_prefix_and_page(sqs, make_queue, refused):
    urls = [make_queue(name) for name in ("a-1", "a-2", "a-3", "b-1")]
    assert sqs.list_queues()["QueueUrls"] == urls
    assert sqs.list_queues(QueueNamePrefix="a-")["QueueUrls"] == urls[:3]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="c")
    first = sqs.list_queues(QueueNamePrefix="a-", MaxResults=2)
    assert first["QueueUrls"] == urls[:2]
    second = sqs.list_queues(QueueNamePrefix="a-", MaxResults=2, NextToken=first["NextToken"])
    assert second["QueueUrls"] == urls[2:3]
    assert "NextToken" not in second
    assert refused(sqs.list_queues, MaxResults=1001)[0] == "InvalidParameterValue"
    invalid = ("InvalidParameterValue", "Invalid or expired next token.")
    assert refused(sqs.list_queues, NextToken="%%%") == invalid
    assert refused(sqs.list_queues, QueueNamePrefix="b", NextToken=first["NextToken"]) == invalid


def test_set_queue_attributes_changes_what_is_named(node, sqs, make_queue, refused):
    node.clock.freeze(1_700_000_000)
    url = make_queue(VisibilityTimeout="7")
    node.clock.advance(10)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "3", "Policy": policy})
    found = attributes(sqs, url, "All")
    assert (found["VisibilityTimeout"], found["DelaySeconds"]) == ("7", "3")
    assert found["Policy"] == policy
    assert (found["CreatedTimestamp"], found["LastModifiedTimestamp"]) == ("1700000000", "1700000010")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert attributes(sqs, url, "Policy") is None
    assert refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"DelaySeconds": "901"}) == (
        "InvalidAttributeValue",
        "Invalid value for the parameter DelaySeconds.",
    )
    assert refused(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Nope"]) == (
        "InvalidAttributeName",
        "Unknown Attribute Nope.",
    )


def test_a_deleted_name_is_taken_for_a_minute(node, sqs, make_queue, refused):
    node.clock.freeze()
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="old")
    sqs.delete_queue(QueueUrl=url)
    assert refused(sqs.send_message, QueueUrl=url, MessageBody="x") == NO_QUEUE
    assert "QueueUrls" not in sqs.list_queues()
    node.clock.advance(59)
    assert refused(sqs.create_queue, QueueName="q") == (
        "AWS.SimpleQueueService.QueueDeletedRecently",
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
    )
    node.clock.advance(1)
    make_queue()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_purge_deletes_everything_once_a_minute(node, sqs, make_queue, refused):
    node.clock.freeze()
    url = make_queue()
    for delay in (0, 0, 60):
        sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=delay)
    sqs.receive_message(QueueUrl=url)
    counts = {name: count for name, count in attributes(sqs, url, "All").items() if name.startswith("Approximate")}
    assert list(counts.values()) == ["1", "1", "1"]
    sqs.purge_queue(QueueUrl=url)
    assert all(attributes(sqs, url, "All")[name] == "0" for name in counts)
    assert refused(sqs.purge_queue, QueueUrl=url) == (
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        "Only one PurgeQueue operation on q is allowed every 60 seconds.",
    )
    node.clock.advance(60)
    sqs.purge_queue(QueueUrl=url)


def test_tags(sqs, refused):
    url = sqs.create_queue(QueueName="q", tags={"a": "1"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"a": "2", "b": ""})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "2", "b": ""}
    sqs.untag_queue(QueueUrl=url, TagKeys=["a", "b", "c"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)
    assert refused(sqs.tag_queue, QueueUrl=url, Tags={"": "x"}) == (
        "InvalidParameterValue",
        "Tag keys must be between 1 and 128 characters in length.",
    )
    assert refused(sqs.tag_queue, QueueUrl=url, Tags={str(n): "" for n in range(51)}) == (
        "InvalidParameterValue",
        "Too many tags added for queue q.",
    )


def test_permissions_are_statements_of_the_policy(sqs, make_queue, refused):
    url = make_queue()
    sqs.add_permission(QueueUrl=url, Label="one", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    sqs.add_permission(
        QueueUrl=url, Label="two", AWSAccountIds=["111111111111", "222222222222"], Actions=["*", "SendMessage"]
    )
    policy = json.loads(attributes(sqs, url, "Policy")["Policy"])
    assert policy["Id"] == "arn:aws:sqs:us-east-1:000000000000:q/SQSDefaultPolicy"
    assert [statement["Sid"] for statement in policy["Statement"]] == ["one", "two"]
    assert policy["Statement"][0] == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "SQS:SendMessage",
        "Resource": "arn:aws:sqs:us-east-1:000000000000:q",
    }
    again = {"QueueUrl": url, "Label": "one", "AWSAccountIds": ["111111111111"]}
    assert refused(sqs.add_permission, **again, Actions=["SendMessage"]) == (
        "InvalidParameterValue",
        "Value one for parameter Label is invalid. Reason: Already exists.",
    )
    assert refused(sqs.add_permission, **again, Actions=["Foo"])[1] == (
        "Value SQS:Foo for parameter ActionName is invalid. "
        "Reason: Please refer to the appropriate WSDL for a list of valid actions."
    )
    assert refused(sqs.add_permission, **again, Actions=["SendMessage"] * 8) == (
        "OverLimit",
        "8 Actions were found, maximum allowed is 7.",
    )
    sqs.remove_permission(QueueUrl=url, Label="one")
    sqs.remove_permission(QueueUrl=url, Label="two")
    assert attributes(sqs, url, "Policy") is None
    assert refused(sqs.remove_permission, QueueUrl=url, Label="one") == (
        "InvalidParameterValue",
        "Value one for parameter Label is invalid. Reason: can't find label on existing policy.",
    )


def test_queues_and_messages_survive_a_restart(node, sqs, make_queue):
    make_queue(VisibilityTimeout="7")
    sqs.send_message(QueueUrl="q", MessageBody="kept", MessageGroupId="g")
    node.restart()
    sqs = node.client("sqs")
    assert attributes(sqs, "q", "VisibilityTimeout") == {"VisibilityTimeout": "7"}
    (message,) = sqs.receive_message(QueueUrl="q", MessageSystemAttributeNames=["MessageGroupId"])["Messages"]
    assert (message["Body"], message["Attributes"]) == ("kept", {"MessageGroupId": "g"})


def test_a_new_retention_counts_for_messages_that_are_there(node, sqs, make_queue):
    def change(seconds):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": str(seconds)})
        wait_until(lambda: not node.run(lambda one: one.platform.store.view(ask)))

    def ask(view):
        return view.ask(CountTimers("sqs.retention"))

    node.clock.freeze()
    url = make_queue()
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    change(60)
    node.clock.advance(60)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    change(600)
    node.clock.advance(60)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"


def test_a_new_delay_of_a_fifo_queue_counts_for_messages_that_wait(node, sqs, make_queue):
    node.clock.freeze()
    url = make_queue("q.fifo", FifoQueue="true", ContentBasedDeduplication="true", DelaySeconds="100")
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "5"})
    node.clock.advance(5)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"


@pytest.mark.parametrize("form", ["url", "name"])
def test_kedas_question_is_answered(sqs, make_queue, form):
    """KEDA's aws-sqs-queue scaler asks for three counters, of a queue given by its URL or its bare name."""
    url = make_queue()
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(number), "MessageBody": "x"} for number in range(5)])
    sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=900)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)
    queue = url if form == "url" else sqs.get_queue_url(QueueName="q")["QueueUrl"].rsplit("/", 1)[1]
    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
    assert attributes(sqs, queue, *names) == dict(zip(names, ("3", "2", "1"), strict=True))


def test_urls_of_two_regions_differ(node, sqs, make_queue, refused):
    url = make_queue()
    other = node.client("sqs", region="eu-west-1")
    other_url = other.create_queue(QueueName="q")["QueueUrl"]
    # The path stays as KEDA and others take it apart.
    assert other_url == f"{node.url}/000000000000/q?region=eu-west-1"
    assert other.get_queue_url(QueueName="q")["QueueUrl"] == other_url
    assert other.list_queues()["QueueUrls"] == [other_url]
    assert sqs.list_queues()["QueueUrls"] == [url]
    # As on AWS, the URL says where the queue is, and without one the client does.
    sqs.send_message(QueueUrl=other_url, MessageBody="x")
    assert "Messages" not in sqs.receive_message(QueueUrl="q")
    assert other.receive_message(QueueUrl="q")["Messages"][0]["Body"] == "x"
    other.delete_queue(QueueUrl=other_url)
    assert refused(sqs.send_message, QueueUrl=other_url, MessageBody="x") == NO_QUEUE
    assert sqs.list_queues()["QueueUrls"] == [url]
