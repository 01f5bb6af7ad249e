"""Secrets at rest: texts that are encrypted before a service puts them into a record, and opened when they are used.

The key is a file (`secrets-key`, else `secrets.key` in the data folder), made when the first secret is sealed. Nodes
that share a store need the same key: the store knows its fingerprint, and a node with another key says so instead of
sealing what its neighbours cannot open.
"""

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import msgspec

from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "1:"


class KeyCheck(msgspec.Struct, frozen=True):
    """What tells the store's key from others without giving it away."""

    fingerprint: str


KEY_CHECK = Kind("secrets.key_check", KeyCheck)


class SecretBox:
    """Seals and opens texts with the node's key (AES-256-GCM)."""

    def __init__(self, store: Store, ids: Ids, path: Path) -> None:
        self._store = store
        self._ids = ids
        self._path = path
        self._key: bytes | None = None

    async def seal(self, text: str) -> str:
        """Return a text encrypted.

        Raises:
            ServiceError: the store's secrets are sealed with another key than this node's.
        """
        key, nonce = await self._find_key(), self._ids.bytes(_NONCE_BYTES)
        return _VERSION + await asyncio.to_thread(_encrypt, key, nonce, text)

    async def open(self, sealed: str) -> str:
        """Return what `seal` was given.

        Raises:
            ServiceError: it was sealed with another key than this node's.
        """
        key = await self._find_key()
        return await asyncio.to_thread(_decrypt, key, sealed.removeprefix(_VERSION))

    async def _find_key(self) -> bytes:
        if self._key is None:
            key = await asyncio.to_thread(_load_or_make, self._path, self._ids.bytes(_KEY_BYTES))
            fingerprint = hashlib.sha256(key).hexdigest()[:32]
            known = await self._store.transact(lambda transaction: _known_fingerprint(transaction, fingerprint))
            if known != fingerprint:
                raise ServiceError.of(
                    "InternalFailure",
                    f"The secrets in the store are sealed with another key than {self._path}: start this node with "
                    "--secrets-key and the key file of the node that made them.",
                    500,
                )
            self._key = key
        return self._key


def _known_fingerprint(transaction: Transaction, fingerprint: str) -> str:
    known = transaction.records.find(KEY_CHECK, "")
    if known is None:
        transaction.records.put(KEY_CHECK, "", KeyCheck(fingerprint))
    return fingerprint if known is None else known.fingerprint


def _load_or_make(path: Path, fresh: bytes) -> bytes:
    """Return the key in a file, which only its owner may read; a file that is not there is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return base64.b64decode(path.read_bytes(), validate=False)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(fresh) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _encrypt(key: bytes, nonce: bytes, text: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - loaded when first needed

    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, text.encode(), None)).decode()


def _decrypt(key: bytes, sealed: str) -> str:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - loaded when first needed
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - likewise

    data = base64.b64decode(sealed)
    try:
        return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None).decode()
    except InvalidTag:
        raise ServiceError.of("InternalFailure", "A secret cannot be opened with this node's key.", 500) from None
