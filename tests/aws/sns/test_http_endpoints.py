import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import RunningNode, wait_until


class Endpoint:
    """An HTTP server that keeps what it is sent and answers with the statuses that it was told, then 200."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], str]] = []
        self.statuses: list[int] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(endpoint.statuses.pop(0) if endpoint.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/sns"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, count: int) -> tuple[dict[str, str], str]:
        """Return the message with this number, counted from 1, when it has come."""
        wait_until(lambda: len(self.received) >= count)
        return self.received[count - 1]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


def confirmed(sns: Any, topic: str, endpoint: Endpoint, **attributes: str) -> str:
    """Subscribe an endpoint and confirm it through the URL that it was sent."""
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
    _, body = endpoint.wait(1)
    urllib.request.urlopen(json.loads(body)["SubscribeURL"]).close()
    return sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"]


def verify(message: Any, names: tuple[str, ...]) -> None:
    pem = urllib.request.urlopen(message["SigningCertURL"]).read()
    signed = "".join(f"{name}\n{message[name]}\n" for name in names)
    key = x509.load_pem_x509_certificate(pem).public_key()
    assert isinstance(key, RSAPublicKey)
    assert key.key_size == 2_048
    digest = hashes.SHA1()
    key.verify(base64.b64decode(message["Signature"]), signed.encode(), PKCS1v15(), digest)


def test_endpoint_confirms_and_then_gets_messages(sns: Any, topic: str, endpoint: Endpoint) -> None:
    given = {"TopicArn": topic, "Protocol": "http", "Endpoint": endpoint.url}
    assert sns.subscribe(**given)["SubscriptionArn"] == "pending confirmation"
    arn = sns.subscribe(**given, ReturnSubscriptionArn=True)["SubscriptionArn"]
    headers, body = endpoint.wait(1)
    asked = json.loads(body)
    assert headers["x-amz-sns-message-type"] == asked["Type"] == "SubscriptionConfirmation"
    verify(asked, ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"))
    # Who is subscribed once more while that is pending is asked once more (UNVERIFIED that the token is the same).
    _, again = endpoint.wait(2)
    assert json.loads(again)["Token"] == asked["Token"]
    answer = urllib.request.urlopen(asked["SubscribeURL"]).read().decode()
    assert arn in answer
    message_id = sns.publish(TopicArn=topic, Message="m", Subject="s")["MessageId"]
    headers, body = endpoint.wait(3)
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-message-id"] == message_id
    assert (headers["x-amz-sns-topic-arn"], headers["x-amz-sns-subscription-arn"]) == (topic, arn)
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    verify(json.loads(body), ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"))


def test_unsubscribe_url_ends_the_subscription(sns: Any, topic: str, endpoint: Endpoint) -> None:
    confirmed(sns, topic, endpoint)
    sns.publish(TopicArn=topic, Message="m")
    _, body = endpoint.wait(2)
    urllib.request.urlopen(json.loads(body)["UnsubscribeURL"]).close()
    assert sns.list_subscriptions()["Subscriptions"] == []


def test_end_of_a_subscription_is_told_and_can_be_taken_back(sns: Any, topic: str, endpoint: Endpoint) -> None:
    arn = confirmed(sns, topic, endpoint)
    sns.unsubscribe(SubscriptionArn=arn)
    headers, body = endpoint.wait(2)
    told = json.loads(body)
    assert headers["x-amz-sns-message-type"] == told["Type"] == "UnsubscribeConfirmation"
    assert told["Message"].startswith(f"You have chosen to deactivate subscription {arn}.")
    verify(told, ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"))
    assert sns.list_subscriptions()["Subscriptions"] == []
    urllib.request.urlopen(told["SubscribeURL"]).close()
    assert sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"] == arn
    sns.publish(TopicArn=topic, Message="again")
    _, body = endpoint.wait(3)
    assert json.loads(body)["Message"] == "again"


def test_endpoint_that_hangs_delays_no_other(sns: Any, sqs: Any, topic: str, endpoint: Endpoint) -> None:
    arrived, released = threading.Semaphore(0), threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if body["Type"] == "Notification":
                arrived.release()
                released.wait(60)
            else:
                threading.Thread(target=lambda: urllib.request.urlopen(body["SubscribeURL"]).close()).start()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    hanging = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    hanging.daemon_threads = True
    thread = threading.Thread(target=hanging.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{hanging.server_port}/"
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        wait_until(lambda: sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1")
        for start in range(0, 300, 10):
            entries = [{"Id": str(n), "Message": str(n)} for n in range(start, start + 10)]
            sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        for _ in range(64):
            assert arrived.acquire(timeout=30)
        # The node's deliveries have room for more than one endpoint may take.
        other = sns.create_topic(Name="other")["TopicArn"]
        sns.subscribe(TopicArn=other, Protocol="http", Endpoint=endpoint.url)
        _, body = endpoint.wait(1)
        urllib.request.urlopen(json.loads(body)["SubscribeURL"]).close()
        sns.publish(TopicArn=other, Message="not delayed")
        endpoint.wait(2)
    finally:
        released.set()
        hanging.shutdown()
        hanging.server_close()
        thread.join()


def test_raw_message_is_posted_as_it_is(sns: Any, topic: str, endpoint: Endpoint) -> None:
    confirmed(sns, topic, endpoint, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="plain")
    headers, body = endpoint.wait(2)
    assert (body, headers["x-amz-sns-rawdelivery"]) == ("plain", "true")


def test_failure_is_tried_again_by_the_delivery_policy(
    node: RunningNode, sns: Any, topic: str, endpoint: Endpoint
) -> None:
    policy = {"healthyRetryPolicy": {"minDelayTarget": 100, "maxDelayTarget": 100, "numRetries": 2}}
    arn = confirmed(sns, topic, endpoint, DeliveryPolicy=json.dumps(policy))
    shown = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["EffectiveDeliveryPolicy"]
    assert json.loads(shown)["healthyRetryPolicy"]["minDelayTarget"] == 100
    node.clock.freeze()
    endpoint.statuses = [503]
    sns.publish(TopicArn=topic, Message="again")
    endpoint.wait(2)
    _, first = endpoint.received[1]
    node.clock.advance(99)
    sns.publish(TopicArn=topic, Message="marker")
    _, second = endpoint.wait(3)
    assert json.loads(second)["Message"] == "marker"
    wait_until(lambda: (node.clock.advance(2), len(endpoint.received) >= 4)[1])
    assert endpoint.received[3][1] == first


def test_endpoint_that_refuses_is_not_tried_again(sns: Any, sqs: Any, topic: str, endpoint: Endpoint) -> None:
    dead = Inbox(sqs, "dead")
    confirmed(sns, topic, endpoint, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
    endpoint.statuses = [404]
    sns.publish(TopicArn=topic, Message="lost")
    (letter,) = wait_until(dead.events)
    assert letter["Message"] == "lost"
    assert len(endpoint.received) == 2


def test_endpoint_is_a_url_of_its_protocol(sns: Any, topic: str) -> None:
    for protocol, url in (("http", "https://a.example/"), ("https", "http://a.example/"), ("http", "a.example")):
        found = refusal(
            lambda given=(protocol, url): sns.subscribe(TopicArn=topic, Protocol=given[0], Endpoint=given[1])
        )
        assert found == ("InvalidParameter", "Invalid parameter: Endpoint must match the specified protocol")
