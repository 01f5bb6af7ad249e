"""Signed requests to a queue as ready bytes: what the benchmarks send to Forebay and to its peers alike.

A signature is made as SDKs make it (Signature Version 4, in a header), but without botocore, because signing a request
for each message must cost less than the server that is measured.
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import msgspec

REGION = "us-east-1"
ACCESS_KEY = "000000000000"
SECRET_KEY = "bench"
BODY = "x" * 200
BATCH = 10

_AGENT = "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7"
_SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target"


class Requests:
    """Makes the requests of one client of one queue at one endpoint."""

    def __init__(self, port: int, queue_url: str) -> None:
        self._host = f"127.0.0.1:{port}"
        self._queue_url = queue_url
        now = datetime.now(UTC)
        self._timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{now:%Y%m%d}/{REGION}/sqs/aws4_request"
        key = f"AWS4{SECRET_KEY}".encode()
        for part in self._scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def send(self) -> bytes:
        """Return a SendMessage."""
        return self.operation("SendMessage", MessageBody=BODY)

    def send_batch(self) -> bytes:
        """Return a SendMessageBatch of ten."""
        entries = [{"Id": str(number), "MessageBody": BODY} for number in range(BATCH)]
        return self.operation("SendMessageBatch", Entries=entries)

    def receive(self, limit: int = 1, wait_seconds: int = 0) -> bytes:
        """Return a ReceiveMessage."""
        return self.operation("ReceiveMessage", MaxNumberOfMessages=limit, WaitTimeSeconds=wait_seconds)

    def delete(self, handle: str) -> bytes:
        """Return a DeleteMessage."""
        return self.operation("DeleteMessage", ReceiptHandle=handle)

    def delete_batch(self, handles: list[str]) -> bytes:
        """Return a DeleteMessageBatch."""
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        return self.operation("DeleteMessageBatch", Entries=entries)

    def operation(self, name: str, **members: Any) -> bytes:
        """Return the bytes of any request to the queue."""
        body = json.dumps({"QueueUrl": self._queue_url, **members}).encode()
        target = f"AmazonSQS.{name}"
        return (
            f"POST / HTTP/1.1\r\n"
            f"Host: {self._host}\r\n"
            f"Accept-Encoding: identity\r\n"
            f"X-Amz-Target: {target}\r\n"
            f"Content-Type: application/x-amz-json-1.0\r\n"
            f"User-Agent: {_AGENT}\r\n"
            f"X-Amz-Date: {self._timestamp}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{self._scope}, "
            f"SignedHeaders={_SIGNED_HEADERS}, Signature={self._signature(target, body)}\r\n"
            f"amz-sdk-invocation-id: 6b1f1d0e-1111-4222-8333-444455556666\r\n"
            f"amz-sdk-request: attempt=1\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def _signature(self, target: str, body: bytes) -> str:
        canonical = (
            f"POST\n/\n\ncontent-type:application/x-amz-json-1.0\nhost:{self._host}\nx-amz-date:{self._timestamp}\n"
            f"x-amz-target:{target}\n\n{_SIGNED_HEADERS}\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self._timestamp}\n{self._scope}\n{digest}"
        return hmac.digest(self._key, text.encode(), "sha256").hex()


class _Message(msgspec.Struct, rename="pascal"):
    receipt_handle: str


class _Received(msgspec.Struct, rename="pascal"):
    messages: list[_Message] = []


_read_received = msgspec.json.Decoder(_Received).decode


def handles_of(answer: bytes) -> list[str]:
    """Return the receipt handles in the answer to a ReceiveMessage."""
    return [message.receipt_handle for message in _read_received(answer).messages]
