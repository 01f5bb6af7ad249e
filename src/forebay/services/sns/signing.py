"""Signatures of messages, by a key and certificate of this store's own: receivers check them as they check AWS's.

HTTP endpoints, which anyone can post to, get signatures of a 2,048-bit key. Queues and functions, which only SNS writes
to and whose envelopes hardly anyone verifies, get those of a 1,024-bit key, at a sixth of the price for each message
(docs/decisions/0006-message-signatures.md). Both keys are made when first needed and kept in the store.
"""

import asyncio
import importlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from forebay.core.clock import Clock
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

STRONG = 2_048
FAST = 1_024
_VALID = timedelta(days=3_650)


class SigningKey(msgspec.Struct, frozen=True):
    """A private key and its certificate in PEM, and the file name that the certificate is served under."""

    private_key: str
    certificate: str
    file_name: str


SIGNING_KEY = Kind("sns.signing_key", SigningKey)


class Signer:
    """Signs with the store's keys, which it loads (and makes) when first asked."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ready: dict[int, tuple[SigningKey, RSAPrivateKey]] = {}

    async def prepare(self, bits: int) -> None:
        """Have a key at hand, so that `sign` need not wait."""
        if bits in self._ready:
            return
        # Loading the library takes a tenth of a second, making a key as long: no other request waits for that.
        kept = await self._store.find(SIGNING_KEY, str(bits))
        if kept is None:
            await asyncio.to_thread(importlib.import_module, "cryptography.x509")
            made = await asyncio.to_thread(_make, bits, self._clock.now())
            kept = await self._store.transact(lambda transaction: _keep(transaction, bits, made))
        self._ready[bits] = kept, await asyncio.to_thread(_load, kept)

    def sign(self, bits: int, text: str, version: str) -> tuple[str, str]:
        """Return the signature of a text, by version 1 (SHA-1) or 2 (SHA-256), and the certificate's file name."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - loaded when first needed
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415 - likewise

        key, private_key = self._ready[bits]
        # SHA-1 is what version 1 is; topics choose version 2 by their attribute.
        digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - see above
        return b64encode(private_key.sign(text.encode(), PKCS1v15(), digest)).decode(), key.file_name

    async def find_certificate(self, file_name: str) -> str | None:
        """Return a certificate in PEM by its file name."""
        keys = await self._store.view(lambda view: view.records.list(SIGNING_KEY))
        return next((key.certificate for _, key in keys if key.file_name == file_name), None)


def _keep(transaction: Transaction, bits: int, made: SigningKey) -> SigningKey:
    """Keep a key unless another node was faster."""
    kept = transaction.records.find(SIGNING_KEY, str(bits))
    if kept is None:
        transaction.records.put(SIGNING_KEY, str(bits), made)
    return kept or made


def _load(key: SigningKey) -> "RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - loaded when first needed
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - likewise

    private_key = load_pem_private_key(key.private_key.encode(), None)
    assert isinstance(private_key, rsa.RSAPrivateKey), "it was made as one"
    return private_key


def _make(bits: int, now: float) -> SigningKey:
    from cryptography import x509  # noqa: PLC0415 - loaded when first needed
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - likewise

    private_key = rsa.generate_private_key(65_537, bits)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.forebay")])
    since = datetime.fromtimestamp(now, UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + _VALID)
        .sign(private_key, hashes.SHA256())
    )
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(
        pem.decode(),
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        f"SimpleNotificationService-{certificate.fingerprint(hashes.SHA256()).hex()[:32]}.pem",
    )
