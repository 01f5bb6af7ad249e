"""Batches through boto3: each entry on its own, the batch as a whole, one commit."""

import pytest

ID_RULE = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)


def entries(*bodies, **more):
    return [{"Id": str(number), "MessageBody": body, **more} for number, body in enumerate(bodies)]


def receive(sqs, url, **params):
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **params).get("Messages", [])


def test_send_batch_keeps_order_and_names_what_failed(sqs, make_queue):
    url = make_queue(MaximumMessageSize="1024")
    batch = entries("a", "", "b\x07", "x" * 1025, "c")
    sent = sqs.send_message_batch(QueueUrl=url, Entries=batch)
    assert [entry["Id"] for entry in sent["Successful"]] == ["0", "4"]
    assert sent["Successful"][0]["MD5OfMessageBody"] == "0cc175b9c0f1b6a831c399e269772661"
    failed = {entry["Id"]: (entry["Code"], entry["SenderFault"]) for entry in sent["Failed"]}
    assert failed == {
        "1": ("EmptyValue", True),
        "2": ("InvalidMessageContents", True),
        "3": ("InvalidParameterValue", True),
    }
    assert sent["Failed"][2]["Message"].endswith("Message must be shorter than 1024 bytes.")
    assert [message["Body"] for message in receive(sqs, url)] == ["a", "c"]


def test_send_batch_of_full_messages(sqs, make_queue):
    url = make_queue()
    attributes = {"a": {"DataType": "String", "StringValue": "1"}}
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries(*"0123456789", MessageAttributes=attributes))
    assert "Failed" not in sent
    assert len({entry["MD5OfMessageAttributes"] for entry in sent["Successful"]}) == 1
    assert [message["Body"] for message in receive(sqs, url)] == list("0123456789")


@pytest.mark.parametrize(
    ("batch", "code", "text"),
    [
        ([], "EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request."),
        (
            entries(*"01234567890"),
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 11.",
        ),
        ([{"Id": "x", "MessageBody": "a"}] * 2, "BatchEntryIdsNotDistinct", "Id x repeated."),
        ([{"Id": "a:b", "MessageBody": "a"}], "InvalidBatchEntryId", ID_RULE),
        ([{"Id": "a" * 81, "MessageBody": "a"}], "InvalidBatchEntryId", ID_RULE),
        (
            entries("x" * 600_000, "x" * 600_000),
            "BatchRequestTooLong",
            "Batch requests cannot be longer than 1048576 bytes. You have sent 1200000 bytes.",
        ),
    ],
)
def test_a_batch_is_refused_as_a_whole(sqs, make_queue, refused, batch, code, text):
    url = make_queue()
    found = refused(sqs.send_message_batch, QueueUrl=url, Entries=batch)
    assert found == (f"AWS.SimpleQueueService.{code}", text)
    assert receive(sqs, url) == []


def test_delete_and_visibility_batches(node, sqs, make_queue, refused):
    node.clock.freeze()
    url = make_queue()
    sqs.send_message_batch(QueueUrl=url, Entries=entries("a", "b", "c"))
    handles = [message["ReceiptHandle"] for message in receive(sqs, url)]
    changes = [
        {"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 0},
        {"Id": "b", "ReceiptHandle": handles[1], "VisibilityTimeout": 43_201},
        {"Id": "c", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
    ]
    changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)
    assert [entry["Id"] for entry in changed["Successful"]] == ["a"]
    assert {entry["Id"]: entry["Code"] for entry in changed["Failed"]} == {
        "b": "InvalidParameterValue",
        "c": "ReceiptHandleIsInvalid",
    }
    assert [message["Body"] for message in receive(sqs, url)] == ["a"]
    deletes = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate([*handles, "garbage"])]
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=deletes)
    assert [entry["Id"] for entry in deleted["Successful"]] == ["0", "1", "2"]
    assert deleted["Failed"] == [
        {
            "Id": "3",
            "SenderFault": True,
            "Code": "ReceiptHandleIsInvalid",
            "Message": 'The input receipt handle "garbage" is not a valid receipt handle.',
        }
    ]
    gone = sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes[:1])
    assert gone["Failed"][0]["Message"].endswith("is not available for visibility timeout change.")
    node.clock.advance(100)
    assert receive(sqs, url) == []
    for operation, shape in (
        (sqs.delete_message_batch, "DeleteMessageBatchRequestEntry"),
        (sqs.change_message_visibility_batch, "ChangeMessageVisibilityBatchRequestEntry"),
    ):
        text = f"There should be at least one {shape} in the request."
        assert refused(operation, QueueUrl=url, Entries=[]) == ("AWS.SimpleQueueService.EmptyBatchRequest", text)
