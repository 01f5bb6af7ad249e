"""The whole chain on one node: messages wake workers, workers drain the queue, and both workers and nodes go again."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.kubernetes.api import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PODS,
    SCALED_OBJECTS,
    Api,
    deployment,
    scaled_object,
    send,
)
from tests.harness import RunningNode, wait_until

POOLS = "/apis/karpenter.sh/v1/nodepools"
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
NODES = "/api/v1/nodes"
CLASSES = "/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses"
JOBS = "/apis/batch/v1/namespaces/default/jobs"

# Notes when work on a message begins and when it ends, so that what was cut off is seen.
HANDLER = """
import os, time

def handle(message):
    note("began", message)
    time.sleep(0.02)
    note("ended", message)

def note(what, message):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{what} {message.body}\\n")
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "data", hpa_sync_seconds=1.0, external_scaler_port=0).start()
    yield running
    running.stop()


def workers(tmp_path: Path, **spec: Any) -> dict[str, Any]:
    """Return a deployment of the worker library with the handler above."""
    (tmp_path / "app.py").write_text(HANDLER)
    command = [sys.executable, "-m", "forebay.worker", "--queue", "orders", "--wait-seconds", "1", "app:handle"]
    made = deployment(replicas=0, command=command, **spec)
    pod = made["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 20
    pod["containers"][0] |= {
        "workingDir": str(tmp_path),
        "env": [{"name": "NOTES", "value": str(tmp_path / "notes")}],
        "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}},
    }
    return made


def notes(tmp_path: Path, what: str) -> list[str]:
    file = tmp_path / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.split()[1] for line in lines if line.startswith(what)]


def replicas(api: Api) -> int:
    return api.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"]


def test_messages_wake_workers_and_no_work_is_cut_off(node: RunningNode, tmp_path: Path) -> None:
    api = Api(node)
    url = send(node, "orders", 0)
    api.create(DEPLOYMENTS, workers(tmp_path))
    api.create(SCALED_OBJECTS, scaled_object(pollingInterval=1, cooldownPeriod=2, maxReplicaCount=6))
    send(node, "orders", 200)
    wait_until(lambda: replicas(api) > 1, 60)
    wait_until(lambda: len(notes(tmp_path, "ended")) >= 200, 60)
    wait_until(lambda: replicas(api) == 0, 60)
    wait_until(lambda: not api.items(PODS), 60)
    assert sorted(notes(tmp_path, "began")) == sorted(notes(tmp_path, "ended"))
    assert len(notes(tmp_path, "ended")) == 200
    counts = node.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"
    reasons = {each["reason"] for each in api.items("/api/v1/namespaces/default/events")}
    assert {"KEDAScaleTargetActivated", "KEDAScaleTargetDeactivated", "SuccessfulRescale", "Scheduled"} <= reasons


def test_pushed_activity_wakes_without_a_poll(node: RunningNode) -> None:
    pytest.importorskip("grpc")
    api = Api(node)
    send(node, "orders", 0)
    api.create(DEPLOYMENTS, deployment(replicas=0))
    thing = scaled_object(pollingInterval=100_000)
    trigger = thing["spec"]["triggers"][0]
    trigger["type"] = "external-push"
    trigger["metadata"]["scalerAddress"] = f"127.0.0.1:{node.node.external_scaler_port}"
    api.create(SCALED_OBJECTS, thing)
    found = api.until(f"{SCALED_OBJECTS}/web", lambda each: each.get("status", {}).get("conditions"))
    assert replicas(api) == 0
    assert found["status"]["conditions"]
    send(node, "orders", 1)
    wait_until(lambda: replicas(api) == 1, 20)


def test_broken_trigger_is_told_and_mended(node: RunningNode) -> None:
    api = Api(node)
    api.create(DEPLOYMENTS, deployment(replicas=0))
    thing = scaled_object(pollingInterval=1)
    thing["spec"]["triggers"][0]["authenticationRef"] = {"name": "keys"}
    del thing["spec"]["triggers"][0]["metadata"]["identityOwner"]
    api.create(SCALED_OBJECTS, thing)

    def message(each: Any) -> Any:
        conditions = each.get("status", {}).get("conditions") or []
        return next((one.get("message") for one in conditions if one["type"] == "Ready"), None)

    path = f"{SCALED_OBJECTS}/web"
    api.until(path, lambda each: message(each) == 'TriggerAuthentication.keda.sh "keys" not found')
    send(node, "orders", 5)
    secrets = {"metadata": {"name": "keys"}, "stringData": {"id": "000000000000", "secret": "x"}}
    api.create("/api/v1/namespaces/default/secrets", secrets)
    targets = [
        {"parameter": parameter, "name": "keys", "key": key}
        for parameter, key in (("awsAccessKeyID", "id"), ("awsSecretAccessKey", "secret"))
    ]
    authentication = {"metadata": {"name": "keys"}, "spec": {"secretTargetRef": targets}}
    api.create("/apis/keda.sh/v1alpha1/namespaces/default/triggerauthentications", authentication)
    wait_until(lambda: replicas(api) >= 1, 30)
    assert message(api.get(path)) == "ScaledObject is defined correctly and is ready for scaling"


def test_hpa_is_written_as_keda_writes_it(node: RunningNode) -> None:
    api = Api(node)
    api.create(DEPLOYMENTS, deployment(replicas=0))
    api.create(SCALED_OBJECTS, scaled_object(minReplicaCount=2, maxReplicaCount=9))
    hpa = api.until(f"{AUTOSCALERS}/keda-hpa-web", lambda _: True)
    external = hpa["spec"]["metrics"][0]["external"]
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 9)
    assert external["metric"]["name"] == "s0-aws-sqs-orders"
    assert external["target"] == {"type": "AverageValue", "averageValue": "5"}
    api.delete(f"{SCALED_OBJECTS}/web")
    api.until_gone(f"{SCALED_OBJECTS}/web")
    api.until_gone(f"{AUTOSCALERS}/keda-hpa-web")


def test_scaled_job_makes_a_job_for_the_work(node: RunningNode) -> None:
    api = Api(node)
    send(node, "orders", 12)
    containers = deployment(command=["sh", "-c", "exit 0"])["spec"]["template"]["spec"]["containers"]
    spec = {
        "pollingInterval": 1000,
        "maxReplicaCount": 10,
        "jobTargetRef": {"template": {"spec": {"containers": containers}}},
        "triggers": scaled_object()["spec"]["triggers"],
    }
    api.create("/apis/keda.sh/v1alpha1/namespaces/default/scaledjobs", {"metadata": {"name": "work"}, "spec": spec})
    jobs = wait_until(lambda: [each for each in api.items(JOBS) if each.get("status", {}).get("completionTime")], 30)
    jobs = wait_until(lambda: len(api.items(JOBS)) == 3 and api.items(JOBS))
    assert {each["metadata"]["labels"]["scaledjob.keda.sh/name"] for each in jobs} == {"work"}
    assert {each["spec"]["template"]["spec"]["restartPolicy"] for each in jobs} == {"OnFailure"}


def pool(api: Api, **disruption: Any) -> None:
    api.create(CLASSES, {"metadata": {"name": "default"}, "spec": {"nodeRegistrationDelay": "5s"}})
    requirements = [
        {"key": key, "operator": "In", "values": values}
        for key, values in (
            ("kubernetes.io/arch", ["amd64"]),
            ("kubernetes.io/os", ["linux"]),
            ("karpenter.sh/capacity-type", ["spot"]),
            ("karpenter.kwok.sh/instance-cpu", ["1", "2"]),
        )
    ]
    reference = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}
    template = {"spec": {"requirements": requirements, "nodeClassRef": reference}}
    api.create(POOLS, {"metadata": {"name": "workers"}, "spec": {"template": template, "disruption": disruption}})


def phases(api: Api) -> list[str]:
    return [each["status"]["phase"] for each in api.items(PODS)]


def test_nodes_come_for_pods_and_go_after_them(node: RunningNode) -> None:
    api = Api(node)
    everything = [{"nodes": "100%"}]
    pool(api, consolidationPolicy="WhenEmpty", consolidateAfter="30s", budgets=everything)
    thing = deployment(replicas=3)
    thing["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "600m"}}
    api.create(DEPLOYMENTS, thing)
    wait_until(lambda: phases(api) == ["Pending"] * 3)
    wait_until(lambda: phases(api) == ["Running"] * 3, 60)
    claims = api.items(CLAIMS)
    # Three pods of 600m fit on one machine of two CPUs, of which 1900m are left for pods; the cheapest is chosen.
    assert [each["metadata"]["labels"]["node.kubernetes.io/instance-type"] for each in claims] == ["c-2x-amd64-linux"]
    nodes = {each["metadata"]["name"]: each for each in api.items(NODES)}
    assert {each["spec"]["nodeName"] for each in api.items(PODS)} == {each["metadata"]["name"] for each in claims}
    assert nodes["forebay"]["spec"]["taints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
    api.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 0}})
    wait_until(lambda: not api.items(PODS))
    wait_until(lambda: _advanced(node, 5) and not api.items(CLAIMS), 60)
    wait_until(lambda: [each["metadata"]["name"] for each in api.items(NODES)] == ["forebay"])
    found = api.get(f"{POOLS}/workers")["status"]["resources"]
    assert found["nodes"] == "0"


def _advanced(node: RunningNode, seconds: float) -> bool:
    node.clock.advance(seconds)
    return True


def test_pods_that_no_node_takes_say_why(node: RunningNode) -> None:
    api = Api(node)
    pool(api)
    thing = deployment(replicas=1)
    thing["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100"}}
    api.create(DEPLOYMENTS, thing)
    path = "/api/v1/namespaces/default/events?fieldSelector=reason%3DFailedScheduling"
    messages = wait_until(lambda: len(api.items(path)) > 1 and [each["message"] for each in api.items(path)], 40)
    assert any(text.startswith("0/1 nodes are available: 1 node(s) had untolerated taint") for text in messages)
    assert any("no instance type has enough resources" in text for text in messages)
    assert api.items(CLAIMS) == []


def test_machine_takes_as_many_pods_as_it_bears(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "data", pods_max=1).start()
    try:
        api = Api(running)
        api.create(DEPLOYMENTS, deployment(replicas=2))

        def reasons() -> list[str]:
            found = [each["status"].get("containerStatuses") or [{"state": {}}] for each in api.items(PODS)]
            states = [each[0]["state"] for each in found]
            return sorted(
                "running" if "running" in each else str(each.get("waiting", {}).get("reason")) for each in states
            )

        wait_until(lambda: reasons() == ["WouldBeRunning", "running"])
        first = wait_until(
            lambda: next((each for each in api.items(PODS) if each["status"]["phase"] == "Running"), None)
        )
        api.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 1}})
        api.until_gone(f"{PODS}/{_waiting(api) or first['metadata']['name']}", 30)
        wait_until(lambda: reasons() == ["running"])
    finally:
        running.stop()


def _waiting(api: Api) -> str:
    pending = [each for each in api.items(PODS) if each["status"]["phase"] == "Pending"]
    return pending[0]["metadata"]["name"] if pending else ""


def test_cluster_goes_on_after_a_restart(node: RunningNode) -> None:
    api = Api(node)
    api.create(DEPLOYMENTS, deployment(replicas=2))
    api.until(f"{DEPLOYMENTS}/web", lambda each: each.get("status", {}).get("readyReplicas") == 2)
    names = sorted(each["metadata"]["name"] for each in api.items(PODS))
    version = api.get(PODS)["metadata"]["resourceVersion"]
    node.restart()
    api = Api(node)

    def restarted() -> bool:
        found = [each["status"].get("containerStatuses", [{}])[0] for each in api.items(PODS)]
        return [(each.get("restartCount"), each.get("ready")) for each in found] == [(1, True)] * 2

    wait_until(restarted)
    assert sorted(each["metadata"]["name"] for each in api.items(PODS)) == names
    # A watch goes on from before the restart.
    event = next(api.watch(f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=5"))
    assert event["type"] == "MODIFIED"


def test_important_pod_takes_the_place_of_a_lesser_one(node: RunningNode) -> None:
    api = Api(node)
    (machine,) = wait_until(lambda: api.items(NODES))
    most = int(machine["status"]["allocatable"]["cpu"]) * 1000 * 3 // 4
    api.create("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "high"}, "value": 1000})

    def pod(name: str, **spec: Any) -> dict[str, Any]:
        container = {"name": "main", "image": "any", "command": ["sleep", "1000"]}
        container["resources"] = {"requests": {"cpu": f"{most}m"}}
        return {
            "metadata": {"name": name},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
        }

    api.create(PODS, pod("low"))
    api.until(f"{PODS}/low", lambda each: each["status"]["phase"] == "Running")
    api.create(PODS, pod("high", priorityClassName="high"))
    api.until(f"{PODS}/high", lambda each: each["status"]["phase"] == "Running", 40)
    api.until_gone(f"{PODS}/low")
    path = "/api/v1/namespaces/default/events?fieldSelector=reason%3DPreempted"
    assert [each["involvedObject"]["name"] for each in api.items(path)] == ["low"]


def test_reset_empties_the_cluster_and_furnishes_it_again(node: RunningNode) -> None:
    api = Api(node)
    api.create(DEPLOYMENTS, deployment(replicas=1))
    api.until(f"{DEPLOYMENTS}/web", lambda each: each.get("status", {}).get("readyReplicas") == 1)
    version = api.get(PODS)["metadata"]["resourceVersion"]
    events = api.watch(f"{PODS}?watch=1&resourceVersion={version}")
    api.call("POST", "/_forebay/reset")
    *_, last = events
    assert (last["type"], last["object"]["code"]) == ("ERROR", 410)
    wait_until(lambda: [each["metadata"]["name"] for each in api.items("/api/v1/namespaces")][:1] == ["default"])
    wait_until(lambda: [each["metadata"]["name"] for each in api.items(NODES)] == ["forebay"])
    assert api.items(PODS) == []
    wait_until(lambda: not node.run(_runs))


async def _runs(node: Any) -> int:
    from forebay.scaling.cluster.cluster import Cluster

    return len(node.platform.table.shared("kubernetes", Cluster).kubelet.runs)
