"""Telling Kubernetes what a pod has at work, against a server that notes what it is told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forebay.worker.deletion_cost import DeletionCost, PodApi


class ApiServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.told: list[tuple[str, str, str, str]] = []
        self.arrived = threading.Semaphore(0)
        self.status = 200

    def next_cost(self) -> str:
        assert self.arrived.acquire(timeout=20)
        return json.loads(self.told[-1][3])["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"]


class Answering(BaseHTTPRequestHandler):
    server: ApiServer

    def log_message(self, *_given):
        pass

    def do_PATCH(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.told.append((self.path, self.headers["content-type"], self.headers["authorization"] or "", body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.arrived.release()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    running = ApiServer()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def environment(server: ApiServer) -> dict[str, str]:
    return {"KUBERNETES_SERVICE_URL": f"http://127.0.0.1:{server.server_port}", "HOSTNAME": "worker-1"}


def test_cost_is_what_is_at_work(server: ApiServer, tmp_path: Path):
    (tmp_path / "namespace").write_text("shop\n")
    (tmp_path / "token").write_text("secret")
    pod = PodApi.from_environment(environment(server), tmp_path)
    assert pod is not None
    cost = DeletionCost(pod)
    cost.start()
    cost.set(3)
    assert server.next_cost() == "3"
    cost.set(0)
    assert server.next_cost() == "0"
    cost.stop()
    path, kind, authorization, _ = server.told[0]
    assert path == "/api/v1/namespaces/shop/pods/worker-1"
    assert (kind, authorization) == ("application/merge-patch+json", "Bearer secret")


def test_refusal_is_told_once_and_work_goes_on(server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    server.status = 403
    pod = PodApi.from_environment({**environment(server), "POD_NAMESPACE": "shop"}, tmp_path)
    assert pod is not None
    cost = DeletionCost(pod)
    cost.start()
    for busy in (1, 0):
        cost.set(busy)
        assert server.next_cost() == str(busy)
    cost.stop()
    assert [record.message for record in caplog.records] == [
        "the pod's deletion cost cannot be written: HTTP Error 403: Forbidden"
    ]


def test_cluster_is_reached_by_its_own_variables(tmp_path: Path):
    given = {"KUBERNETES_SERVICE_HOST": "fd00::1", "POD_NAME": "p", "POD_NAMESPACE": "n"}
    pod = PodApi.from_environment(given, tmp_path)
    assert pod is not None
    assert pod.url == "https://[fd00::1]:443/api/v1/namespaces/n/pods/p"


@pytest.mark.parametrize("given", [{}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"HOSTNAME": "laptop"}])
def test_no_pod_no_cost(given: dict[str, str], tmp_path: Path):
    assert PodApi.from_environment(given, tmp_path) is None
