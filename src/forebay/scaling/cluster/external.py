"""The client side of KEDA's external scalers: gRPC, polled and pushed. grpcio is an extra; without it, it is named."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from forebay.scaling.cluster.subject import Subject, TriggerFailed
from forebay.scaling.manifests.problem import InvalidManifest

_TIMEOUT_SECONDS = 5.0
# KEDA's back-off of the push stream.
_RETRY_SECONDS = 2.0
_RETRY_SECONDS_MAX = 60.0
_SERVICE = "/externalscaler.ExternalScaler/"


class ExternalClient:
    """Asks external scalers; one channel for each address."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}

    async def metric(self, metadata: Mapping[str, str], subject: Subject) -> tuple[str, float]:
        """Return the name and target of a scaler's metric."""
        grpc, messages = _modules()
        answer = await self._call(
            grpc, metadata, "GetMetricSpec", _reference(messages, metadata, subject), "GetMetricSpecResponse"
        )
        if not answer.metricSpecs:
            raise TriggerFailed("the external scaler has no metric")
        spec = answer.metricSpecs[0]
        return spec.metricName, float(getattr(spec, "targetSizeFloat", 0) or spec.targetSize)

    async def read(self, metadata: Mapping[str, str], subject: Subject, name: str) -> tuple[float, bool]:
        """Return a scaler's value, and whether there is work."""
        grpc, messages = _modules()
        reference = _reference(messages, metadata, subject)
        request = messages.GetMetricsRequest(scaledObjectRef=reference, metricName=name)
        values = await self._call(grpc, metadata, "GetMetrics", request, "GetMetricsResponse")
        active = await self._call(grpc, metadata, "IsActive", reference, "IsActiveResponse")
        found = next(iter(values.metricValues), None)
        if found is None:
            raise TriggerFailed(f"the external scaler has no value for {name}")
        return float(getattr(found, "metricValueFloat", 0) or found.metricValue), bool(active.result)

    async def follow(self, metadata: Mapping[str, str], subject: Subject, on_active: Callable[[], None]) -> None:
        """Call `on_active` each time that a scaler pushes that there is work; without end."""
        grpc, messages = _modules()
        retry_seconds = _RETRY_SECONDS
        while True:
            with suppress(grpc.aio.AioRpcError):
                stream = self._channel(grpc, metadata).unary_stream(
                    _SERVICE + "StreamIsActive",
                    request_serializer=_bytes_of,
                    response_deserializer=messages.IsActiveResponse.FromString,
                )
                async for answer in stream(_reference(messages, metadata, subject)):
                    retry_seconds = _RETRY_SECONDS
                    if answer.result:
                        on_active()
            await asyncio.sleep(retry_seconds)
            retry_seconds = min(retry_seconds * 2, _RETRY_SECONDS_MAX)

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def _call(self, grpc: Any, metadata: Mapping[str, str], method: str, request: Any, answer: str) -> Any:
        _, messages = _modules()
        call = self._channel(grpc, metadata).unary_unary(
            _SERVICE + method,
            request_serializer=_bytes_of,
            response_deserializer=getattr(messages, answer).FromString,
        )
        try:
            return await call(request, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise TriggerFailed(f"error calling external scaler {method}: {error.details()}") from None

    def _channel(self, grpc: Any, metadata: Mapping[str, str]) -> Any:
        address = metadata["scalerAddress"]
        if metadata.get("enableTLS") == "true":
            raise InvalidManifest("external: enableTLS is not supported here")
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address)
        return self._channels[address]


def _bytes_of(message: Any) -> bytes:
    return message.SerializeToString()


def _modules() -> tuple[Any, Any]:
    try:
        import grpc  # noqa: PLC0415 - an extra
        import grpc.aio  # noqa: PLC0415 # pyright: ignore[reportUnusedImport]

        from forebay.scaling.external_scaler import external_scaler_pb2 as messages  # noqa: PLC0415
    except ImportError:
        raise InvalidManifest("external scalers need grpcio: pip install 'forebay[kubernetes]'") from None
    return cast("Any", grpc), cast("Any", messages)


def _reference(messages: Any, metadata: Mapping[str, str], subject: Subject) -> Any:
    values = dict(metadata)
    for name in [each for each in values if each.endswith("FromEnv")]:
        values[name.removesuffix("FromEnv")] = subject.environment.get(values[name], "")
    return messages.ScaledObjectRef(name=subject.name, namespace=subject.namespace, scalerMetadata=values)
