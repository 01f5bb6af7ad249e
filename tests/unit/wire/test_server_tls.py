"""The HTTP server under TLS, with a certificate made for the test."""

import shutil
import ssl
import subprocess

import pytest

from forebay.core.errors import ConfigError
from forebay.core.http import Request, Response
from forebay.wire.tls import load_tls
from tests.unit.wire.raw import Client, Gate, get, post, run, serving

LAST = get("/last", "Connection: close\r\n")
_MAKE_CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
    *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command makes the throw-away certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [*_MAKE_CERTIFICATE, "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "certificate.pem", folder / "key.pem"


def test_tls_serves_and_marks_requests_secure(certificate):
    secure: list[bool] = []

    def handler(request: Request) -> Response:
        secure.append(request.secure)
        return Response(200, (), request.body)

    async def main():
        context = ssl.create_default_context(cafile=certificate[0])
        async with (
            serving(handler, load_tls(*certificate)) as (_, port),
            Client.connected(port, ssl=context, server_hostname="localhost") as client,
        ):
            body = b"x" * 3_000_000
            await client.send(post(body) + get())
            assert (await client.receive()).body == body
            assert (await client.receive()).status == 200
            await client.send(b"bad\r\n\r\n")
            assert (await client.receive()).status == 400
            assert await client.is_closed()

    run(main)
    assert secure == [True, True]


def test_tls_cancels_for_a_client_that_goes_and_outlives_plain_text(certificate):
    async def main():
        gate = Gate()
        context = ssl.create_default_context(cafile=certificate[0])
        async with serving(gate, load_tls(*certificate), header_timeout_seconds=0.05) as (_, port):
            async with Client.connected(port, ssl=context, server_hostname="localhost") as client:
                await client.send(get())
                await gate.started.acquire()
                client.writer.transport.abort()
                await gate.ended.acquire()
            async with Client.connected(port) as client:
                await client.send(get())
                await client.rest()
            async with Client.connected(port) as client:
                assert await client.is_closed()  # the handshake has its timeout, too
            gate.open.set()
            async with Client.connected(port, ssl=context, server_hostname="localhost") as client:
                await client.send(LAST)
                assert (await client.receive()).status == 200

    run(main)


def test_unusable_certificate_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError):
        load_tls(tmp_path / "none.pem", tmp_path / "none.pem")
