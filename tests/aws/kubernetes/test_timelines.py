"""The five timelines of a real HPA controller, replayed by the running cluster under the virtual clock."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.kubernetes.api import (
    AUTOSCALERS,
    DEPLOYMENTS,
    SCALED_OBJECTS,
    Api,
    deployment,
    scaled_object,
    send,
)
from tests.harness import RunningNode, wait_until
from tests.unit.scaling.vectors import vectors

OBSERVED = {
    case.values[0]["name"]: case.values[0] for case in vectors("hpa", "observed_real_controller") if case.values[0]
}
pytestmark = pytest.mark.skipif(not OBSERVED, reason="hpa_vectors.json is not beside the project")
START = 1_800_000_000.0
WEB = f"{DEPLOYMENTS}/web"
HPA = f"{AUTOSCALERS}/keda-hpa-web"


def observed(text: str) -> dict[str, Any]:
    return next(case for name, case in OBSERVED.items() if text in name)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    # One process stands for all pods: what is replayed are the controllers.
    running = RunningNode(
        tmp_path / "data",
        pods_max=1,
        hpa_sync_seconds=1.0,
        hpa_downscale_stabilization_seconds=10,
    ).start()
    running.clock.freeze(START)
    yield running
    running.stop()


class Replay:
    """Steps the clock and notes when the number of replicas changes."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self.api = Api(node)
        self.sequence: list[int] = []
        self.steps: list[float] = []
        self._began = START

    def begin(self, replicas: int, messages: int, **spec: Any) -> str:
        url = send(self.node, "orders", messages)
        self.api.create(DEPLOYMENTS, deployment(replicas=replicas))
        self.settle()
        self.api.create(SCALED_OBJECTS, scaled_object(pollingInterval=1000, minReplicaCount=1, **spec))
        self.api.until(HPA, lambda _: True)
        # Until its first sync an autoscaler has no status.
        self.step()
        self.api.until(HPA, lambda hpa: hpa.get("status", {}).get("conditions"))
        self.settle()
        self.sequence = [replicas]
        return url

    def mark(self) -> None:
        """Count seconds from now on."""
        self._began = self.node.clock.now()

    def settle(self) -> int:
        """Wait until the deployment's status tells of as many replicas as it wants; return them."""

        def look() -> Any:
            found = self.api.get(WEB)
            wanted = found["spec"]["replicas"]
            return found if found.get("status", {}).get("replicas", 0) == wanted else None

        return wait_until(look, 40)["spec"]["replicas"]

    def step(self) -> None:
        """Move the clock by a second and wait for the sync that is due then."""
        self.node.clock.advance(1.0)
        now = self.node.clock.now()
        wait_until(lambda: self._due_at() > now)

    def _due_at(self) -> float:
        from forebay.scaling.cluster.autoscaling import MEMORY

        async def read(node: Any) -> float:
            found = await node.store.view(lambda view: view.records.list(MEMORY))
            return min((memory.due_at for _, memory in found), default=0.0)

        return self.node.run(read)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.step()
            replicas = self.settle()
            if replicas != self.sequence[-1]:
                self.sequence.append(replicas)
                self.steps.append(self.node.clock.now() - self._began)


def empty(node: RunningNode, url: str) -> None:
    node.client("sqs").purge_queue(QueueUrl=url)


def test_grows_without_behavior(node: RunningNode) -> None:
    case = observed("no behavior, external AverageValue 5")
    replay = Replay(node)
    replay.begin(case["startReplicas"], 0)
    send(node, "orders", 500)
    replay.run(8)
    assert replay.sequence == case["expectSequence"]


def test_grows_with_behavior(node: RunningNode) -> None:
    case = observed("behavior with only scaleDown window set")
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    replay = Replay(node)
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    replay.begin(case["startReplicas"], 0, maxReplicaCount=20, advanced=advanced)
    send(node, "orders", 500)
    replay.mark()
    replay.run(35)
    assert replay.sequence == case["expectSequence"]
    # The recorded controller's syncs are a second apart and drift, ours are on the second.
    assert all(abs(a - b) <= 2.5 for a, b in zip(replay.steps, case["stepSeconds"], strict=True))


def test_shrinks_after_the_stabilization_flag(node: RunningNode) -> None:
    case = observed("downscale stabilisation flag 10 s")
    replay = Replay(node)
    url = replay.begin(case["startReplicas"], 500)
    replay.run(2)
    empty(node, url)
    replay.mark()
    replay.run(12)
    assert replay.sequence == case["expectSequence"]
    assert abs(replay.steps[0] - case["stepSeconds"][0]) <= 1.5


def test_shrinks_after_the_window_of_behavior(node: RunningNode) -> None:
    case = observed("behavior.scaleDown window 5 s")
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    replay = Replay(node)
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    url = replay.begin(case["startReplicas"], 100, advanced=advanced)
    replay.run(2)
    empty(node, url)
    replay.mark()
    replay.run(8)
    assert replay.sequence == case["expectSequence"]
    assert abs(replay.steps[0] - case["stepSeconds"][0]) <= 1.5


def test_leaves_zero_replicas_alone(node: RunningNode) -> None:
    case = observed("0 replicas, minReplicas 1")
    replay = Replay(node)
    api = replay.api
    api.create(DEPLOYMENTS, deployment(replicas=case["startReplicas"]))
    metric = {"metric": {"name": "s0-aws-sqs-orders"}, "target": {"type": "AverageValue", "averageValue": "5"}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"minReplicas": 1, "maxReplicas": 10, "scaleTargetRef": target}
    spec["metrics"] = [{"type": "External", "external": metric}]
    api.create(AUTOSCALERS, {"metadata": {"name": "keda-hpa-web"}, "spec": spec})
    wait_until(lambda: replay._due_at() > 0)
    replay.step()
    hpa = api.until(HPA, lambda each: each.get("status", {}).get("conditions"))
    active = next(each for each in hpa["status"]["conditions"] if each["type"] == "ScalingActive")
    assert f"ScalingActive={active['status']} {active['reason']}" == case["condition"]
    assert api.get(WEB)["spec"]["replicas"] == 0
