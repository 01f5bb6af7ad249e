"""Metrics through boto3: what queues count, and what callers put."""

import urllib.request
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from tests.harness import wait_until

START = 1_700_000_040
NAMESPACE = "{http://monitoring.amazonaws.com/doc/2010-08-01/}"


def of_queue(name, queue="q"):
    return {"Namespace": "AWS/SQS", "MetricName": name, "Dimensions": [{"Name": "QueueName", "Value": queue}]}


def statistics(cloudwatch, name, *wanted, period=60):
    found = cloudwatch.get_metric_statistics(
        **of_queue(name), StartTime=START, EndTime=START + 600, Period=period, Statistics=list(wanted)
    )
    return [tuple(point[one] for one in wanted) for point in found["Datapoints"]]


@pytest.fixture
def busy_minute(node, sqs, cloudwatch):
    """Let a queue be used for one minute, and return when that is written down."""
    node.clock.freeze(START)
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    for size in (10, 20, 60):
        sqs.send_message(QueueUrl=url, MessageBody="x" * size)
    entries = [{"Id": "1", "MessageBody": "x" * 30}]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.send_message(QueueUrl=url, MessageBody="late", DelaySeconds=900)
    sqs.receive_message(QueueUrl=sqs.create_queue(QueueName="empty")["QueueUrl"])
    node.clock.advance(60)
    wait_until(lambda: cloudwatch.list_metrics()["Metrics"])


@pytest.mark.usefixtures("busy_minute")
def test_queues_count_what_happens_to_them(cloudwatch):
    assert statistics(cloudwatch, "NumberOfMessagesSent", "Sum", "SampleCount") == [(5, 1)]
    assert statistics(cloudwatch, "NumberOfMessagesReceived", "Sum") == [(2,)]
    assert statistics(cloudwatch, "NumberOfMessagesDeleted", "Sum") == [(1,)]
    sizes = ("SampleCount", "Sum", "Minimum", "Maximum", "Average")
    assert statistics(cloudwatch, "SentMessageSize", *sizes) == [(5, 124, 4, 60, 24.8)]
    assert statistics(cloudwatch, "ApproximateNumberOfMessagesVisible", "Maximum") == [(2,)]
    assert statistics(cloudwatch, "ApproximateNumberOfMessagesNotVisible", "Maximum") == [(1,)]
    assert statistics(cloudwatch, "ApproximateNumberOfMessagesDelayed", "Maximum") == [(1,)]
    assert statistics(cloudwatch, "ApproximateAgeOfOldestMessage", "Maximum") == [(60,)]
    found = cloudwatch.get_metric_statistics(
        **of_queue("NumberOfEmptyReceives", "empty"),
        StartTime=START,
        EndTime=START + 60,
        Period=60,
        Statistics=["Sum"],
    )
    ((point,), label) = found["Datapoints"], found["Label"]
    assert (point["Sum"], point["Unit"], point["Timestamp"].timestamp(), label) == (
        1,
        "Count",
        START,
        "NumberOfEmptyReceives",
    )


@pytest.mark.usefixtures("busy_minute")
def test_metrics_are_listed_by_what_they_are(cloudwatch):
    listed = cloudwatch.list_metrics(Namespace="AWS/SQS", MetricName="SentMessageSize")["Metrics"]
    assert listed == [of_queue("SentMessageSize")]
    of_empty = cloudwatch.list_metrics(Dimensions=[{"Name": "QueueName", "Value": "empty"}])["Metrics"]
    assert {metric["Dimensions"][0]["Value"] for metric in of_empty} == {"empty"}
    assert cloudwatch.list_metrics(Namespace="AWS/SNS")["Metrics"] == []


def test_a_busy_queue_stays_in_the_books_while_it_is_idle(node, sqs, cloudwatch, busy_minute):
    node.clock.advance(60)
    wait_until(lambda: len(statistics(cloudwatch, "NumberOfMessagesSent", "Sum")) == 2)
    query = {"Id": "m", "MetricStat": {"Metric": of_queue("NumberOfMessagesSent"), "Period": 60, "Stat": "Sum"}}
    params = {"MetricDataQueries": [query], "StartTime": START, "EndTime": START + 120}
    (newest_first,) = cloudwatch.get_metric_data(**params)["MetricDataResults"]
    assert (newest_first["Values"], newest_first["StatusCode"], newest_first["Label"]) == (
        [0, 5],
        "Complete",
        "NumberOfMessagesSent",
    )
    (oldest_first,) = cloudwatch.get_metric_data(**params, ScanBy="TimestampAscending")["MetricDataResults"]
    assert oldest_first["Values"] == [5, 0]


def test_what_was_counted_survives_a_stop(node, sqs):
    sqs.send_message(QueueUrl=sqs.create_queue(QueueName="q")["QueueUrl"], MessageBody="x")
    node.restart()
    listed = node.client("cloudwatch").list_metrics(MetricName="NumberOfMessagesSent")["Metrics"]
    assert listed == [of_queue("NumberOfMessagesSent")]


def test_own_metrics_go_round(node, cloudwatch):
    node.clock.freeze(START)
    dimensions = [{"Name": "b", "Value": "2"}, {"Name": "a", "Value": "1"}]
    data = [
        {"MetricName": "m", "Dimensions": dimensions, "Values": [1.0, 3.0], "Counts": [3.0, 1.0], "Unit": "Seconds"},
        {"MetricName": "m", "Dimensions": dimensions[::-1], "Value": 10.0, "Unit": "Seconds"},
    ]
    cloudwatch.put_metric_data(Namespace="mine", MetricData=data)
    metric = {"Namespace": "mine", "MetricName": "m", "Dimensions": dimensions}
    span = {"StartTime": START - 30, "EndTime": START + 60, "Period": 60}
    found = cloudwatch.get_metric_statistics(
        **metric, **span, Statistics=["Sum", "SampleCount"], ExtendedStatistics=["p50", "p90"]
    )
    (point,) = found["Datapoints"]
    assert (point["Sum"], point["SampleCount"], point["Unit"]) == (16, 5, "Seconds")
    assert point["ExtendedStatistics"] == {"p50": 1, "p90": 10}
    assert cloudwatch.get_metric_statistics(**metric, **span, Statistics=["Sum"], Unit="Bytes")["Datapoints"] == []


def test_what_is_refused(cloudwatch, refused):
    metric = {"Namespace": "n", "MetricName": "m"}
    span = {"StartTime": START, "EndTime": START + 60}
    assert refused(cloudwatch.get_metric_statistics, **metric, **span, Period=60) == (
        "InvalidParameterCombination",
        "Must specify either Statistics or ExtendedStatistics",
    )
    backwards = {"StartTime": START, "EndTime": START}
    assert refused(cloudwatch.get_metric_statistics, **metric, **backwards, Period=60, Statistics=["Sum"]) == (
        "InvalidParameterValue",
        "The parameter StartTime must be less than the parameter EndTime.",
    )
    long = {"StartTime": START, "EndTime": START + 86_400 * 2}
    code, text = refused(cloudwatch.get_metric_statistics, **metric, **long, Period=60, Statistics=["Sum"])
    assert code == "InvalidParameterCombination"
    assert text.startswith("You have requested up to 2,880 datapoints, which exceeds the limit of 1,440.")
    query = {"Id": "e", "Expression": "1 + 1"}
    code, text = refused(cloudwatch.get_metric_data, MetricDataQueries=[query], **span)
    assert (code, text) == ("NotImplemented", "Expression of GetMetricData (query e) is not implemented by Forebay.")
    assert refused(cloudwatch.put_metric_data, Namespace="n", MetricData=[{"MetricName": "m"}])[0] == "MissingParameter"
    assert refused(cloudwatch.describe_alarms)[0] == "NotImplemented"


@pytest.mark.usefixtures("busy_minute")
def test_older_clients_speak_query(node):
    form = {"Action": "ListMetrics", "Version": "2010-08-01", "MetricName": "SentMessageSize"}
    scope = "000000000000/20261124/us-east-1/monitoring/aws4_request"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    request = urllib.request.Request(node.url, urlencode(form).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = ElementTree.fromstring(response.read())
    names = [element.text for element in answer.iter(f"{NAMESPACE}MetricName")]
    assert names == ["SentMessageSize"]
