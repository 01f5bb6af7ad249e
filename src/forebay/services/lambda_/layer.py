"""A layer's version as it is kept, and how functions find it."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn, partition_of
from forebay.operations.call import Call
from forebay.services.lambda_.errors import invalid
from forebay.services.lambda_.function import LayerUse, base64_digest, format_modified
from forebay.store.records import Kind, record_key

_VERSION_DIGITS = 10


class LayerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a layer; `code` is its archive's SHA-256 in hexadecimal."""

    account: str
    region: str
    name: str
    version: int
    code: str
    code_bytes: int
    created_at: float
    description: str = ""
    architectures: tuple[str, ...] | None = None
    runtimes: tuple[str, ...] | None = None
    license_info: str | None = None

    @property
    def layer_arn(self) -> str:
        """The ARN of the layer."""
        return f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:layer:{self.name}"

    @property
    def arn(self) -> str:
        """The ARN of this version."""
        return f"{self.layer_arn}:{self.version}"

    def show(self) -> api.LayerVersionsListItem:
        """Return the version as lists show it."""
        return api.LayerVersionsListItem(
            layer_version_arn=self.arn,
            version=self.version,
            description=self.description,
            created_date=format_modified(self.created_at),
            compatible_architectures=cast("Any", _list(self.architectures)),
            compatible_runtimes=cast("Any", _list(self.runtimes)),
            license_info=self.license_info,
        )

    def content(self, location: str) -> api.LayerVersionContentOutput:
        """Return where the archive can be fetched, and what it is."""
        return api.LayerVersionContentOutput(
            location=location, code_sha256=base64_digest(self.code), code_size=self.code_bytes
        )


class Layer(msgspec.Struct, frozen=True):
    """That a layer exists: its last version's number, which is never given twice."""

    last_version: int


LAYER = Kind("lambda.layer", Layer)
LAYER_VERSION = Kind("lambda.layer_version", LayerVersion)


def layer_key(account: str, region: str, name: str) -> str:
    """Return the key of a layer's record."""
    return record_key(account, region, name)


def layer_version_key(layer: str, version: int) -> str:
    """Return the key of a layer version's record."""
    return record_key(layer, str(version).zfill(_VERSION_DIGITS))


def find_by_arn(call: Call, arn: str) -> LayerVersion | None:
    """Return the layer version that an ARN names, or None."""
    try:
        parsed = Arn.parse(arn)
        _, name, version = parsed.resource.split(":")
        number = int(version)
    except ValueError:
        return None
    key = layer_version_key(layer_key(parsed.account, parsed.region, name), number)
    return call.reader.find(LAYER_VERSION, key)


def load_layer_uses(call: Call, arns: Sequence[str]) -> tuple[LayerUse, ...]:
    """Return the layers that a function is to use, in its order.

    Raises:
        InvalidParameterValueException: one does not exist, or two are versions of the same layer.
    """
    uses: list[LayerUse] = []
    names: set[str] = set()
    for arn in arns:
        layer = find_by_arn(call, arn)
        if layer is None:
            raise invalid(f"Layer version {arn} does not exist.{_elsewhere(call, arn)}")
        if layer.layer_arn in names:
            raise invalid(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{layer.arn}"
            )
        names.add(layer.layer_arn)
        uses.append(LayerUse(layer.arn, layer.code, layer.code_bytes))
    return tuple(uses)


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _elsewhere(call: Call, arn: str) -> str:
    """Say what to do about a layer of another account: AWS's public ones, for instance, are not on this node."""
    account = arn.split(":")[4] if arn.count(":") > 4 else call.account
    if account == call.account:
        return ""
    return f" Layers of account {account} are not on this node: publish the layer here and name the ARN it gets."
