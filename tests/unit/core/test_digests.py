"""Digests are those of hashlib and hmac, whatever the way that they are computed in."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.digests import hmac_sha256, hmac_sha256_begin, hmac_sha256_hex, md5_hex, sha256_hex


@pytest.mark.parametrize("size", [0, 1, 2046, 2047, 2048, 4094, 4095, 65_535, 65_536, 65_537, 1_048_576])
def test_digests_of_every_size_are_those_of_hashlib(size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()
    assert md5_hex(data) == hashlib.md5(data, usedforsecurity=False).hexdigest()


@given(
    key=st.binary(max_size=200), texts=st.lists(st.text(alphabet=st.characters(codec="utf-8")), min_size=1, max_size=3)
)
def test_keyed_digests_are_those_of_hmac(key: bytes, texts: list[str]) -> None:
    begun = hmac_sha256_begin(key)
    for text in texts:
        expected = hmac.new(key, text.encode(), "sha256")
        assert hmac_sha256(key, text) == expected.digest()
        assert hmac_sha256_hex(begun, text) == expected.hexdigest()
