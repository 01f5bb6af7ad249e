"""Become a Python function: give it Lambda's import path and run AWS's own runtime interface client.

Run as a script by whichever interpreter a function gets (3.9 or newer), isolated and without `site`:
    launch.py client-dir bytecode-dir layer-path...
Imports nothing of Forebay, and stays in this process: no second exec on a cold start.
"""

# ruff: noqa: INP001 - a script that runs inside functions, not a module of Forebay
# ruff: noqa: PLC0415 - the import path is set before what is imported over it
# ruff: noqa: PTH118, PTH120 - importing pathlib would cost every cold start 5 ms

from __future__ import annotations

import os
import sys
from importlib import _bootstrap_external  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main() -> None:
    """Prepare the process and hand it to awslambdaric."""
    client_dir, bytecode_dir, *layer_paths = sys.argv[1:]
    here = os.path.dirname(__file__)
    task_root = os.environ["LAMBDA_TASK_ROOT"]
    # Lambda's order: the function, its layers, the standard library, and last what the platform brings along, so
    # that a function's own boto3 wins. The pure-Python stand-in for awslambdaric's native part comes after all.
    own_paths = [task_root, *layer_paths, *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    standard_paths = [path for path in sys.path if path and path != here]
    sys.path[:] = [*own_paths, *standard_paths, client_dir, os.path.join(here, "stand_in")]
    os.environ["PYTHONPATH"] = ":".join([*own_paths, client_dir])
    _add_site_builtins()
    _keep_bytecode_apart([task_root, *layer_paths], bytecode_dir)

    _speak_plainly_to_the_node()

    from awslambdaric.__main__ import main as run  # pyright: ignore[reportUnknownVariableType]

    run(["awslambdaric", os.environ["_HANDLER"]])


def _add_site_builtins() -> None:
    """Add `exit`, `quit` and `help`, which scripts expect and `site` would add."""
    import site

    site.setquit()
    site.sethelper()


def _speak_plainly_to_the_node() -> None:
    """Have HTTPS connections to the node's own port go without TLS, where the node has none.

    Custom resources answer by HTTPS whatever their URL says: on AWS it never is anything else.
    """
    scheme, _, rest = os.environ.get("AWS_ENDPOINT_URL", "").partition("://")
    host, _, port = rest.split("/", 1)[0].rpartition(":")
    if scheme == "http" and port.isdecimal():
        # Most functions never import it, and it is slow to.
        sys.meta_path.insert(0, _HttpClientFinder(host.strip("[]"), int(port)))


class _HttpClientFinder:
    """Changes `http.client` as it is imported."""

    def __init__(self, host: str, port: int) -> None:
        self._node = (host, port)

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> Any:
        """Find `http.client` where it is, with a loader that also changes it."""
        if name != "http.client":
            return None
        sys.meta_path.remove(self)
        spec: Any = _bootstrap_external.PathFinder.find_spec(name, path)
        execute, node = spec.loader.exec_module, self._node

        def exec_module(module: Any) -> None:
            execute(module)
            through_tls = module.HTTPSConnection.connect

            def connect(connection: Any) -> None:
                is_node = (connection.host, connection.port) == node
                (module.HTTPConnection.connect if is_node else through_tls)(connection)

            module.HTTPSConnection.connect = connect

        spec.loader.exec_module = exec_module
        return spec


def _keep_bytecode_apart(roots: list[str], bytecode_dir: str) -> None:
    """Write compiled files of the function's code to `bytecode_dir`; everything else keeps its usual place.

    `sys.pycache_prefix` alone would move all of them, so that a first start compiled the standard library and boto3.
    """
    usual: Callable[..., str] = _bootstrap_external.cache_from_source  # pyright: ignore[reportUnknownMemberType]
    prefixes = tuple(root.rstrip("/") + "/" for root in roots)

    def cache_from_source(path: str, *args: object, **kwargs: object) -> str:
        if not str(path).startswith(prefixes):
            return usual(path, *args, **kwargs)
        sys.pycache_prefix = bytecode_dir
        try:
            return usual(path, *args, **kwargs)
        finally:
            sys.pycache_prefix = None

    _bootstrap_external.cache_from_source = cache_from_source


if __name__ == "__main__":
    main()
