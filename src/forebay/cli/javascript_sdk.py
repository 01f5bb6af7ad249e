"""The AWS SDK for JavaScript, which Lambda's Node.js runtimes bring along and a machine does not have by itself.

What the functions of a template take of it and do not carry in their own `node_modules` is installed once into a
folder of the node, where functions find it as on Lambda: after everything of their own.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import click

Report = Callable[[str], None]

_INSTALL_SECONDS_MAX = 600
_NAMED = re.compile(r"""["'`](@aws-sdk/[a-z0-9.-]+|@smithy/[a-z0-9.-]+|aws-sdk)(?:/[^"'`]*)?["'`]""")
_SOURCES = {".js", ".mjs", ".cjs"}
# Version 2 is another package, and its last; of version 3 the newest fits every Node.js that functions run on.
_VERSIONS = {"aws-sdk": "2"}


def sdk_packages_of(source: str) -> set[str]:
    """Return the packages of the SDK that a source text names."""
    return set(_NAMED.findall(source))


def missing_sdk_packages(folder: Path) -> set[str]:
    """Return the packages of the SDK that a function's sources name and its folder does not hold."""
    files = [folder] if folder.is_file() else folder.rglob("*")
    named: set[str] = set()
    for file in files:
        is_source = file.suffix in _SOURCES and "node_modules" not in file.parts[len(folder.parts) :]
        if is_source and file.is_file():
            named |= sdk_packages_of(file.read_text(encoding="utf-8", errors="replace"))
    held = folder if folder.is_dir() else folder.parent
    return {name for name in named if not (held / "node_modules" / name).is_dir()}


def provide_sdk(packages: Collection[str], folder: Path | None, report: Report) -> str | None:
    """Install what is missing of `packages` in `folder`/node_modules; return what the user must do where that fails.

    Without a folder the node is not ours to install into.
    """
    missing = [name for name in sorted(packages) if folder is None or not (folder / "node_modules" / name).is_dir()]
    if not missing:
        return None
    wanted = [f"{name}@{_VERSIONS[name]}" if name in _VERSIONS else name for name in missing]
    where = "<data folder of the node>/runtimes" if folder is None else str(folder)
    npm = shutil.which("npm")
    if folder is None or npm is None:
        return (
            f"Functions use {', '.join(missing)}, which Lambda's runtimes bring along. If the node lacks it: "
            f"npm install --prefix {where} {' '.join(wanted)}"
        )
    report(f"Installing {', '.join(missing)} for Node.js functions, as Lambda's runtimes have it")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", *wanted]
    try:
        subprocess.run(  # noqa: S603 - the user's own npm
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS_MAX
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip()[-2000:]
        raise click.ClickException(f"{', '.join(missing)} cannot be installed:\n{said}") from None
    except subprocess.TimeoutExpired:
        text = f"Installing {', '.join(missing)} took more than {_INSTALL_SECONDS_MAX} seconds."
        raise click.ClickException(text) from None
    return None
