"""The Runtime API calls of awslambdaric in pure Python, for interpreters its compiled part was not built for.

awslambdaric imports a C extension named `runtime_client`; where that cannot be loaded, this module bears its name
and offers the same four functions over one kept-alive connection.
"""

# ruff: noqa: INP001 - imported inside functions by that name, not a module of Forebay

from __future__ import annotations

import http.client
import os

_PREFIX = "/2018-06-01/runtime/invocation/"


class _Client:
    """The one connection of a function's process."""

    def __init__(self) -> None:
        self.user_agent = ""
        self.connection: http.client.HTTPConnection | None = None

    def request(
        self, method: str, path: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        self.connection.request(method, path, payload, {"User-Agent": self.user_agent, **headers})
        response = self.connection.getresponse()
        return response, response.read()


_client = _Client()


def initialize_client(user_agent: str) -> None:
    """Keep the user agent for all requests."""
    _client.user_agent = user_agent


def next() -> tuple[bytes, dict[str, str]]:  # noqa: A001 - the name of the function it stands for
    """Wait for an event; return its body and its headers."""
    response, body = _client.request("GET", _PREFIX + "next", None, {})
    if response.status != 200:
        raise RuntimeError(f"Failed to get next: HTTP status {response.status}")
    return body, dict(response.getheaders())


def post_invocation_result(
    request_id: str, payload: bytes, content_type: str, invocation_id: str | None = None
) -> None:
    """Post what a handler returned."""
    _post(f"{request_id}/response", payload, {"Content-Type": content_type}, invocation_id)


def post_error(request_id: str, error_document: str, xray_cause: str, invocation_id: str | None = None) -> None:
    """Post what a handler raised."""
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Function-Error-Type": "Unhandled",
        "Lambda-Runtime-Function-XRay-Error-Cause": _header_text(xray_cause),
    }
    _post(f"{request_id}/error", error_document.encode("utf-8"), headers, invocation_id)


def _post(path: str, payload: bytes, headers: dict[str, str], invocation_id: str | None) -> None:
    if invocation_id:
        headers["Lambda-Runtime-Invocation-Id"] = invocation_id
    response, _ = _client.request("POST", _PREFIX + path, payload, headers)
    if response.status != 202:
        raise RuntimeError(f"Failed to post {path}. Http response code: {response.status}.")


def _header_text(text: str) -> str:
    # http.client refuses line ends and what Latin-1 cannot hold; the cause is JSON, where both may be escaped.
    return text.replace("\r", " ").replace("\n", " ").encode("ascii", "backslashreplace").decode()
