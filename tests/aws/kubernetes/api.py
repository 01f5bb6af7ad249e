"""Kubernetes' API over raw HTTP, for tests: what a client sends and what it is answered, nothing between."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.harness import RunningNode, wait_until

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


class Refused(Exception):
    """A `Status` of failure."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(answer.get("message", answer) if isinstance(answer, dict) else answer)
        self.status = status
        self.answer = answer


class Api:
    """A client of one node's API."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self.warnings: list[str] = []

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **headers: str
    ) -> Any:
        """Ask, and return the JSON (or text) of the answer; raises Refused."""
        connection = self.connect()
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": content_type, **headers})
        response = connection.getresponse()
        text = response.read()
        self.warnings = response.headers.get_all("Warning") or []
        connection.close()
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        answer = json.loads(text) if is_json else text.decode()
        if response.status >= 400:
            raise Refused(response.status, answer)
        return answer

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        parts = urlsplit(self._node.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def get(self, path: str, **headers: str) -> Any:
        """Read."""
        return self.call("GET", path, **headers)

    def items(self, path: str) -> list[Any]:
        """Read a list's items."""
        return self.get(path)["items"]

    def create(self, path: str, thing: Any) -> Any:
        """Create."""
        return self.call("POST", path, thing)

    def patch(self, path: str, change: Any, content_type: str = MERGE) -> Any:
        """Patch."""
        return self.call("PATCH", path, change, content_type)

    def apply(self, path: str, thing: Any, manager: str = "test", *, force: bool = False) -> Any:
        """Apply on the server's side."""
        return self.call("PATCH", f"{path}?fieldManager={manager}&force={str(force).lower()}", thing, APPLY)

    def delete(self, path: str, options: Any = None) -> Any:
        """Delete."""
        return self.call("DELETE", path, options)

    def watch(self, path: str) -> Iterator[Any]:
        """Yield the events of a watch."""
        connection = self.connect()
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        try:
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def until(self, path: str, holds: Any, seconds: float = 20.0) -> Any:
        """Wait until an object is as wanted, and return it."""

        def look() -> Any:
            try:
                found = self.get(path)
            except Refused as refused:
                if refused.status == 404:
                    return None
                raise
            return found if holds(found) else None

        return wait_until(look, seconds)

    def until_gone(self, path: str, seconds: float = 20.0) -> None:
        """Wait until an object is there no more."""

        def look() -> bool:
            try:
                self.get(path)
            except Refused as refused:
                return refused.status == 404
            return False

        wait_until(look, seconds)


def deployment(name: str = "web", replicas: int = 1, command: Any = ("sleep", "1000"), **spec: Any) -> dict[str, Any]:
    """Return a deployment whose pods run a command."""
    container = {"name": "main", "image": "any", "command": list(command)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
            },
            **spec,
        },
    }


def scaled_object(name: str = "web", queue: str = "orders", **spec: Any) -> dict[str, Any]:
    """Return a scaled object that follows a queue."""
    metadata = {"queueURL": queue, "awsRegion": "us-east-1", "queueLength": "5", "identityOwner": "operator"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "triggers": [{"type": "aws-sqs-queue", "metadata": metadata}],
            **spec,
        },
    }


def send(node: RunningNode, queue: str, count: int) -> str:
    """Create a queue and put messages on it; return its URL."""
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    for start in range(0, count, 10):
        entries = [{"Id": str(i), "MessageBody": str(i)} for i in range(start, min(start + 10, count))]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        assert len(answer["Successful"]) == len(entries)
    return url
