"""Pods as processes, and the controllers above them: deployments, jobs, owners and their garbage."""

import os
import signal
from typing import Any

import pytest

from tests.aws.kubernetes.api import DEPLOYMENTS, JSON_PATCH, PODS, Api, Refused, deployment
from tests.harness import wait_until

JOBS = "/apis/batch/v1/namespaces/default/jobs"


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "any", "command": list(command), **spec.pop("container", {})}
    return {"metadata": {"name": name}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 3, **spec}}


def is_ready(thing: Any) -> bool:
    conditions = thing.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def container_of(thing: Any) -> Any:
    nothing = {"state": {}, "restartCount": 0}
    return next(iter(thing["status"].get("containerStatuses") or ()), nothing)


def is_waiting_for(thing: Any, reason: str) -> bool:
    return container_of(thing)["state"].get("waiting", {}).get("reason") == reason


def pods_of(api: Api, name: str) -> list[Any]:
    return [
        each for each in api.items(f"{PODS}?labelSelector=app%3D{name}") if "deletionTimestamp" not in each["metadata"]
    ]


def log_of(api: Api, name: str, query: str = "") -> str:
    return api.get(f"{PODS}/{name}/log{query}")


def test_pod_runs_with_its_environment(api: Api) -> None:
    api.create("/api/v1/namespaces/default/secrets", {"metadata": {"name": "env"}, "stringData": {"token": "hidden"}})
    api.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "env"}, "data": {"COLOUR": "blue"}})
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "env", "key": "token"}}},
        {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "BOTH", "value": "$(ME)/$(TOKEN)"},
    ]
    container = {"env": env, "envFrom": [{"configMapRef": {"name": "env"}, "prefix": "P_"}]}
    script = 'echo "$BOTH $P_COLOUR $AWS_ENDPOINT_URL"; echo "$(HOME)"'
    api.create(PODS, pod("env", "sh", "-c", script, restartPolicy="Never", container=container))
    done = api.until(f"{PODS}/env", lambda each: each["status"]["phase"] == "Succeeded")
    first, second = log_of(api, "env").splitlines()
    assert first.startswith("env/hidden blue http://127.0.0.1:")
    assert second.startswith("/")
    ended = container_of(done)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")


def test_pod_without_a_command_says_what_to_do(api: Api) -> None:
    api.create(PODS, {"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "main", "image": "acme/bare:1"}]}})
    found = api.until(f"{PODS}/bare", lambda each: is_waiting_for(each, "ErrImagePull"))
    message = container_of(found)["state"]["waiting"]["message"]
    assert 'image "acme/bare:1" has no command on this machine' in message
    api.delete(f"{PODS}/bare")
    api.until_gone(f"{PODS}/bare")


def test_missing_secret_keeps_a_container_waiting(api: Api) -> None:
    env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "k"}}}]
    api.create(PODS, pod("wants", "true", container={"env": env}))
    found = api.until(f"{PODS}/wants", lambda each: "containerStatuses" in each["status"])
    waiting = container_of(found)["state"]["waiting"]
    assert (waiting["reason"], waiting["message"]) == ("CreateContainerConfigError", 'secret "nowhere" not found')
    api.delete(f"{PODS}/wants")


def test_failing_container_is_restarted_with_back_off(api: Api) -> None:
    api.create(PODS, pod("crash", "sh", "-c", "echo run; exit 3"))
    found = api.until(
        f"{PODS}/crash",
        lambda each: is_waiting_for(each, "CrashLoopBackOff"),
    )
    status = container_of(found)
    assert status["restartCount"] >= 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert log_of(api, "crash", "?previous=true") == "run\n"
    api.delete(f"{PODS}/crash", {"gracePeriodSeconds": 0})
    api.until_gone(f"{PODS}/crash")


def test_readiness_follows_its_probe(api: Api, tmp_path: Any) -> None:
    mark = tmp_path / "ready"
    probe = {"exec": {"command": ["test", "-e", str(mark)]}, "periodSeconds": 1}
    api.create(PODS, pod("probed", "sleep", "1000", container={"readinessProbe": probe}))
    found = api.until(f"{PODS}/probed", lambda each: each["status"]["phase"] == "Running")
    assert not is_ready(found)
    mark.touch()
    api.until(f"{PODS}/probed", is_ready)
    api.delete(f"{PODS}/probed", {"gracePeriodSeconds": 0})
    api.until_gone(f"{PODS}/probed")


def test_failed_liveness_probe_restarts(api: Api) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    command = ("sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done")
    api.create(PODS, pod("dead", *command, container={"livenessProbe": probe}))
    api.until(f"{PODS}/dead", lambda each: container_of(each)["restartCount"] >= 1)
    api.delete(f"{PODS}/dead", {"gracePeriodSeconds": 0})
    api.until_gone(f"{PODS}/dead")


def test_deleted_pod_is_told_to_end_and_may_finish(api: Api, tmp_path: Any) -> None:
    said = tmp_path / "said"
    script = f"trap 'sleep 0.5; echo finished > {said}; exit 0' TERM; while true; do sleep 0.05; done"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", f"echo hook > {said}.hook"]}}}
    api.create(PODS, pod("polite", "sh", "-c", script, container={"lifecycle": hook}, terminationGracePeriodSeconds=20))
    api.until(f"{PODS}/polite", is_ready)
    going = api.delete(f"{PODS}/polite")
    assert going["metadata"]["deletionGracePeriodSeconds"] == 20
    api.until_gone(f"{PODS}/polite")
    assert said.read_text() == "finished\n"
    assert (tmp_path / "said.hook").read_text() == "hook\n"


def test_deleted_pod_that_does_not_end_is_killed(api: Api, tmp_path: Any) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$$$ > {pid}; while true; do sleep 0.1; done"
    api.create(PODS, pod("stubborn", "sh", "-c", script, terminationGracePeriodSeconds=1))
    api.until(f"{PODS}/stubborn", is_ready)
    number = int(wait_until(lambda: pid.exists() and pid.read_text().strip()))
    api.delete(f"{PODS}/stubborn")
    api.until_gone(f"{PODS}/stubborn")
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_container_over_its_memory_limit_is_killed(api: Api) -> None:
    container = {"resources": {"limits": {"memory": "40Mi"}}}
    command = ("python3", "-c", "x = bytearray(200_000_000); import time; time.sleep(1000)")
    api.create(PODS, pod("fat", *command, restartPolicy="Never", container=container))
    found = api.until(f"{PODS}/fat", lambda each: each["status"]["phase"] == "Failed")
    ended = container_of(found)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_logs_are_tailed_and_followed(api: Api) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 0.3; echo last"
    api.create(PODS, pod("talk", "sh", "-c", script, restartPolicy="Never"))
    api.until(f"{PODS}/talk", lambda each: {"running", "terminated"} & set(container_of(each)["state"]))
    connection = api.connect()
    connection.request("GET", f"{PODS}/talk/log?follow=true")
    followed = connection.getresponse().read().decode()
    connection.close()
    assert followed == "line 1\nline 2\nline 3\nline 4\nline 5\nlast\n"
    assert log_of(api, "talk", "?tailLines=2") == "line 5\nlast\n"
    stamped = log_of(api, "talk", "?timestamps=true&tailLines=1")
    assert stamped.endswith("Z last\n")
    with pytest.raises(Refused) as caught:
        log_of(api, "talk", "?container=other")
    assert caught.value.answer["message"] == "container other is not valid for pod talk"


def test_deployment_makes_pods_and_replaces_killed_ones(api: Api, tmp_path: Any) -> None:
    script = f"echo $$$$ >> {tmp_path}/pids; exec sleep 1000"
    api.create(DEPLOYMENTS, deployment("live", 2, ("sh", "-c", script)))
    found = api.until(f"{DEPLOYMENTS}/live", lambda each: each.get("status", {}).get("availableReplicas") == 2)
    conditions = {each["type"]: each["reason"] for each in found["status"]["conditions"]}
    assert conditions["Available"] == "MinimumReplicasAvailable"
    names = {each["metadata"]["name"] for each in pods_of(api, "live")}
    os.kill(int((tmp_path / "pids").read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: any(container_of(each)["restartCount"] for each in pods_of(api, "live")))
    api.delete(f"{PODS}/{min(names)}", {"gracePeriodSeconds": 0})
    wait_until(lambda: len({each["metadata"]["name"] for each in pods_of(api, "live")} - names) == 1)
    api.delete(f"{DEPLOYMENTS}/live")
    wait_until(lambda: not api.items(f"{PODS}?labelSelector=app%3Dlive"))


def test_rolling_update_keeps_pods_available(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("roll", 3))
    api.until(f"{DEPLOYMENTS}/roll", lambda each: each.get("status", {}).get("availableReplicas") == 3)
    change = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other"}]
    before = pods_of(api, "roll")
    start = api.get(PODS)["metadata"]["resourceVersion"]
    api.patch(f"{DEPLOYMENTS}/roll", change, JSON_PATCH)

    def is_rolled(each: Any) -> bool:
        status = each["status"]
        return status["observedGeneration"] == 2 and (
            status.get("updatedReplicas"),
            status.get("replicas"),
            status.get("availableReplicas"),
        ) == (3, 3, 3)

    done = api.until(f"{DEPLOYMENTS}/roll", is_rolled)
    assert done["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    # 25 % of 3 rounds down to none that may be missing and up to one that may be more.
    ready = {each["metadata"]["name"] for each in before}
    counts: list[int] = []
    for event in api.watch(f"{PODS}?watch=1&resourceVersion={start}&timeoutSeconds=1&labelSelector=app%3Droll"):
        thing = event["object"]
        is_there = "deletionTimestamp" not in thing["metadata"] and is_ready(thing)
        ready = ready | {thing["metadata"]["name"]} if is_there else ready - {thing["metadata"]["name"]}
        counts.append(len(ready))
    assert (min(counts), max(counts)) == (3, 4)
    api.delete(f"{DEPLOYMENTS}/roll")


def test_scale_deletes_the_cheapest_pod_first(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("cost", 3))
    api.until(f"{DEPLOYMENTS}/cost", lambda each: each.get("status", {}).get("readyReplicas") == 3)
    names = sorted(each["metadata"]["name"] for each in pods_of(api, "cost"))
    for name, cost in zip(names, ("5", "-1", "7"), strict=True):
        annotations = {"controller.kubernetes.io/pod-deletion-cost": cost}
        api.patch(f"{PODS}/{name}", {"metadata": {"annotations": annotations}})
    api.patch(f"{DEPLOYMENTS}/cost/scale", {"spec": {"replicas": 1}})
    wait_until(lambda: [each["metadata"]["name"] for each in pods_of(api, "cost")] == [names[2]])
    api.delete(f"{DEPLOYMENTS}/cost")


def test_job_runs_to_completion(api: Api) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": pod("x", "sh", "-c", "exit 0")["spec"]["containers"]}}
    api.create(
        JOBS, {"metadata": {"name": "three"}, "spec": {"completions": 3, "parallelism": 2, "template": template}}
    )
    done = api.until(f"{JOBS}/three", lambda each: each.get("status", {}).get("completionTime"))
    assert done["status"]["succeeded"] == 3
    assert {each["type"] for each in done["status"]["conditions"]} == {"SuccessCriteriaMet", "Complete"}
    api.delete(f"{JOBS}/three", {"propagationPolicy": "Background"})
    wait_until(lambda: not api.items(f"{PODS}?labelSelector=job-name%3Dthree"))


def test_job_that_fails_too_often_has_failed(api: Api) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": pod("x", "false")["spec"]["containers"]}}
    api.create(JOBS, {"metadata": {"name": "bad"}, "spec": {"backoffLimit": 0, "template": template}})
    done = api.until(f"{JOBS}/bad", lambda each: each.get("status", {}).get("conditions"))
    assert done["status"]["conditions"][-1]["reason"] == "BackoffLimitExceeded"
    assert done["status"]["failed"] == 1


def test_dependents_go_with_their_owner_or_are_left_alone(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("parent", 1))
    api.until(f"{DEPLOYMENTS}/parent", lambda each: each.get("status", {}).get("readyReplicas") == 1)
    api.delete(f"{DEPLOYMENTS}/parent", {"propagationPolicy": "Orphan"})
    api.until_gone(f"{DEPLOYMENTS}/parent")
    (left,) = api.items("/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3Dparent")
    assert not left["metadata"].get("ownerReferences")
    api.delete(
        f"/apis/apps/v1/namespaces/default/replicasets/{left['metadata']['name']}", {"propagationPolicy": "Foreground"}
    )
    wait_until(lambda: not api.items(f"{PODS}?labelSelector=app%3Dparent"))


def test_eviction_respects_budgets(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("guarded", 1))
    api.until(f"{DEPLOYMENTS}/guarded", lambda each: each.get("status", {}).get("readyReplicas") == 1)
    budget = {
        "metadata": {"name": "guard"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
    }
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    api.create(path, budget)
    api.until(f"{path}/guard", lambda each: each.get("status", {}).get("currentHealthy") == 1)
    (only,) = pods_of(api, "guarded")
    eviction = f"{PODS}/{only['metadata']['name']}/eviction"
    with pytest.raises(Refused) as caught:
        api.create(eviction, {"metadata": {"name": only["metadata"]["name"]}})
    assert caught.value.status == 429
    assert caught.value.answer["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    api.delete(f"{path}/guard")
    api.create(eviction, {"metadata": {"name": only["metadata"]["name"]}})
    api.delete(f"{DEPLOYMENTS}/guarded")


def test_usage_is_measured(api: Api) -> None:
    api.create(PODS, pod("spin", "sh", "-c", "while true; do :; done"))
    metrics = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
    found = api.until(f"{metrics}/spin", lambda each: each["containers"])
    assert int(found["containers"][0]["usage"]["cpu"].removesuffix("m")) > 50
    assert int(found["containers"][0]["usage"]["memory"].removesuffix("Ki")) > 100
    api.delete(f"{PODS}/spin", {"gracePeriodSeconds": 0})
    api.until_gone(f"{PODS}/spin")
