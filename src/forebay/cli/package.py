"""Packaging: the local files that a template names are zipped, stored and replaced by where they are now.

What `aws cloudformation package` and `sam build && sam package` do together. No network here: `put` stores one object
of the bucket, so the same code serves any client. Archives are the same bytes for the same files, so that what has
not changed is not deployed again.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import click
import msgspec

from forebay.cli.build import build_folder
from forebay.cli.javascript_sdk import missing_sdk_packages, sdk_packages_of
from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.registry import find_type, is_known_to_aws
from forebay.services.cloudformation.template.parsing import parse_template

Put = Callable[[str, bytes], None]
Report = Callable[[str], None]

# The earliest time that a zip archive can state.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = {".aws-sam", ".DS_Store", ".forebay", ".git", ".venv", "__pycache__"}
_REMOTE = ("s3://", "https://", "http://")
_NESTING_MAX = 5

# Property paths that name code, by type: the form of the answer is a URL, or an object with these members.
_CODE: Mapping[str, tuple[str, tuple[str, str] | None]] = {
    "AWS::Lambda::Function": ("Code", ("S3Bucket", "S3Key")),
    "AWS::Lambda::LayerVersion": ("Content", ("S3Bucket", "S3Key")),
    "AWS::Serverless::Function": ("CodeUri", None),
    "AWS::Serverless::LayerVersion": ("ContentUri", None),
}
_FILES: Mapping[str, tuple[str, tuple[str, str] | None]] = {
    "AWS::ApiGateway::RestApi": ("BodyS3Location", ("Bucket", "Key")),
    "AWS::ApiGatewayV2::Api": ("BodyS3Location", ("Bucket", "Key")),
    "AWS::Serverless::Api": ("DefinitionUri", None),
    "AWS::Serverless::HttpApi": ("DefinitionUri", None),
    "AWS::Serverless::StateMachine": ("DefinitionUri", None),
    "AWS::StepFunctions::StateMachine": ("DefinitionS3Location", ("Bucket", "Key")),
}
_TEMPLATES: Mapping[str, str] = {
    "AWS::CloudFormation::Stack": "TemplateURL",
    "AWS::Serverless::Application": "Location",
}


class Packaged(msgspec.Struct, frozen=True):
    """A template whose local files are stored; `notices` is what the user should know, `files` what was read.

    `sdk_packages` are those of the AWS SDK for JavaScript that functions take from their runtime.
    """

    template: str
    notices: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    sdk_packages: tuple[str, ...] = ()


def package(
    template: Path, put: Put, *, bucket: str, report: Report = lambda _line: None, any_type: bool = False
) -> Packaged:
    """Store what a template names locally in `bucket` and return the template that names it there, as JSON.

    `put(key, data)` stores one object. Dependencies of Python and Node.js functions are installed on the way. Unless
    `any_type`, a template with a resource type that Forebay does not have is refused before that.

    Raises:
        click.ClickException: a file is missing or cannot be built; the text names the resource and the file.
    """
    packer = _Packer(template, put, bucket, report, any_type=any_type)
    text = packer.template_text()
    return Packaged(text, tuple(packer.notices), tuple(sorted(packer.files)), tuple(sorted(packer.sdk_packages)))


class _Packer:
    """Packages one template file, and those nested in it."""

    def __init__(
        self, template: Path, put: Put, bucket: str, report: Report, *, any_type: bool, depth: int = 0
    ) -> None:
        self._template = template
        self._folder = template.resolve().parent
        self._put = put
        self._bucket = bucket
        self._report = report
        self._any_type = any_type
        self._depth = depth
        self.notices: list[str] = []
        self.files: set[str] = {str(template)}
        self.sdk_packages: set[str] = set()

    def template_text(self) -> str:
        """Return the packaged template."""
        try:
            raw = parse_template(self._template.read_text(encoding="utf-8"))
        except ServiceError as error:
            raise click.ClickException(f"{self._template}: {error.message}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{self._template} cannot be read: {error}") from None
        packaged = cast("dict[str, Any]", self._inclusions(raw))
        common = cast("dict[str, Any]", raw.get("Globals") or {})
        globals_ = cast("dict[str, Any]", common.get("Function") or {})
        resources = cast("dict[str, Any]", packaged.get("Resources") or {})
        if not self._any_type:
            _check_types(resources)
        for name, resource in resources.items():
            if isinstance(resource, dict):
                self._resource(name, cast("dict[str, Any]", resource), globals_)
        return json.dumps(packaged, indent=1)

    # --- resources ---

    def _resource(self, name: str, resource: dict[str, Any], globals_: Mapping[str, Any]) -> None:
        kind = str(resource.get("Type", ""))
        if kind in _CODE:
            self._code(name, kind, resource, globals_)
            return
        properties = cast("dict[str, Any]", resource.get("Properties") or {})
        if kind in _FILES:
            member, form = _FILES[kind]
            if _is_local(value := properties.get(member)):
                properties[member] = self._location(self._store_file(self._path(name, member, value)), form)
        elif kind in _TEMPLATES and _is_local(value := properties.get(_TEMPLATES[kind])):
            member = _TEMPLATES[kind]
            properties[member] = self._nested(self._path(name, member, value))

    def _code(self, name: str, kind: str, resource: dict[str, Any], globals_: Mapping[str, Any]) -> None:
        member, form = _CODE[kind]
        properties = cast("dict[str, Any]", resource.setdefault("Properties", {}))
        effective = {**globals_, **properties} if kind == "AWS::Serverless::Function" else properties
        value = effective.get(member)
        is_node = str(effective.get("Runtime", "")).startswith("nodejs")
        if is_node:
            self.sdk_packages |= sdk_packages_of(_inline_code(effective))
        if effective.get("PackageType") == "Image":
            return
        if value is None and kind == "AWS::Serverless::Function" and "InlineCode" not in properties:
            # SAM's own rule: a function without CodeUri is the folder of its template.
            value = "."
        if not _is_local(value):
            return
        path = self._path(name, member, value)
        built = build_folder(name, path, effective, resource.get("Metadata"), self._report)
        if is_node:
            self.sdk_packages |= missing_sdk_packages(built)
        properties[member] = self._location(self._store_archive(built), form)

    def _nested(self, path: Path) -> str:
        if self._depth == _NESTING_MAX:
            raise click.ClickException(f"{path}: templates are nested more than {_NESTING_MAX} deep.")
        nested = _Packer(path, self._put, self._bucket, self._report, any_type=self._any_type, depth=self._depth + 1)
        key = self._store(nested.template_text().encode(), ".template")
        self.notices += nested.notices
        self.files |= nested.files
        self.sdk_packages |= nested.sdk_packages
        # TemplateURL takes an HTTPS URL; CloudFormation reads bucket and key from it, not the host.
        return f"https://s3.amazonaws.com/{self._bucket}/{key}"

    def _inclusions(self, value: object) -> object:
        """Return a value with every `AWS::Include` of a local file pointing at where it is stored."""
        if isinstance(value, list):
            return [self._inclusions(item) for item in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, object]", value)
        result = {key: self._inclusions(item) for key, item in members.items()}
        for key in ("Fn::Transform", "Transform"):
            macro = result.get(key)
            if isinstance(macro, dict) and cast("dict[str, Any]", macro).get("Name") == "AWS::Include":
                parameters = cast("dict[str, Any]", cast("dict[str, Any]", macro).get("Parameters") or {})
                if _is_local(location := parameters.get("Location")):
                    path = self._path("AWS::Include", "Location", location)
                    parameters["Location"] = f"s3://{self._bucket}/{self._store_file(path)}"
        return result

    # --- storing ---

    def _path(self, name: str, member: str, value: object) -> Path:
        path = self._folder / str(value)
        if not path.exists():
            raise click.ClickException(f"{self._template}: {member} of {name} names {value}, and there is no {path}.")
        self.files.add(str(path))
        return path

    def _location(self, key: str, form: tuple[str, str] | None) -> object:
        if form is None:
            return f"s3://{self._bucket}/{key}"
        return {form[0]: self._bucket, form[1]: key}

    def _store_file(self, path: Path) -> str:
        if path.is_dir():
            raise click.ClickException(f"{path} is a folder where a file is expected.")
        return self._store(path.read_bytes(), path.suffix)

    def _store_archive(self, path: Path) -> str:
        if path.is_file() and zipfile.is_zipfile(path):
            return self._store(path.read_bytes(), path.suffix)
        return self._store(make_archive(path), ".zip")

    def _store(self, data: bytes, suffix: str) -> str:
        key = f"{hashlib.sha256(data).hexdigest()}{suffix}"
        self._put(key, data)
        return key


def _check_types(resources: Mapping[str, Any]) -> None:
    """Refuse types that no deploy can make, before anything is installed or built for them."""
    kinds = {str(cast("dict[str, Any]", item).get("Type")) for item in resources.values() if isinstance(item, dict)}
    missing = sorted(
        kind
        for kind in kinds
        # SAM's own are other types by the time that they are made.
        if not kind.startswith("AWS::Serverless::") and is_known_to_aws(kind) and find_type(kind) is None
    )
    if missing:
        raise click.ClickException(
            f"Resource types that Forebay does not have: [{', '.join(missing)}]. With --allow-ignored, a template is "
            "deployed without them."
        )


def _inline_code(properties: Mapping[str, Any]) -> str:
    code = properties.get("Code")
    inline = cast("dict[str, Any]", code).get("ZipFile") if isinstance(code, dict) else properties.get("InlineCode")
    return inline if isinstance(inline, str) else ""


def _is_local(value: object) -> bool:
    return isinstance(value, str) and not value.startswith(_REMOTE)


def make_archive(path: Path) -> bytes:
    """Return a zip archive of a file or folder: sorted, without times, so the same files give the same bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(_files(path)):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            # Executable or not is all that Lambda keeps of the mode.
            mode = 0o755 if file.stat().st_mode & 0o111 else 0o644
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return data.getvalue()


def _files(path: Path) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    found: list[tuple[str, Path]] = []
    for file in path.rglob("*"):
        relative = file.relative_to(path)
        if file.is_file() and not _LEFT_OUT & set(relative.parts):
            found.append((relative.as_posix(), file))
    return found
