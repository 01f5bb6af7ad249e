"""Families of runtimes: how each kind of function is started. A new one is one more entry in `FAMILIES`."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from forebay.core.errors import RuntimeFailure
from forebay.runtimes.contract import FunctionSpec
from forebay.runtimes.environment import add_path, layer_paths
from forebay.runtimes.interpreters import Interpreters

_HERE = Path(__file__).parent


class Machine(Struct, frozen=True):
    """What this machine offers to functions.

    `python_client_dir` holds awslambdaric and boto3 and nothing else of ours; `node_modules_dir` is where an AWS SDK
    for JavaScript may be installed; `bytecode_dir` takes Python's compiled files, so that code folders stay clean.
    """

    interpreters: Interpreters
    python_client_dir: Path
    node_modules_dir: Path
    bytecode_dir: Path
    exact_runtimes: bool = False


class Command(Struct, frozen=True):
    """A program to start. `data_limited`: a limit on its data segment does not disturb it."""

    arguments: list[str]
    environment: dict[str, str]
    runtime_version: str
    data_limited: bool
    note: str = ""


class Family(Struct, frozen=True):
    """One kind of runtime: the names it answers to (by prefix), and how a function of it is started."""

    prefix: str
    command: Callable[[FunctionSpec, dict[str, str], Machine], Command]
    is_interpreted: bool = True


def check_runtime(runtime: str, machine: Machine) -> str:
    """Return the note of the interpreter that runs `runtime`. Raises RuntimeFailure like `command_for`."""
    if not _family_of(runtime).is_interpreted:
        return ""
    return machine.interpreters.find(runtime, strict=machine.exact_runtimes).note


def command_for(spec: FunctionSpec, environment: dict[str, str], machine: Machine) -> Command:
    """Return how to start a function. May run programs to look at them: call it off the event loop."""
    return _family_of(spec.runtime).command(spec, environment, machine)


def _family_of(runtime: str) -> Family:
    for family in FAMILIES:
        if runtime.startswith(family.prefix):
            return family
    supported = ", ".join(f"{family.prefix}*" for family in FAMILIES)
    raise RuntimeFailure(f"Runtime {runtime} cannot run here; supported: {supported}.")


def _python(spec: FunctionSpec, environment: dict[str, str], machine: Machine) -> Command:
    interpreter = machine.interpreters.find(spec.runtime, strict=machine.exact_runtimes)
    minor = ".".join(interpreter.version.split(".")[:2])
    paths = layer_paths(spec, f"python/lib/python{minor}/site-packages", "python")
    # Hashed, because a revision is any text.
    revision = hashlib.sha256(f"{spec.arn}\0{spec.revision}".encode()).hexdigest()[:32]
    bytecode_dir = machine.bytecode_dir / revision
    return Command(
        # Isolated (-I) and without site (-S): nothing of this installation is importable that is not handed over.
        arguments=[
            *(str(interpreter.path), "-I", "-S", "-X", "utf8", str(_HERE / "python" / "launch.py")),
            *(str(machine.python_client_dir), str(bytecode_dir), *paths),
        ],
        environment=environment,
        runtime_version=f"python:{interpreter.version}",
        data_limited=True,
        note=interpreter.note,
    )


def _node(spec: FunctionSpec, environment: dict[str, str], machine: Machine) -> Command:
    interpreter = machine.interpreters.find(spec.runtime, strict=machine.exact_runtimes)
    major = interpreter.version.split(".", 1)[0]
    shared = [str(machine.node_modules_dir)] if machine.node_modules_dir.is_dir() else []
    # Lambda's NODE_PATH ends with the function's own folder: inline code finds `cfn-response` there.
    paths = [
        *(*layer_paths(spec, f"nodejs/node{major}/node_modules", "nodejs/node_modules"), *shared),
        str(spec.code_dir),
    ]
    # Lambda leaves about a tenth of the memory to everything that is not the heap.
    heap_mb = max(spec.memory_mb * 9 // 10, 64)
    return Command(
        arguments=[
            *(str(interpreter.path), f"--max-old-space-size={heap_mb}"),
            *(str(_HERE / "node" / "bootstrap.mjs"), str(machine.node_modules_dir)),
        ],
        environment=add_path(environment, "NODE_PATH", paths),
        runtime_version=f"nodejs:{interpreter.version}",
        # V8 reserves far more than it uses, and some of it counts as data.
        data_limited=False,
        note=interpreter.note,
    )


def _provided(spec: FunctionSpec, environment: dict[str, str], machine: Machine) -> Command:  # noqa: ARG001 - same for all
    candidates = [spec.code_dir / "bootstrap", *(layer / "bootstrap" for layer in reversed(spec.layer_dirs))]
    for path in candidates:
        if path.is_file():
            return Command([str(path)], environment, spec.runtime.replace("provided.", "provided:"), data_limited=True)
    raise RuntimeFailure(f"Couldn't find valid bootstrap(s): [{' '.join(map(str, candidates))}]")


FAMILIES = (
    Family("python3.", _python),
    Family("nodejs", _node),
    Family("provided", _provided, is_interpreted=False),
)
