"""The gRPC server of the external scaler."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

# The node starts processes, none of which uses gRPC after the fork; without this each start prints a line.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import structlog

from forebay.core.errors import ConfigError
from forebay.scaling.external_scaler import external_scaler_pb2 as messages
from forebay.scaling.external_scaler.scaler import NoSuchQueue, Scaler, Watched
from forebay.scaling.manifests.problem import InvalidManifest

log = structlog.get_logger()

# grpcio has no types of its own.
_grpc: Any = grpc
_aio: Any = cast("Any", grpc).aio

_SERVICE = "externalscaler.ExternalScaler"
_DRAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Certificate:
    """PEM files of the server's certificate chain and private key."""

    chain: Path
    key: Path


@asynccontextmanager
async def serve(scaler: Scaler, host: str, port: int, certificate: Certificate | None) -> AsyncGenerator[int]:
    """Answer KEDA on a port while the context lasts; yields the port, which a given 0 lets the system choose.

    Raises:
        ConfigError: it cannot listen there.
    """
    server = _aio.server()
    server.add_generic_rpc_handlers((_grpc.method_handlers_generic_handler(_SERVICE, _handlers(_Answers(scaler))),))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if certificate is None:
            bound = server.add_insecure_port(address)
        else:
            pair = (certificate.key.read_bytes(), certificate.chain.read_bytes())
            bound = server.add_secure_port(address, _grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise ConfigError(f"The external scaler cannot listen on {address}: {error}") from error
    await server.start()
    log.info("external_scaler.serving", address=host, port=bound)
    try:
        yield bound
    finally:
        await server.stop(_DRAIN_SECONDS)


def _handlers(answers: "_Answers") -> dict[str, Any]:
    reference = messages.ScaledObjectRef.FromString
    return {
        "IsActive": _grpc.unary_unary_rpc_method_handler(
            answers.is_active, reference, messages.IsActiveResponse.SerializeToString
        ),
        "StreamIsActive": _grpc.unary_stream_rpc_method_handler(
            answers.stream_is_active, reference, messages.IsActiveResponse.SerializeToString
        ),
        "GetMetricSpec": _grpc.unary_unary_rpc_method_handler(
            answers.get_metric_spec, reference, messages.GetMetricSpecResponse.SerializeToString
        ),
        "GetMetrics": _grpc.unary_unary_rpc_method_handler(
            answers.get_metrics, messages.GetMetricsRequest.FromString, messages.GetMetricsResponse.SerializeToString
        ),
    }


class _Answers:
    """One method for each of the service; a trigger that does not fit is a status that KEDA shows its user."""

    def __init__(self, scaler: Scaler) -> None:
        self._scaler = scaler

    async def is_active(self, request: messages.ScaledObjectRef, context: Any) -> messages.IsActiveResponse:
        watched = await self._watch(request, context)
        return messages.IsActiveResponse(result=await watched.is_active())

    async def stream_is_active(
        self, request: messages.ScaledObjectRef, context: Any
    ) -> AsyncGenerator[messages.IsActiveResponse]:
        watched = await self._watch(request, context)
        async for is_active in watched.activity():
            yield messages.IsActiveResponse(result=is_active)

    async def get_metric_spec(self, request: messages.ScaledObjectRef, context: Any) -> messages.GetMetricSpecResponse:
        watched = await self._watch(request, context)
        target = watched.trigger.target
        spec = messages.MetricSpec(metricName=watched.metric_name, targetSize=target, targetSizeFloat=target)
        return messages.GetMetricSpecResponse(metricSpecs=[spec])

    async def get_metrics(self, request: messages.GetMetricsRequest, context: Any) -> messages.GetMetricsResponse:
        watched = await self._watch(request.scaledObjectRef, context)
        value = await watched.value()
        # KEDA asks by the name that it was told, or by none.
        told = messages.MetricValue(
            metricName=request.metricName or watched.metric_name, metricValue=value, metricValueFloat=value
        )
        return messages.GetMetricsResponse(metricValues=[told])

    async def _watch(self, reference: messages.ScaledObjectRef, context: Any) -> Watched:
        try:
            return await self._scaler.watch(dict(reference.scalerMetadata))
        except InvalidManifest as error:
            await context.abort(_grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except NoSuchQueue as error:
            await context.abort(_grpc.StatusCode.NOT_FOUND, str(error))
        raise AssertionError("abort raises")
