"""From a container's image to a command of this machine: by annotation, by the mapping file, or as the manifest says.

The mapping file (`--pod-images`) is YAML: image, or image without its tag, or a pattern such as `registry/*`, to what
stands for the image's entrypoint here: a list of words, or `command`, `workingDir` and `env`.
"""

import fnmatch
import json
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from forebay.core.errors import ConfigError, ForebayError
from forebay.scaling.cluster.kinds import EMPTY, Object
from forebay.scaling.cluster.objects import annotations_of

COMMAND = "forebay.dev/command"
WORKING_DIRECTORY = "forebay.dev/working-directory"
_VARIABLE = re.compile(r"\$(?:\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")


class NotRunnable(ForebayError):
    """A container cannot be started here; `reason` is what kubectl shows of it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Image:
    """What stands for an image on this machine."""

    command: Sequence[str] = ()
    working_directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def load_images(path: Path | None) -> Mapping[str, Image]:
    """Read the mapping file; relative folders in it count from where it lies.

    Raises:
        ConfigError: it cannot be read, or an entry has another form.
    """
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or EMPTY
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The image mapping {path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"The image mapping {path} is no mapping of images to commands.")
    entries = cast("Mapping[str, Any]", content)
    entries = cast("Mapping[str, Any]", entries.get("images", entries))
    return {str(image): _image(path, str(image), entry) for image, entry in entries.items()}


def _image(path: Path, name: str, entry: Any) -> Image:
    folder = path.resolve().parent
    if isinstance(entry, str):
        entry = shlex.split(entry)
    if isinstance(entry, list):
        return Image(tuple(str(word) for word in cast("list[Any]", entry)), folder)
    if not isinstance(entry, dict):
        raise ConfigError(f"The image mapping {path} has no command for {name}.")
    values = cast("Mapping[str, Any]", entry)
    unknown = set(values) - {"command", "workingDir", "env"}
    if unknown or "command" not in values:
        what = f"unknown fields {sorted(unknown)}" if unknown else "no command"
        raise ConfigError(f"The image mapping {path} has {what} for {name}.")
    command = values["command"]
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    environment = {str(key): str(value) for key, value in (values.get("env") or EMPTY).items()}
    return Image(tuple(words), folder / str(values.get("workingDir", ".")), environment)


def find_image(images: Mapping[str, Image], name: str) -> Image | None:
    """Return what stands for an image, or None."""
    bare = name.partition("@")[0]
    head, _, last = bare.rpartition("/")
    untagged = f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]
    for each in (name, bare, untagged):
        if each in images:
            return images[each]
    return next((image for pattern, image in images.items() if fnmatch.fnmatch(name, pattern)), None)


def command_of(
    pod: Object, container: Object, images: Mapping[str, Image], environment: Mapping[str, str]
) -> tuple[list[str], Path | None]:
    """Return the words that run a container here, and where.

    Raises:
        NotRunnable: nothing on this machine stands for it.
    """
    annotations, name = annotations_of(pod), container["name"]
    text = annotations.get(f"{COMMAND}.{name}") or annotations.get(COMMAND)
    image = find_image(images, str(container.get("image") or ""))
    args = [expand(str(word), environment) for word in container.get("args") or ()]
    if text is not None:
        words = _words(text)
    else:
        given = container.get("command") or (image.command if image else ())
        words = [expand(str(word), environment) for word in given] + args
    folder = annotations.get(WORKING_DIRECTORY) or container.get("workingDir")
    directory = Path(folder) if folder else image.working_directory if image else None
    if not words:
        raise NotRunnable(
            "ErrImagePull",
            f'image "{container.get("image")}" has no command on this machine: pods run as processes here; map the '
            f"image in --pod-images, or set the annotation {COMMAND}",
        )
    if directory is not None and not directory.is_dir():
        raise NotRunnable("CreateContainerError", f"the working directory {directory} is not on this machine")
    found = shutil.which(words[0], path=environment.get("PATH"))
    if found is None and directory is not None and (directory / words[0]).is_file():
        found = str(directory / words[0])
    if found is None:
        text = (
            f'exec: "{words[0]}": executable file not found in $PATH on this machine (image {container.get("image")})'
        )
        raise NotRunnable("RunContainerError", text)
    return [found, *words[1:]], directory


def _words(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            raise NotRunnable("InvalidImageName", f"the annotation {COMMAND} is no JSON list") from None
    return shlex.split(text)


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Put variables in the place of `$(NAME)`; what is not set stays, and `$$` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return _VARIABLE.sub(value, text)
