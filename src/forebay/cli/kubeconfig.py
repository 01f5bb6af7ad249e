"""`forebay scale kubeconfig`: a kubeconfig for the local cluster, for kubectl and every other client of Kubernetes."""

import base64
import os
from pathlib import Path
from typing import Any

import click
import yaml

from forebay.cli.client import Endpoint, endpoint_options

_NAME = "forebay"


@click.command()
@click.option("--namespace", default="default", show_default=True, help="Namespace of the context.")
@click.option(
    "--certificate-authority",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of who signed the node's certificate, where the node speaks TLS.",
)
@endpoint_options
def kubeconfig(*, namespace: str, certificate_authority: Path | None, endpoint: str, region: str, account: str) -> None:
    """Print a kubeconfig: `forebay scale kubeconfig > kubeconfig`, then `KUBECONFIG=kubeconfig kubectl get pods`.

    A node with configured keys takes one of them as the token: the one of AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY is written.
    """
    url = Endpoint(endpoint, region, account).url
    cluster: dict[str, Any] = {"server": url}
    if certificate_authority is not None:
        cluster["certificate-authority-data"] = base64.b64encode(certificate_authority.read_bytes()).decode()
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    token = f"{key}:{secret}" if key and secret else "local"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": {"token": token}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": namespace}}],
        "current-context": _NAME,
    }
    click.echo(yaml.safe_dump(config, sort_keys=False), nl=False)
