"""Objects in Kubernetes' protobuf form, put together by hand."""

import pytest

from forebay.scaling.cluster.status import StatusError
from forebay.services.kubernetes.protobuf import read_protobuf


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def envelope(version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


def test_reads_maps_and_bytes() -> None:
    metadata = field(1, "keys") + field(2, "") + field(11, field(1, "app") + field(2, "web")) + field(8, b"")
    secret = field(1, metadata) + field(2, field(1, "a") + field(2, b"\x01\x02")) + field(3, "Opaque")
    assert read_protobuf(envelope("v1", "Secret", secret)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "labels": {"app": "web"}},
        "data": {"a": "AQI="},
        "type": "Opaque",
    }


def test_reads_what_go_writes_inline_and_numbers_of_either_sort() -> None:
    probe = field(1, field(2, field(1, "/up") + field(2, field(1, 0) + field(2, 8080)))) + field(4, 5)
    container = field(1, "main") + field(2, "any") + field(11, probe)
    pod = field(1, field(1, "web")) + field(2, field(2, container) + field(3, "Never"))
    spec = read_protobuf(envelope("v1", "Pod", pod))["spec"]
    assert spec["restartPolicy"] == "Never"
    (found,) = spec["containers"]
    assert found["readinessProbe"] == {"httpGet": {"path": "/up", "port": 8080}, "periodSeconds": 5}


def test_keeps_a_zero_that_is_meant() -> None:
    deployment = field(1, field(1, "web")) + field(2, field(1, 0) + field(7, 0))
    assert read_protobuf(envelope("apps/v1", "Deployment", deployment))["spec"] == {"replicas": 0}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{}", 400),
        (b"k8s\0\x0a", 400),
        (envelope("v1", "Service", b""), 415),
        (envelope("v1", "ConfigMap", field(15, 1)), 400),
    ],
)
def test_refuses_what_it_cannot_read(data: bytes, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        read_protobuf(data)
    assert caught.value.code == code
