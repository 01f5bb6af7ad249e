"""Requests as codecs see them."""

from forebay.core.http import Request


def request(body: bytes = b"", *, method="POST", path="/", query="", headers=None, secure=False) -> Request:
    return Request(method, path, query, headers or {}, body, "localhost:4566", "127.0.0.1", secure)
