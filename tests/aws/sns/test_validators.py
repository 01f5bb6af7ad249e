"""Messages to HTTP endpoints, verified by a published library as its users do: npm's `sns-validator`.

It takes certificates from HTTPS only, so the node has a certificate of its own here. What it makes of the end of a
subscription is not asked: it takes that for a notification, against AWS's documentation.
"""

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.aws.sns.test_http_endpoints import Endpoint
from tests.harness import ACCOUNT, RunningNode
from tests.packages import NotInstalled, node_packages

_SCRIPT = """
const MessageValidator = require('sns-validator');
const validator = new MessageValidator(/^127\\.0\\.0\\.1:[0-9]+$/);
let text = '';
process.stdin.on('data', (chunk) => { text += chunk; });
process.stdin.on('end', () => {
  validator.validate(text, (error, message) => { console.log(error ? 'invalid: ' + error.message : message.Type); });
});
"""


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture(scope="module")
def library() -> Path:
    try:
        return node_packages("sns-validator@0.3.5")
    except NotInstalled as missing:
        pytest.skip(str(missing))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1", "2"])
def test_published_validator_takes_our_messages(
    tmp_path: Path, library: Path, endpoint: Endpoint, version: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    node = RunningNode(tmp_path / "data", tls_certificate=certificate, tls_key=key).start()

    def verdict(body: str) -> str:
        environment = {
            **os.environ,
            "NODE_EXTRA_CA_CERTS": str(certificate),
            "NODE_PATH": str(library / "node_modules"),
        }
        done = subprocess.run(
            ["node", "-e", _SCRIPT], input=body, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    try:
        sns: Any = boto3.client(
            "sns",
            endpoint_url=node.url,
            region_name="us-east-1",
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="test",
            verify=str(certificate),
            config=Config(retries={"total_max_attempts": 1}),
        )
        topic = sns.create_topic(Name="t", Attributes={"SignatureVersion": version})["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
        _, asked = endpoint.wait(1)
        assert verdict(asked) == "SubscriptionConfirmation"
        sns.confirm_subscription(TopicArn=topic, Token=json.loads(asked)["Token"])
        sns.publish(TopicArn=topic, Message="hello\nthere", Subject="s")
        _, message = endpoint.wait(2)
        assert verdict(message) == "Notification"
        assert verdict(message.replace("hello", "hullo")).startswith("invalid:")
    finally:
        node.stop()
