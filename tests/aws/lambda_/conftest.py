"""Functions for tests: real Python, packed on the spot."""

import io
import json
import textwrap
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

import pytest

from tests.harness import RunningNode

ROLE = "arn:aws:iam::000000000000:role/r"


def packed(files: Mapping[str, str], modes: Mapping[str, int] | None = None) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = (modes or {}).get(name, 0o644) << 16
            archive.writestr(entry, textwrap.dedent(text))
    return data.getvalue()


class Answer(NamedTuple):
    """An HTTP answer, read to its end."""

    status: int
    headers: Message
    body: bytes


def fetch(url: str, method: str | None = None, data: bytes | None = None, **headers: str) -> Answer:
    """Send a request and return its answer, whatever the status; `_` in header names stands for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, headers=given, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


class Functions:
    """Makes functions on a node, and invokes them."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node

    @property
    def client(self) -> Any:
        return self.node.client("lambda")

    def make(self, name: str, source: str, **settings: Any) -> dict[str, Any]:
        given = {"Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE, "Timeout": 10, **settings}
        code = given.pop("Code", None) or {"ZipFile": packed({"app.py": source})}
        return self.client.create_function(FunctionName=name, Code=code, **given)

    def call(self, name: str, payload: object = None, **more: Any) -> tuple[dict[str, Any], Any]:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(payload or {}), **more)
        text = answer["Payload"].read()
        return answer, json.loads(text) if text else None


@pytest.fixture
def functions(node: RunningNode) -> Functions:
    return Functions(node)
