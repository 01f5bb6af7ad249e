"""`forebay scale`: its commands against a running node."""

from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from forebay.cli.cluster_picture import curve
from forebay.cli.main import cli
from forebay.cli.manifests import find_images, find_manifests
from tests.aws.kubernetes.api import Api, deployment, scaled_object, send
from tests.harness import RunningNode


def run(node: RunningNode, *words: str) -> Any:
    return CliRunner().invoke(cli, ["scale", *words, "--endpoint", node.url], env={"COLUMNS": "120"})


def test_kubeconfig_names_the_node(shared: RunningNode) -> None:
    config = yaml.safe_load(run(shared, "kubeconfig", "--namespace", "room").output)
    assert config["clusters"][0]["cluster"] == {"server": shared.url}
    assert config["contexts"][0]["context"]["namespace"] == "room"
    assert config["current-context"] == "forebay"


def test_apply_says_what_it_did(shared: RunningNode, api: Api, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([scaled_object("cli", "cli"), deployment("cli", 0)]))
    done = run(shared, "apply", str(file))
    assert done.exit_code == 0, done.output
    # What others stand on goes first.
    assert done.output == "  deployment/cli applied\n  scaledobject/cli applied\n"
    file.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n")
    refused = run(shared, "apply", str(file))
    assert refused.exit_code == 1
    assert 'Service x: no matches for kind "Service" in version "v1" here' in refused.output
    thing = deployment("cli", 0)
    thing["spec"]["replicsa"] = 1
    file.write_text(yaml.safe_dump(thing))
    assert 'unknown field "spec.replicsa"' in run(shared, "apply", str(file)).output


def test_watch_shows_queue_pods_and_nodes(shared: RunningNode, api: Api, tmp_path: Path) -> None:
    send(shared, "seen", 7)
    file = tmp_path / "seen.yaml"
    file.write_text(yaml.safe_dump_all([deployment("seen", 0), scaled_object("seen", "seen", pollingInterval=1000)]))
    assert run(shared, "apply", str(file)).exit_code == 0
    api.until(
        "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects/seen",
        lambda each: each.get("status", {}).get("conditions"),
    )
    shown = run(shared, "watch", "--once").output
    assert "ScaledObject default/seen  0 to 100 pods" in shown
    assert any(line.split()[:4] == ["queue", "seen", "7", "waiting"] for line in shown.splitlines())
    assert "Nodes 0" in shown
    assert all(len(line) <= 200 for line in shown.splitlines())


def test_curves_are_scaled_to_their_highest_value() -> None:
    assert curve([0, 0]) == "▁▁"
    assert curve([0, 4, 8]) == "▁▅█ max 8"


def test_manifests_and_images_are_found_beside_a_template(tmp_path: Path) -> None:
    assert find_manifests(tmp_path) == []
    assert find_images(tmp_path) is None
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name in ("b.yaml", "a.yml", "kustomization.yaml", "images.yaml", "notes.md"):
        (folder / name).write_text("{}")
    assert [each.name for each in find_manifests(tmp_path)] == ["a.yml", "b.yaml"]
    assert find_images(tmp_path) == folder / "images.yaml"
