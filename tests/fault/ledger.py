"""Clients that send, receive and delete through every fault, and a ledger of what was acknowledged to them.

The rules that the ledger holds everything against:

- What was acknowledged as sent is received, unless its delete was at least asked for.
- What was acknowledged as deleted is in no answer to a receive that began later.
- FIFO: a message comes only when every earlier one of its group is in the same answer or its delete was asked for, and
  each deduplication id has one message id, however often it was sent.
"""

import http.client
import json
import threading
import time
from contextlib import closing
from itertools import count

ACCOUNT = "000000000000"
SCOPE = f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
STANDARD, FIFO = "standard", "ordered.fifo"
GROUPS = ("a", "b", "c")
QUEUES = {
    STANDARD: {"VisibilityTimeout": "2"},
    FIFO: {"VisibilityTimeout": "2", "FifoQueue": "true"},
}
_TIMEOUT_SECONDS = 20.0
# A clock that has jumped further than this lets a queue forget deduplication ids that are sent again.
_REMEMBERED_SECONDS = 200.0


class Unanswered(Exception):
    """No answer, or one that says that the node cannot: it was done or not."""


class Client:
    """A connection to one of several nodes; after a failure, to the next."""

    def __init__(self, ports):
        self._ports = ports
        self._turn = threading.get_ident() % len(ports)
        self._connection = None

    def call(self, operation, **members):
        """Return status and answer."""
        if self._connection is None:
            port = self._ports[self._turn % len(self._ports)]
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        headers = {
            "X-Amz-Target": f"AmazonSQS.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": SCOPE,
        }
        try:
            self._connection.request("POST", "/", json.dumps(members), headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unanswered(str(error)) from None
        if answer.status >= 500:
            self.close()
            raise Unanswered(str(answer.status))
        return answer.status, json.loads(body) if body else {}

    def close(self):
        self._turn += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Ledger:
    """What was acknowledged since the beginning, and what may have happened besides."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ticks = count(1)
        self.names = count(1)
        self.attempted = set()
        self.sent = set()
        self.deleting = set()
        # When each delete was acknowledged, in ticks.
        self.deleted = {}
        self.received = 0
        self.message_ids = {}
        # Messages that may be there twice, because they were sent again after a jump of the clock.
        self.uncertain = set()
        self.failures = []
        # Each group's next number, and whether it was sent before without an answer (then: at which clock).
        self.next_number = dict.fromkeys(GROUPS, 1)
        self.unanswered = {}

    def begin(self):
        with self.lock:
            return next(self.ticks)

    def note_attempt(self, name):
        with self.lock:
            self.attempted.add(name)

    def note_sent(self, name):
        with self.lock:
            self.sent.add(name)

    def note_deleting(self, name):
        with self.lock:
            self.deleting.add(name)

    def note_deleted(self, name):
        with self.lock:
            self.deleted.setdefault(name, next(self.ticks))

    def note_received(self, queue, messages, began):
        """Hold an answer against the rules."""
        with self.lock:
            together = set()
            for message in messages:
                name = message["Body"]
                self.received += 1
                self._check(name in self.attempted, f"{name} was never sent")
                is_back = self.deleted.get(name, began) < began and name not in self.uncertain
                self._check(not is_back, f"{name} came back after its delete was acknowledged")
                if queue == FIFO:
                    self._check_order(name, together)
                    known = self.message_ids.setdefault(name, message["MessageId"])
                    is_same = known == message["MessageId"] or name in self.uncertain
                    self._check(is_same, f"{name} is there twice")
                together.add(name)

    def lost(self):
        """Return what was acknowledged and is nowhere."""
        return self.sent - set(self.deleted) - self.deleting

    def _check_order(self, name, together):
        group, number = name.split("-")
        for earlier in range(1, int(number)):
            before = f"{group}-{earlier}"
            is_past = before in together or before in self.deleting
            if not is_past:
                self._check(False, f"{name} came before {before}")

    def _check(self, is_right, text):
        if not is_right:
            self.failures.append(text)


class Load:
    """Clients at work until they are stopped; failures of the nodes do not end them."""

    def __init__(self, ports, ledger, clock_shift):
        self._ports = ports
        self._ledger = ledger
        self._shift = clock_shift
        self._stop = threading.Event()
        works = [self._send, self._send_batch, *(self._sender_of(group) for group in GROUPS)]
        works += [self._drain_standard, self._drain_standard, self._drain_fifo, self._drain_fifo]
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in works]

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_SECONDS * 2)
            assert not thread.is_alive(), "a client hangs"

    def _run(self, work):
        client = Client(self._ports)
        try:
            while not self._stop.is_set():
                try:
                    work(client)
                except Unanswered:
                    self._stop.wait(0.05)
        except Exception as error:
            self._ledger.failures.append(f"a client failed: {error!r}")
        finally:
            client.close()

    def _send(self, client):
        ledger = self._ledger
        name = f"single {next(ledger.names)}"
        ledger.note_attempt(name)
        status, answer = client.call("SendMessage", QueueUrl=STANDARD, MessageBody=name)
        assert status == 200, answer
        ledger.note_sent(name)
        self._stop.wait(0.002)

    def _send_batch(self, client):
        ledger = self._ledger
        names = [f"batch {next(ledger.names)}" for _ in range(5)]
        for name in names:
            ledger.note_attempt(name)
        entries = [{"Id": str(index), "MessageBody": name} for index, name in enumerate(names)]
        status, answer = client.call("SendMessageBatch", QueueUrl=STANDARD, Entries=entries)
        assert status == 200, answer
        for entry in answer.get("Successful", []):
            ledger.note_sent(names[int(entry["Id"])])
        self._stop.wait(0.01)

    def _sender_of(self, group):
        def send(client):
            ledger = self._ledger
            name = f"{group}-{ledger.next_number[group]}"
            ledger.note_attempt(name)
            first_shift = ledger.unanswered.setdefault(name, self._shift())
            if abs(self._shift() - first_shift) > _REMEMBERED_SECONDS:
                ledger.uncertain.add(name)
            members = {"MessageBody": name, "MessageGroupId": group, "MessageDeduplicationId": name}
            status, answer = client.call("SendMessage", QueueUrl=FIFO, **members)
            assert status == 200, answer
            ledger.note_sent(name)
            del ledger.unanswered[name]
            ledger.next_number[group] += 1
            self._stop.wait(0.005)

        return send

    def _drain_standard(self, client):
        drain_once(client, STANDARD, self._ledger, wait_seconds=1)

    def _drain_fifo(self, client):
        drain_once(client, FIFO, self._ledger, wait_seconds=1)


def drain_once(client, queue, ledger, wait_seconds=0):
    """Receive and delete up to ten messages; return how many came."""
    began = ledger.begin()
    members = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait_seconds}
    status, answer = client.call("ReceiveMessage", **members)
    assert status == 200, answer
    messages = answer.get("Messages", [])
    ledger.note_received(queue, messages, began)
    for message in messages:
        name = message["Body"]
        ledger.note_deleting(name)
        status, answer = client.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        if status == 200:
            ledger.note_deleted(name)
        else:
            # A FIFO queue refuses handles whose time is over.
            assert queue == FIFO, answer
            assert "receipt handle has expired" in answer.get("message", ""), answer
    return len(messages)


def drain(ports, ledger, patience_seconds):
    """Empty both queues, whatever it takes."""
    until = time.monotonic() + patience_seconds
    for queue in QUEUES:
        empty, drained, refusal = 0, 0, None
        with closing(Client(ports)) as client:
            while empty < 2:
                why = f"{queue} could not be emptied: {drained} came, and the last refusal was {refusal}"
                assert time.monotonic() < until, why
                try:
                    count = drain_once(client, queue, ledger)
                except Unanswered as error:
                    refusal = error
                    time.sleep(0.05)
                else:
                    drained += count
                    empty = 0 if count else empty + 1


def counts(ports, queue):
    """Return what the node says that a queue holds, in whatever state."""
    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
    with closing(Client(ports)) as client:
        _, answer = client.call("GetQueueAttributes", QueueUrl=queue, AttributeNames=names)
    return sum(int(text) for text in answer["Attributes"].values())
