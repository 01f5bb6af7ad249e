"""Scalers of triggers other than queues: what they read, and what they refuse."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.core.clock import Clock
from forebay.scaling.cluster.authentication import Parameters
from forebay.scaling.cluster.subject import Subject, TriggerFailed
from forebay.scaling.cluster.triggers import Reading, Triggers
from forebay.scaling.manifests.keda import Trigger
from forebay.scaling.manifests.problem import InvalidManifest

# Monday, 2 March 2026, 12:00 UTC.
NOON = 1_772_452_800.0


def read(kind: str, metadata: Mapping[str, str], at: float = NOON, **values: str) -> tuple[Any, Reading]:
    platform: Any = SimpleNamespace(clock=Clock(at), endpoint=lambda: "http://127.0.0.1:1")

    async def ask() -> tuple[Any, Reading]:
        triggers = Triggers(platform)
        subject = Subject("default", "web", {})
        scaler = await triggers.make(0, Trigger(kind, dict(metadata)), subject, Parameters(values))
        return scaler.target, await scaler.read()

    return asyncio.run(ask())


@pytest.fixture
def server() -> Iterator[Any]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            body = json.dumps(answers[self.path.split("?")[0]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    answers: dict[str, Any] = {}
    asked: list[tuple[str, str | None]] = []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{running.server_port}", answers=answers, asked=asked)
    running.shutdown()
    running.server_close()
    thread.join()


def test_cron_is_active_within_its_window() -> None:
    metadata = {"timezone": "Europe/Berlin", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "7"}
    target, reading = read("cron", metadata)
    assert target.metric_name == "s0-cron-Europe-Berlin-08xxx-018xxx"
    assert (target.target, reading) == (1, Reading(7, is_active=True))
    # 12:00 UTC is 13:00 in Berlin; eight hours later the window is over.
    assert read("cron", metadata, NOON + 8 * 3600)[1] == Reading(1, is_active=False)


def test_cron_refuses_what_it_cannot_read() -> None:
    with pytest.raises(InvalidManifest, match="no start given"):
        read("cron", {"timezone": "UTC"})
    metadata = {"timezone": "Mars/Base", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "7"}
    with pytest.raises(InvalidManifest, match="unknown time zone Mars/Base"):
        read("cron", metadata)


def test_metrics_api_digs_for_its_value(server: Any) -> None:
    server.answers["/stats"] = {"queues": [{"depth": "12"}]}
    metadata = {"url": f"{server.url}/stats", "valueLocation": "queues.0.depth", "targetValue": "4"}
    target, reading = read("metrics-api", {**metadata, "authMode": "bearer"}, token="t")
    assert (target.target, reading) == (4, Reading(12, is_active=True))
    assert server.asked == [("/stats", "Bearer t")]
    with pytest.raises(TriggerFailed, match="nothing is not there"):
        read("metrics-api", {**metadata, "valueLocation": "nothing"})


def test_prometheus_asks_its_query(server: Any) -> None:
    server.answers["/api/v1/query"] = {"data": {"result": [{"value": [0, "30"]}]}}
    metadata = {"serverAddress": server.url, "query": "sum(depth)", "threshold": "10", "activationThreshold": "30"}
    target, reading = read("prometheus", metadata)
    assert (target.metric_name, target.target, reading) == ("s0-prometheus", 10, Reading(30, is_active=False))
    assert server.asked[0][0].startswith("/api/v1/query?query=sum%28depth%29&time=2026-03-02T12%3A00%3A00Z")
    server.answers["/api/v1/query"] = {"data": {"result": []}}
    assert read("prometheus", metadata)[1] == Reading(0, is_active=False)
    with pytest.raises(TriggerFailed):
        read("prometheus", {**metadata, "ignoreNullValues": "false"})


def test_server_that_is_away_fails_the_trigger() -> None:
    metadata = {"serverAddress": "http://127.0.0.1:9", "query": "x", "threshold": "1"}
    with pytest.raises(TriggerFailed, match="error requesting"):
        read("prometheus", metadata)


def test_unknown_scaler_is_named() -> None:
    with pytest.raises(InvalidManifest, match="no scaler found for type: kafka"):
        read("kafka", {})
