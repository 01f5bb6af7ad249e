"""A queue's attributes: ranges, policies, unknown names, and what is shown."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.api import sqs as api
from forebay.core.errors import ServiceError
from forebay.services.sqs.attributes import changed, check_readable, find_difference, is_fifo_wanted, shown
from forebay.services.sqs.queue import Queue, RedrivePolicy, check_allows, check_name
from forebay.store.commands import MessageCounts

QUEUE = Queue(number=1, account="000000000000", region="us-east-1", name="q", created_at=10, modified_at=20)
ARN = "arn:aws:sqs:us-east-1:000000000000:dlq"


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
    ],
)
def test_numbers_have_ranges(name, least, most):
    for good in (least, most):
        changed(QUEUE, {name: str(good)})
    for bad in (str(least - 1), str(most + 1), "", "x", "1.5", "²", "9" * 5000):
        with pytest.raises(api.InvalidAttributeValue) as failure:
            changed(QUEUE, {name: bad})
        assert failure.value.message == f"Invalid value for the parameter {name}."


@pytest.mark.parametrize("name", ["Foo", "QueueArn", "CreatedTimestamp", "FifoQueue", "ContentBasedDeduplication"])
def test_unknown_and_fixed_attributes_cannot_be_set(name):
    with pytest.raises(api.InvalidAttributeName) as failure:
        changed(QUEUE, {name: "false"})
    assert failure.value.message == f"Unknown Attribute {name}."


FIFO = msgspec.structs.replace(QUEUE, name="q.fifo", is_fifo=True)


def test_fifo_queue_shows_all_its_attributes():
    texts = shown(FIFO, None)
    fifo_texts = {name: texts[name] for name in texts if "Fifo" in name or "Dedup" in name}
    assert fifo_texts == {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }
    changes = {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
    assert {name: shown(changed(FIFO, changes), None)[name] for name in changes} == changes
    check_readable(FIFO, list(changes))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("ContentBasedDeduplication", "yes", "Invalid value for the parameter ContentBasedDeduplication."),
        ("DeduplicationScope", "group", "Invalid value for the parameter DeduplicationScope."),
        (
            "FifoThroughputLimit",
            "perMessageGroupId",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        ),
        (
            "FifoQueue",
            "false",
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
        ),
    ],
)
def test_fifo_values_that_are_not(name, value, text):
    with pytest.raises(api.InvalidAttributeValue) as failure:
        changed(FIFO, {name: value})
    assert failure.value.message == text


@pytest.mark.parametrize("name", ["DeduplicationScope", "FifoThroughputLimit"])
def test_standard_queue_has_no_high_throughput(name):
    with pytest.raises(api.InvalidAttributeName) as failure:
        changed(QUEUE, {name: "queue"})
    assert failure.value.message == f"You can specify the {name} only when FifoQueue is set to true."


def test_fifo_queue_is_wanted_by_true_only():
    assert is_fifo_wanted({"FifoQueue": "true"})
    assert not is_fifo_wanted({})
    with pytest.raises(api.InvalidAttributeName, match=r"Unknown Attribute FifoQueue\."):
        is_fifo_wanted({"FifoQueue": "false"})


def test_redrive_policy_is_read_and_shown_compactly():
    queue = changed(QUEUE, {"RedrivePolicy": json.dumps({"deadLetterTargetArn": ARN, "maxReceiveCount": "3"})})
    assert queue.redrive == RedrivePolicy(ARN, 3)
    assert shown(queue, None)["RedrivePolicy"] == f'{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":3}}'
    assert changed(queue, {"RedrivePolicy": ""}).redrive is None


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("x", "Redrive policy is not a valid JSON map."),
        ("[]", "Redrive policy is not a valid JSON map."),
        ("{}", "Redrive policy does not contain mandatory attribute: maxReceiveCount."),
        ('{"maxReceiveCount":1}', "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
        (
            '{"maxReceiveCount":0,"deadLetterTargetArn":"a"}',
            "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.",
        ),
        (
            '{"maxReceiveCount":"²","deadLetterTargetArn":"a"}',
            "Invalid value for maxReceiveCount: ², valid values are from 1 to 1000 both inclusive.",
        ),
        (
            '{"maxReceiveCount":1001,"deadLetterTargetArn":"a"}',
            "Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.",
        ),
    ],
)
def test_redrive_policy_is_refused_in_aws_words(policy, reason):
    with pytest.raises(ServiceError) as failure:
        changed(QUEUE, {"RedrivePolicy": policy})
    assert failure.value.message == f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}"


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (
            '{"redrivePermission":"byQueue"}',
            "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.",
        ),
        (
            '{"redrivePermission":"denyAll","sourceQueueArns":["a"]}',
            "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.",
        ),
        (
            json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": ["a"] * 11}),
            "The maximum number of source queue ARNs you can specify is 10.",
        ),
    ],
)
def test_redrive_allow_policy_is_refused_in_aws_words(policy, reason):
    with pytest.raises(ServiceError) as failure:
        changed(QUEUE, {"RedriveAllowPolicy": policy})
    assert failure.value.message == (
        f"Value {policy} for parameter RedriveAllowPolicy is invalid. "
        f"Reason: Amazon SQS can't create the redrive allow policy. {reason}"
    )


@pytest.mark.parametrize("policy", ["x", "[]", "1", '{"Statement":["x"]}', '{"Statement":"x"}', "[" * 100_000])
def test_a_policy_is_an_object_with_statements(policy):
    with pytest.raises(api.InvalidAttributeValue) as failure:
        changed(QUEUE, {"Policy": policy})
    assert failure.value.message == "Invalid value for the parameter Policy."
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    for good in ({"Statement": statement}, {"Statement": [statement]}):
        assert changed(QUEUE, {"Policy": json.dumps(good)}).policy == json.dumps(good)


MEMBERS = ["deadLetterTargetArn", "maxReceiveCount", "redrivePermission", "sourceQueueArns", "Statement"]


@example("RedriveAllowPolicy", '{"redrivePermission":[]}')
@example("RedriveAllowPolicy", '{"redrivePermission":{}}')
@given(
    st.sampled_from(["Policy", "RedrivePolicy", "RedriveAllowPolicy", "VisibilityTimeout", "SqsManagedSseEnabled"]),
    st.text(max_size=20)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("byQueue"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    ).map(json.dumps),
)
def test_whatever_is_set_is_taken_or_refused(name, text):
    assert _status(name, text) in {200, 400}


def _status(name, text):
    try:
        changed(QUEUE, {name: text})
    except ServiceError as error:
        return error.status
    return 200


def test_numbers_too_long_for_python_are_refused_too():
    digits = "9" * 5000
    for number in (digits, f'"{digits}"'):
        with pytest.raises(ServiceError) as failure:
            changed(QUEUE, {"RedrivePolicy": f'{{"maxReceiveCount":{number},"deadLetterTargetArn":"{ARN}"}}'})
        assert failure.value.status == 400


def test_redrive_allow_policy_excludes_sources():
    source = "arn:aws:sqs:us-east-1:000000000000:source"
    check_allows(QUEUE, source, "{}")
    check_allows(changed(QUEUE, {"RedriveAllowPolicy": '{"redrivePermission":"allowAll"}'}), source, "{}")
    listed = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [source]})
    check_allows(changed(QUEUE, {"RedriveAllowPolicy": listed}), source, "{}")
    unlisted = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": ["arn:other"]})
    for policy in ('{"redrivePermission":"denyAll"}', unlisted):
        with pytest.raises(ServiceError, match="does not allow this source queue"):
            check_allows(changed(QUEUE, {"RedriveAllowPolicy": policy}), source, "{}")


def test_defaults_are_shown_and_what_is_not_set_is_not():
    assert shown(QUEUE, MessageCounts(1, 2, 3)) == {
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
        "CreatedTimestamp": "10",
        "LastModifiedTimestamp": "20",
        "VisibilityTimeout": "30",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "ApproximateNumberOfMessages": "1",
        "ApproximateNumberOfMessagesNotVisible": "2",
        "ApproximateNumberOfMessagesDelayed": "3",
    }


def test_a_kms_key_ends_managed_encryption_and_the_other_way_round():
    keyed = changed(QUEUE, {"KmsMasterKeyId": "alias/k"})
    assert shown(keyed, None)["SqsManagedSseEnabled"] == "false"
    assert shown(keyed, None)["KmsDataKeyReusePeriodSeconds"] == "300"
    assert "KmsMasterKeyId" not in shown(changed(keyed, {"SqsManagedSseEnabled": "true"}), None)
    with pytest.raises(api.InvalidAttributeName, match="You can use one type of server-side encryption"):
        changed(QUEUE, {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"})


def test_find_difference_looks_only_at_what_was_given():
    other = changed(QUEUE, {"DelaySeconds": "5"})
    assert find_difference(QUEUE, other, ["VisibilityTimeout"]) is None
    assert find_difference(QUEUE, other, ["VisibilityTimeout", "DelaySeconds"]) == "DelaySeconds"


def test_asking_for_an_unknown_attribute_is_refused():
    check_readable(QUEUE, ["All", "Policy", "QueueArn", "ApproximateNumberOfMessages"])
    with pytest.raises(api.InvalidAttributeName, match=r"Unknown Attribute FifoQueue\."):
        check_readable(QUEUE, ["FifoQueue"])


@pytest.mark.parametrize("name", ["a", "A-b_9", "a" * 80, "-", "_"])
def test_names_that_are_legal(name):
    check_name(name, is_fifo=False)
    check_name(f"{name[:75]}.fifo", is_fifo=True)


@pytest.mark.parametrize("name", ["a" * 81, "a.b", "a b", "é", "a/b", ".fifo", "a\n", "a.fifo"])
def test_names_that_are_not(name):
    with pytest.raises(ServiceError) as failure:
        check_name(name, is_fifo=False)
    assert failure.value.message == (
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
    )
    assert failure.value.query_code == "InvalidParameterValue"


@pytest.mark.parametrize("name", ["a", ".fifo", "a.b.fifo", "a" * 76 + ".fifo"])
def test_fifo_names_that_are_not(name):
    with pytest.raises(ServiceError, match=r"The name of a FIFO queue can only .* must end with \.fifo suffix"):
        check_name(name, is_fifo=True)
