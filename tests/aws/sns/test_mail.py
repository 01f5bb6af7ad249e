"""Mails of topics: in the local outbox, and to a mail server."""

import json
import re
import socketserver
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import RunningNode, wait_until


@pytest.fixture
def outbox(node: RunningNode) -> Callable[[], list[Any]]:
    return lambda: read_outbox(node)


def read_outbox(node: RunningNode) -> list[Any]:
    with urllib.request.urlopen(f"{node.url}/_forebay/sns/outbox") as answer:
        return json.load(answer)["messages"]


def confirm(text: str) -> None:
    (url,) = re.findall(r"http\S+ConfirmSubscription\S+", text)
    urllib.request.urlopen(url).close()


def test_mail_address_confirms_and_then_gets_messages(sns: Any, topic: str, outbox: Callable[[], list[Any]]) -> None:
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ann@example.com")
    (asked,) = outbox()
    assert (asked["to"], asked["subject"]) == ("ann@example.com", "AWS Notification - Subscription Confirmation")
    sns.publish(TopicArn=topic, Message="before")
    confirm(asked["text"])
    sns.publish(TopicArn=topic, Message="hello", Subject="Greeting")
    sns.publish(TopicArn=topic, Message="no subject")
    _, greeting, other = outbox()
    assert greeting["subject"] == "Greeting"
    assert greeting["text"].startswith("hello\n\n--\nIf you wish to stop receiving notifications")
    assert other["subject"] == "AWS Notification Message"


def test_mail_with_json_is_the_envelope(sns: Any, topic: str, outbox: Callable[[], list[Any]]) -> None:
    sns.subscribe(TopicArn=topic, Protocol="email-json", Endpoint="bob@example.com")
    urllib.request.urlopen(json.loads(outbox()[0]["text"])["SubscribeURL"]).close()
    message = json.dumps({"default": "d", "email-json": "for mail"})
    message_id = sns.publish(TopicArn=topic, Message=message, MessageStructure="json")["MessageId"]
    envelope = json.loads(outbox()[1]["text"])
    assert (envelope["Message"], envelope["MessageId"], envelope["Type"]) == ("for mail", message_id, "Notification")
    assert {"Signature", "SigningCertURL", "UnsubscribeURL"} <= envelope.keys()


class MailServer:
    """Takes mails by SMTP; refuses recipients that begin with `no`."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 here")
                for line in self.rfile:
                    words = line.decode().strip()
                    if words.upper().startswith("DATA"):
                        self.say("354 go on")
                        lines = iter(self.rfile.readline, b".\r\n")
                        server.mails.append(b"".join(lines).decode())
                        self.say("250 taken")
                    elif words.upper().startswith("RCPT TO:<NO"):
                        self.say("550 no such mailbox")
                    elif words.upper().startswith("QUIT"):
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 fine")

            def say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[MailServer]:
    running = MailServer()
    yield running
    running.close()


def test_mail_goes_to_the_server(tmp_path: Path, server: MailServer) -> None:
    running = RunningNode(tmp_path / "data", smtp=server.url, mail_sender="topics@example.com").start()
    try:
        sns = running.client("sns")
        topic = sns.create_topic(Name="t", Attributes={"DisplayName": "Orders"})["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ann@example.com")
        (mail,) = wait_until(lambda: server.mails)
        assert "From: Orders <topics@example.com>" in mail
        assert "To: ann@example.com" in mail
        assert wait_until(lambda: read_outbox(running))[0]["to"] == "ann@example.com"
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="nobody@example.com")
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="eve@example.com")
        wait_until(lambda: len(server.mails) == 2)
        assert not any("nobody@" in each for each in server.mails)
    finally:
        running.stop()
