"""How commands talk to the node's Kubernetes API: JSON over HTTP, with refusals as messages for people."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, cast

import click

from forebay.cli.client import Endpoint

_TIMEOUT_SECONDS = 30.0


def ask_cluster(
    endpoint: Endpoint,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    content_type: str = "application/json",
    on_warning: Callable[[str], None] | None = None,
) -> Any:
    """Ask the API and return its answer.

    Raises:
        click.ClickException: the node is not there, or refuses; the text is the API's.
    """
    headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": "forebay"}
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        headers["Authorization"] = f"Bearer {key}:{secret}"
    request = urllib.request.Request(endpoint.url + path, body, headers, method=method)  # noqa: S310 - the user's own
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            for text in cast("list[str]", answer.headers.get_all("Warning") or []):
                if on_warning is not None:
                    on_warning(text.removeprefix("299 - ").strip('"').replace('\\"', '"'))
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")
        raise click.ClickException(_message(text)) from None
    except OSError as error:
        endpoint.unreachable(error)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text or "The node refused."
