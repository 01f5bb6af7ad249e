"""Building: what a function's folder needs beside its files before it runs, as `sam build` does it.

Python's requirements and Node.js' packages are installed into a copy of the folder, kept by the hash of what they were
made from. `BuildMethod: esbuild` and `makefile` run those tools where the machine has them. What needs a compiler of
its own is refused with what to do.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click

from forebay.core.errors import RuntimeFailure
from forebay.runtimes.interpreters import Interpreters

Report = Callable[[str], None]

_INSTALL_SECONDS_MAX = 600
_COMPILED = {
    "dotnet": ("*.csproj", "*.fsproj"),
    "java": ("pom.xml", "build.gradle", "build.gradle.kts"),
}
_COMPILED_METHODS = ("dotnet", "go1.x", "java", "ruby", "rust-cargolambda")


def build_folder(name: str, path: Path, properties: Mapping[str, Any], metadata: object, report: Report) -> Path:
    """Return the folder to be packed for a function or layer: `path` itself, or a copy that was built.

    Raises:
        click.ClickException: it cannot be built here; the text says what is missing.
    """
    details = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    method = details.get("BuildMethod")
    runtime = str(properties.get("Runtime") or method or "")
    if not path.is_dir():
        return path
    if method == "makefile":
        return _make(name, path, report)
    if method == "esbuild":
        return _esbuild(name, path, details.get("BuildProperties") or {}, report)
    _check_compiled(name, path, runtime, method)
    if runtime.startswith("python") and _has_text(path / "requirements.txt"):
        return _install_python(name, path, runtime, report, inside="python" if method else "")
    if runtime.startswith("nodejs") and _has_dependencies(path) and not (path / "node_modules").is_dir():
        return _install_node(name, path, report, inside="nodejs" if method else "")
    return path


def _check_compiled(name: str, path: Path, runtime: str, method: object) -> None:
    if isinstance(method, str) and method.startswith(_COMPILED_METHODS):
        raise click.ClickException(
            f"{name} is built with {method}, which Forebay does not run: build it with `sam build` and deploy "
            ".aws-sam/build/template.yaml."
        )
    for prefix, patterns in _COMPILED.items():
        if runtime.startswith(prefix) and any(next(path.glob(pattern), None) for pattern in patterns):
            raise click.ClickException(
                f"{name} ({runtime}) is source code that must be compiled: build it with `sam build` and deploy "
                ".aws-sam/build/template.yaml."
            )


def _has_text(file: Path) -> bool:
    if not file.is_file():
        return False
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def _has_dependencies(path: Path) -> bool:
    file = path / "package.json"
    if not file.is_file():
        return False
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from None
    return bool(described.get("dependencies"))


def _install_python(name: str, path: Path, runtime: str, report: Report, *, inside: str = "") -> Path:
    """Install requirements; `inside` is where in an archive a layer's packages are looked for."""
    python = _python_for(runtime)
    requirements = (path / "requirements.txt").read_bytes()

    def fill(folder: Path) -> None:
        report(f"Installing the requirements of {name}")
        _copy(path, folder / inside)
        # pip of this installation installs for whichever interpreter runs the function.
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
        command += [
            "--disable-pip-version-check",
            "--no-input",
            "--target",
            str(folder / inside),
            "-r",
            "requirements.txt",
        ]
        _run(command, path, f"The requirements of {name} cannot be installed")

    return _cached("python", [inside.encode(), python.encode(), requirements, *_contents(path)], fill)


def _python_for(runtime: str) -> str:
    try:
        return str(Interpreters().find(runtime).path)
    except RuntimeFailure:
        return sys.executable


def _install_node(name: str, path: Path, report: Report, *, inside: str = "") -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise click.ClickException(
            f"{name} has a package.json with dependencies, and there is no npm on this machine: install Node.js, or "
            f"run `npm install` in {path} elsewhere."
        )

    def fill(folder: Path) -> None:
        report(f"Installing the packages of {name}")
        _copy(path, folder / inside)
        has_lock = (path / "package-lock.json").is_file()
        command = [npm, "ci" if has_lock else "install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
        _run(command, folder / inside, f"The packages of {name} cannot be installed")

    return _cached("node", [inside.encode(), *_contents(path)], fill)


def _make(name: str, path: Path, report: Report) -> Path:
    make = shutil.which("make")
    if make is None:
        raise click.ClickException(f"{name} is built by a Makefile, and there is no make on this machine.")

    def fill(folder: Path) -> None:
        report(f"Building {name} with make")
        environment = {**os.environ, "ARTIFACTS_DIR": str(folder)}
        _run([make, f"build-{name}"], path, f"make build-{name} failed", environment)

    return _cached("make", [name.encode(), *_contents(path)], fill)


def _esbuild(name: str, path: Path, options: Mapping[str, Any], report: Report) -> Path:
    # Checked before anything is copied; a local installation serves as well as one on PATH.
    wants_install = _has_dependencies(path) and not (path / "node_modules").is_dir()
    source = _install_node(name, path, report) if wants_install else path
    local = source / "node_modules" / ".bin" / "esbuild"
    esbuild = str(local) if local.is_file() else shutil.which("esbuild")
    if esbuild is None:
        esbuild = _install_esbuild(name, path, report)
    entries = [str(entry) for entry in options.get("EntryPoints") or ["app.js"]]
    missing = [entry for entry in entries if not (source / entry).exists()]
    if missing:
        raise click.ClickException(f"{name}: the entry point {missing[0]} of its BuildProperties is not in {path}.")

    def fill(folder: Path) -> None:
        report(f"Bundling {name} with esbuild")
        command = [esbuild, *entries, "--bundle", "--platform=node", f"--outdir={folder}", "--log-level=error"]
        _run([*command, *_esbuild_options(options)], source, f"esbuild failed for {name}")

    return _cached("esbuild", [json.dumps(options, sort_keys=True).encode(), *_contents(path)], fill)


def _install_esbuild(name: str, path: Path, report: Report) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise click.ClickException(
            f"{name} is built with esbuild, and there is neither esbuild nor npm on this machine: install Node.js, or "
            f"add esbuild to {path / 'package.json'} and install its packages elsewhere."
        )

    def fill(folder: Path) -> None:
        report("Installing esbuild")
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", "esbuild"]
        _run(command, folder, "esbuild cannot be installed")

    return str(_cached("esbuild-itself", [], fill) / "node_modules" / ".bin" / "esbuild")


def _esbuild_options(options: Mapping[str, Any]) -> list[str]:
    arguments = [f"--format={options.get('Format', 'cjs')}", f"--target={str(options.get('Target', 'es2020')).lower()}"]
    if options.get("Minify", True):
        arguments.append("--minify")
    if options.get("Sourcemap"):
        arguments.append("--sourcemap")
    arguments += [f"--external:{item}" for item in options.get("External") or ["@aws-sdk/*"]]
    arguments += [f"--loader:{item}" for item in cast("list[str]", options.get("Loader") or [])]
    if options.get("MainFields"):
        arguments.append(f"--main-fields={options['MainFields']}")
    if options.get("OutExtension"):
        arguments += [f"--out-extension:{item}" for item in cast("list[str]", options["OutExtension"])]
    return arguments


def _run(command: Sequence[str], folder: Path, problem: str, environment: Mapping[str, str] | None = None) -> None:
    try:
        subprocess.run(  # noqa: S603  the user's own build, in the user's own folder
            command,
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS_MAX,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip()
        raise click.ClickException(f"{problem}:\n{said[-2000:]}") from None
    except subprocess.TimeoutExpired:
        raise click.ClickException(f"{problem}: it took more than {_INSTALL_SECONDS_MAX} seconds.") from None


def _contents(path: Path) -> list[bytes]:
    """Return what the build is made from: names and contents of the folder's files."""
    parts: list[bytes] = []
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if file.is_file() and "node_modules" not in relative.parts and "__pycache__" not in relative.parts:
            parts += [relative.as_posix().encode(), file.read_bytes()]
    return parts


def _copy(source: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".git", ".aws-sam", ".venv")
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)


def _cached(kind: str, made_from: Sequence[bytes], fill: Callable[[Path], None]) -> Path:
    """Return a built folder, kept by what it was made from; one that fails halfway is never taken for a whole one."""
    digest = hashlib.sha256()
    for part in made_from:
        digest.update(len(part).to_bytes(8, "big") + part)
    folder = _cache_folder() / f"{kind}-{digest.hexdigest()[:32]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        filled = Path(temporary) / "folder"
        filled.mkdir()
        fill(filled)
        try:
            filled.rename(folder)
        except OSError:
            # Another deploy of the same code was faster.
            if not folder.is_dir():
                raise
    return folder


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "forebay" / "builds"
