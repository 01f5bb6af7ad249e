r"""Reads objects in Kubernetes' protobuf form, which kubectl's `create` sends; answers stay JSON, which it reads, too.

An envelope (`k8s\0` and a `runtime.Unknown`) holds the kind and the object. The numbers of fields are data
(`protobuf_fields.json`); a number that is not there is refused, never passed over.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from forebay.scaling.cluster.kinds import EMPTY, Object
from forebay.scaling.cluster.objects import instant
from forebay.scaling.cluster.status import StatusError, bad_request

_MAGIC = b"k8s\0"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Parts of Go's structures that JSON does not show as members of their own.
_INLINE = frozenset({"handler", "probeHandler", "lifecycleHandler", "volumeSource", "localObjectReference"})
_MESSAGES = {
    ("v1", "Namespace"): "core.v1.Namespace",
    ("v1", "ConfigMap"): "core.v1.ConfigMap",
    ("v1", "Secret"): "core.v1.Secret",
    ("v1", "ServiceAccount"): "core.v1.ServiceAccount",
    ("v1", "Pod"): "core.v1.Pod",
    ("v1", "DeleteOptions"): "meta.v1.DeleteOptions",
    ("meta.k8s.io/v1", "DeleteOptions"): "meta.v1.DeleteOptions",
    ("apps/v1", "Deployment"): "apps.v1.Deployment",
    ("batch/v1", "Job"): "batch.v1.Job",
    ("policy/v1", "PodDisruptionBudget"): "policy.v1.PodDisruptionBudget",
    ("policy/v1", "Eviction"): "policy.v1.Eviction",
    ("scheduling.k8s.io/v1", "PriorityClass"): "scheduling.v1.PriorityClass",
    ("autoscaling/v1", "HorizontalPodAutoscaler"): "autoscaling.v1.HorizontalPodAutoscaler",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "autoscaling.v2.HorizontalPodAutoscaler",
}

Fields = Mapping[str, tuple[str, str]]


@cache
def _known() -> Mapping[str, Fields]:
    return json.loads((Path(__file__).parent / "protobuf_fields.json").read_text(encoding="utf-8"))


def read_protobuf(data: bytes) -> Object:
    """Return the object that an envelope holds.

    Raises:
        StatusError: it is none, or of a kind that is not read in this form.
    """
    if not data.startswith(_MAGIC):
        raise bad_request("the body of the request is no protobuf of Kubernetes")
    try:
        envelope = dict(_parts(data[len(_MAGIC) :]))
        head = dict(_parts(cast("bytes", envelope.get(1, b""))))
        kind = cast("bytes", head.get(1, b"")).decode(), cast("bytes", head.get(2, b"")).decode()
        message = _MESSAGES.get(kind)
        if message is None:
            text = f"{kind[1]} in version {kind[0]} is taken as JSON or YAML only"
            raise StatusError(415, "UnsupportedMediaType", text)
        thing = _message(message, cast("bytes", envelope.get(2, b"")))
    except (IndexError, UnicodeDecodeError, AttributeError) as error:
        raise bad_request(f"the protobuf in the body cannot be read: {error}") from None
    return {"apiVersion": kind[0], "kind": kind[1], **(thing or EMPTY)}


def _parts(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield a message's fields by number."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError("a field is longer than its message")
            yield number, data[at : at + size]
            at += size
        elif wire in {_FIXED64, _FIXED32}:
            size = 8 if wire == _FIXED64 else 4
            yield number, int.from_bytes(data[at : at + size], "little")
            at += size
        else:
            raise IndexError(f"wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _message(name: str, data: bytes) -> Any:
    """Return a message as JSON has it; what says nothing is left out."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special(dict(_parts(data)))
    fields = _known()[name]
    found: Object = {}
    for number, raw in _parts(data):
        field = fields.get(str(number))
        if field is None:
            raise bad_request(f"field {number} of {name} is not known in protobuf; send JSON or YAML")
        _put(found, field[0], field[1], raw)
    return found


def _put(found: Object, name: str, kind: str, raw: int | bytes) -> None:
    if kind == "ignored":
        return
    if kind.startswith("[]"):
        found.setdefault(name, []).append(_value(kind[2:], raw))
    elif kind.startswith("{}"):
        entry = dict(_parts(cast("bytes", raw)))
        key = cast("bytes", entry.get(1, b"")).decode()
        found.setdefault(name, {})[key] = _value(kind[2:], entry.get(2, b""))
    else:
        value = _value(kind, raw)
        if name in _INLINE and isinstance(value, dict):
            found.update(cast("Object", value))
        elif value is not None and value is not False and value not in ("", {}):
            # Go writes empty values of fields that are not set at all.
            found[name] = value


def _value(kind: str, raw: int | bytes) -> Any:
    match kind:
        case "string":
            return cast("bytes", raw).decode()
        case "bytes":
            return base64.b64encode(cast("bytes", raw)).decode()
        case "bool":
            return bool(raw)
        case "int":
            number = cast("int", raw)
            return number - (1 << 64) if number >= 1 << 63 else number
        case _:
            return _message(kind, cast("bytes", raw))


def _quantity(parts: Mapping[int, int | bytes]) -> str:
    return cast("bytes", parts.get(1, b"")).decode()


def _int_or_string(parts: Mapping[int, int | bytes]) -> int | str:
    if parts.get(1, 0) == 0:
        return _value("int", parts.get(2, 0))
    return cast("bytes", parts.get(3, b"")).decode()


def _time(parts: Mapping[int, int | bytes]) -> str | None:
    return instant(cast("int", parts[1])) if parts.get(1) else None


def _fields(parts: Mapping[int, int | bytes]) -> Object:
    return json.loads(cast("bytes", parts.get(1, b"{}")) or b"{}")


_SPECIAL = {
    "api.resource.Quantity": _quantity,
    "util.intstr.IntOrString": _int_or_string,
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _time,
    "meta.v1.FieldsV1": _fields,
}
