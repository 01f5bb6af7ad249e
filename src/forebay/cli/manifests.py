"""Applying manifests to the local cluster, as `scale apply` and `up` do it: server-side, under a manager's name."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import click
import msgspec
import yaml

from forebay.cli.client import Endpoint, endpoint_options
from forebay.cli.cluster_client import ask_cluster

# Folders beside a template in which `up` looks for manifests, and the file that maps images to commands.
FOLDERS = ("manifests", "kubernetes", "k8s")
IMAGES = ("images.yaml", "images.yml")
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
# What others stand on comes first.
_ORDER = (
    *("Namespace", "PriorityClass", "Secret", "ConfigMap", "ServiceAccount"),
    *("KWOKNodeClass", "EC2NodeClass", "NodePool", "PodDisruptionBudget", "Deployment"),
    *("ClusterTriggerAuthentication", "TriggerAuthentication"),
)

Report = Callable[[str], None]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--namespace", "-n", default="default", show_default=True, help="Namespace of objects that name none.")
@endpoint_options
def apply(*, paths: tuple[Path, ...], namespace: str, endpoint: str, region: str, account: str) -> None:
    """Apply the manifests in PATHS (files, or folders with files) to the local cluster."""
    files = [file for path in paths for file in manifest_files(path)]
    if not files:
        raise click.ClickException("There are no manifests there.")
    apply_manifests(Endpoint(endpoint, region, account), files, click.echo, namespace)


def find_manifests(folder: Path) -> list[Path]:
    """Return the manifests that belong to a folder with a template; none where it has none."""
    found = next((folder / name for name in FOLDERS if (folder / name).is_dir()), None)
    return [] if found is None else manifest_files(found)


def find_images(folder: Path) -> Path | None:
    """Return the mapping of images in a folder, if it has one."""
    places = [folder, *(folder / name for name in FOLDERS)]
    return next((place / name for place in places for name in IMAGES if (place / name).is_file()), None)


def manifest_files(path: Path) -> list[Path]:
    """Return a file, or the manifests right inside a folder, by name."""
    if path.is_file():
        return [path]
    names = {*IMAGES, "kustomization.yaml"}
    return sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES and each.name not in names)


def apply_manifests(endpoint: Endpoint, files: Sequence[Path], say: Report, namespace: str = "default") -> None:
    """Apply files to the cluster, what others stand on first; what is said of each object goes to `say`.

    Raises:
        click.ClickException: a file cannot be read, or the cluster refuses an object.
    """
    plurals = _plurals(endpoint)
    things = [thing for file in files for thing in _documents(file)]
    things.sort(key=lambda thing: _ORDER.index(thing["kind"]) if thing.get("kind") in _ORDER else len(_ORDER))
    for thing in things:
        _apply_one(endpoint, thing, plurals, say, namespace)


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or "kind" not in document:
            raise click.ClickException(f"{file} holds a document that is no Kubernetes object.")
        thing = cast("dict[str, Any]", document)
        if thing["kind"] == "List":
            yield from thing.get("items") or []
        else:
            yield thing


def _plurals(endpoint: Endpoint) -> dict[tuple[str, str], tuple[str, bool]]:
    """Return the path's last part of each kind, and whether it has namespaces."""
    found: dict[tuple[str, str], tuple[str, bool]] = {}
    groups = ask_cluster(endpoint, "/apis")["groups"]
    versions = ["v1", *(each["groupVersion"] for group in groups for each in group["versions"])]
    for version in versions:
        prefix = "/api/" if version == "v1" else "/apis/"
        for resource in ask_cluster(endpoint, prefix + version)["resources"]:
            if "/" not in resource["name"]:
                found[version, resource["kind"]] = (resource["name"], resource["namespaced"])
    return found


def _apply_one(
    endpoint: Endpoint,
    thing: dict[str, Any],
    plurals: dict[tuple[str, str], tuple[str, bool]],
    say: Report,
    namespace: str,
) -> None:
    version, kind = thing.get("apiVersion", ""), thing["kind"]
    metadata: dict[str, Any] = thing.get("metadata") or {}
    known = plurals.get((version, kind))
    name = metadata.get("name", "")
    if known is None:
        raise click.ClickException(f'{kind} {name}: no matches for kind "{kind}" in version "{version}" here')
    plural, is_namespaced = known
    prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    place = f"/namespaces/{metadata.get('namespace') or namespace}" if is_namespaced else ""
    path = f"{prefix}{place}/{plural}/{name}?fieldManager=forebay&force=true&fieldValidation=Strict"
    try:
        ask_cluster(
            endpoint,
            path,
            method="PATCH",
            body=msgspec.json.encode(thing),
            content_type="application/apply-patch+yaml",
            on_warning=lambda text: say(click.style(f"  Warning: {text}", fg="yellow")),
        )
    except click.ClickException as error:
        raise click.ClickException(f"{kind} {name}: {error.message}") from None
    say(f"  {kind.lower()}/{name} applied")
