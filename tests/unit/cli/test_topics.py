"""`forebay topics` and `forebay buses` against a node, and `forebay events explain`."""

import re
import urllib.request

import pytest

ACCOUNT = "000000000000"


@pytest.fixture
def topic(node):
    sns, sqs = node.client("sns"), node.client("sqs")
    arn = sns.create_topic(Name="orders")["TopicArn"]
    for name, kind in (("big", "large"), ("small", "little")):
        sqs.create_queue(QueueName=name)
        endpoint = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        policy = {"FilterPolicy": f'{{"size":["{kind}"]}}'}
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes=policy)
    return arn


def test_topics_and_subscriptions_are_listed(forebay, as_json, topic):
    assert re.search(r"orders\s+2\s+0", forebay("topics", "list").stdout)
    (row,) = as_json("topics", "list", "--json")
    assert (row["arn"], row["confirmed"]) == (topic, 2)
    text = forebay("topics", "subscriptions", "orders").stdout
    assert f"sqs:arn:aws:sqs:us-east-1:{ACCOUNT}:big" in text
    assert '{"size":["large"]}' in text


def test_explain_names_who_gets_a_message_and_why_not(node, as_json, topic):
    verdicts = as_json("topics", "explain", "orders", "m", "--attribute", "size=large", "--json")
    by_name = {one["name"].rpartition(":")[2]: one for one in verdicts}
    assert by_name["big"]["matches"]
    assert not by_name["small"]["matches"]
    assert "size" in by_name["small"]["reason"]
    big = node.client("sqs").get_queue_url(QueueName="big")["QueueUrl"]
    assert "Messages" not in node.client("sqs").receive_message(QueueUrl=big)


def test_published_message_can_be_traced(node, forebay, topic):
    message_id = forebay("topics", "publish", "orders", "m", "--attribute", "size=large").stdout.strip()
    assert "sqs:big" in forebay("events", "trace", message_id).stdout


def test_outbox_shows_mails(node, forebay, topic):
    node.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ann@example.com")
    text = forebay("topics", "outbox").stdout
    assert "email to ann@example.com" in text
    (url,) = re.findall(r"http\S+ConfirmSubscription\S+", text)
    urllib.request.urlopen(url).close()
    assert forebay("topics", "outbox", "--to", "bob@example.com").stdout == ""


def test_attribute_without_a_value_is_refused(forebay):
    assert "not NAME=VALUE" in forebay("topics", "publish", "t", "m", "--attribute", "x", code=2).output


@pytest.fixture
def rules(node):
    events = node.client("events")
    events.put_rule(Name="fits", EventPattern='{"source": ["s"], "detail": {"n": [1]}}')
    events.put_rule(Name="other", EventPattern='{"source": ["else"]}', State="DISABLED")
    target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}
    events.put_targets(Rule="fits", Targets=[target])


def test_buses_and_rules_are_listed(forebay, as_json, rules):
    assert re.search(r"default\s+2\s+0", forebay("buses", "list").stdout)
    text = forebay("buses", "rules").stdout
    assert f"-> arn:aws:sqs:us-east-1:{ACCOUNT}:q" in text
    assert "disabled" in text
    (fits, _) = as_json("buses", "rules", "default", "--json")
    assert fits["pattern"] == {"source": ["s"], "detail": {"n": [1]}}


def test_explain_says_which_rules_match_and_why_others_do_not(forebay, as_json, rules):
    text = forebay("events", "explain", '{"n": 1}', "--source", "s").stdout
    assert re.search(r"matches\s+fits", text)
    assert "The rule is disabled." in text
    (verdict,) = as_json("events", "explain", '{"n": 2}', "--source", "s", "--rule", "fits", "--json")
    assert not verdict["matches"]
    assert "detail.n: expected [1], found 2" in verdict["reason"]


def test_explain_of_an_unknown_bus_fails_in_words(forebay):
    assert "Event bus nobody does not exist." in forebay("events", "explain", "{}", "--bus", "nobody", code=1).output
