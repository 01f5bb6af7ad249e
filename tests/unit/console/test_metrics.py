"""`/metrics` is what Prometheus reads: families with help and type, labels escaped, buckets that add up."""

import asyncio
import re
import urllib.error
import urllib.request

import pytest

from forebay.console.metrics import MetricsPage
from forebay.core.http import Request
from forebay.operations.metrics import Metrics

_SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)$')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def parse(text):
    """Read the text format (version 0.0.4) strictly; return samples as (name, labels) -> value, and types."""
    assert text.endswith("\n")
    types, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
        else:
            match = _SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            family = re.sub("_(bucket|sum|count)$", "", name)
            assert name in types or family in types, line
            pairs = {key: re.sub(r"\\.", lambda m: _ESCAPED[m[0]], text) for key, text in _LABEL.findall(labels)}
            key = (name, frozenset(pairs.items()))
            assert key not in samples, line
            samples[key] = float(value)
    return types, samples


def sample(samples, name, **labels):
    return samples[name, frozenset(labels.items())]


def page(metrics, method="GET"):
    request = Request(method, "/metrics", "", {}, b"", "localhost", "127.0.0.1", False)
    return asyncio.run(MetricsPage(metrics).handle(request))


def test_counters_and_histogram_add_up():
    metrics = Metrics()
    counted = metrics.of("sqs", "SendMessage")
    for code, seconds in [("", 0.0005), ("", 0.001), ("", 0.2), ("Throttled", 99.0)]:
        counted.add(code, seconds)
    types, samples = parse(page(metrics).body.decode())
    assert types == {"forebay_requests_total": "counter", "forebay_request_seconds": "histogram"}
    labels = {"service": "sqs", "operation": "SendMessage"}
    assert sample(samples, "forebay_requests_total", code="", **labels) == 3
    assert sample(samples, "forebay_requests_total", code="Throttled", **labels) == 1
    # A bucket holds what took as long as its bound, and all below it.
    assert sample(samples, "forebay_request_seconds_bucket", le="0.001", **labels) == 2
    assert sample(samples, "forebay_request_seconds_bucket", le="0.25", **labels) == 3
    assert sample(samples, "forebay_request_seconds_bucket", le="30.0", **labels) == 3
    assert sample(samples, "forebay_request_seconds_bucket", le="+Inf", **labels) == 4
    assert sample(samples, "forebay_request_seconds_count", **labels) == 4
    assert sample(samples, "forebay_request_seconds_sum", **labels) == pytest.approx(99.2015)


def test_labels_are_escaped():
    metrics = Metrics()
    metrics.of("", 'a"b\\c\nd').add("", 0.0)
    _, samples = parse(page(metrics).body.decode())
    assert sample(samples, "forebay_requests_total", service="", operation='a"b\\c\nd', code="") == 1


def test_empty_page_has_its_types():
    assert parse(page(Metrics()).body.decode())[1] == {}


def test_only_reading_is_allowed():
    response = page(Metrics(), "POST")
    assert (response.status, dict(response.headers)["Allow"]) == (405, "GET, HEAD")


def test_a_nodes_page_counts_what_clients_did(node):
    sqs = node.client("sqs")
    sqs.list_queues()
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="none")
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=10) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        _, samples = parse(response.read().decode())
    assert sample(samples, "forebay_requests_total", service="sqs", operation="ListQueues", code="") == 1
    found = {dict(labels)["code"] for (name, labels) in samples if name == "forebay_requests_total"}
    assert found == {"", "QueueDoesNotExist"}
