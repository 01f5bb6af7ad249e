"""The environment a function sees: Lambda's documented variables, the function's own, and nothing of ours.

Source: "Defined runtime environment variables" in the Lambda developer guide. Layers cannot be mounted at `/opt`,
so the paths that Lambda would search below `/opt` are given by variables instead.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from forebay.runtimes.contract import FunctionSpec, Launch

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def function_environment(launch: Launch, *, private_tmp: Path, tmp_is_mounted: bool) -> dict[str, str]:
    """Return every variable of one instance, except what its runtime's family adds."""
    spec = launch.spec
    # A function may replace these, as on Lambda; the reserved ones below always win.
    replaceable = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": _joined(_layers(spec, "bin"), _SYSTEM_PATH),
        "LD_LIBRARY_PATH": _joined([str(spec.code_dir), str(spec.code_dir / "lib"), *_layers(spec, "lib")]),
        # Lambda sets no HOME; without one, SDKs would look up the node owner's ~/.aws and use it.
        "HOME": "/tmp" if tmp_is_mounted else str(private_tmp),  # noqa: S108 - the function's own mount
    }
    if not tmp_is_mounted:
        replaceable["TMPDIR"] = str(private_tmp)
    return {**replaceable, **spec.environment, **_reserved(launch)}


def layer_paths(spec: FunctionSpec, *folders: str) -> list[str]:
    """Return the named folders of the function's layers; a later layer hides an earlier one, as in Lambda's merge."""
    return [path for folder in folders for path in _layers(spec, folder)]


def add_path(environment: Mapping[str, str], name: str, paths: Iterable[str]) -> dict[str, str]:
    """Return `environment` with `paths` behind what the path variable `name` already holds."""
    present = environment.get(name, "")
    return {**environment, name: _joined([present] if present else [], *paths)}


def _reserved(launch: Launch) -> dict[str, str]:
    spec = launch.spec
    reserved = {
        "_HANDLER": spec.handler,
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": launch.log_stream,
        "AWS_LAMBDA_RUNTIME_API": launch.api_address,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LAMBDA_TASK_ROOT": str(spec.code_dir),
        "LAMBDA_RUNTIME_DIR": str(Path(__file__).parent),
    }
    if not spec.runtime.startswith("provided"):
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{spec.runtime}"
    if spec.log_format == "JSON":
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
    if spec.log_level:
        reserved["AWS_LAMBDA_LOG_LEVEL"] = spec.log_level
    return reserved


def _layers(spec: FunctionSpec, folder: str) -> list[str]:
    return [str(layer / folder) for layer in reversed(spec.layer_dirs) if (layer / folder).is_dir()]


def _joined(paths: Iterable[str], *more: str) -> str:
    return ":".join([*paths, *more])
