"""Triggers: where KEDA's scalers read, as far as they are known here, each with one metric and its target.

Source: KEDA's documentation of its scalers, and `../shared/reference/autoscaling.md`, 1.4 to 1.7. What is not in the
table is refused by name, so that nobody waits for a scaler that is not there.
"""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forebay.core.errors import ServiceError
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.scaling.cluster.authentication import Parameters
from forebay.scaling.cluster.external import ExternalClient
from forebay.scaling.cluster.kinds import EMPTY
from forebay.scaling.cluster.subject import Subject, TriggerFailed
from forebay.scaling.manifests.keda import MetricType, Trigger
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.keda_hpa import ExternalTarget
from forebay.scaling.policies.sqs_metric import UnreadableMetric, metric_name, read_sqs_trigger
from forebay.scaling.policies.unix_cron import parse_cron

_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Reading:
    """What a trigger says at a moment."""

    value: float
    is_active: bool


@dataclass(frozen=True)
class Scaler:
    """One trigger, ready to be read. Without a target it is cpu or memory, which the HPA reads by itself."""

    index: int
    trigger: Trigger
    target: ExternalTarget | None
    read: Callable[[], Awaitable[Reading]]

    @property
    def name(self) -> str:
        """How events and status call it."""
        return self.target.metric_name if self.target else f"s{self.index}-{self.trigger.type}"


class Triggers:
    """Makes scalers of triggers."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._external = ExternalClient()
        self._makers: Mapping[str, Callable[[_Context], Awaitable[Scaler]]] = {
            "aws-sqs-queue": self._sqs,
            "cron": self._cron,
            "cpu": self._resource,
            "memory": self._resource,
            "external": self._external_scaler,
            "external-push": self._external_scaler,
            "metrics-api": self._metrics_api,
            "prometheus": self._prometheus,
        }

    async def make(self, index: int, trigger: Trigger, subject: Subject, parameters: Parameters) -> Scaler:
        """Return the scaler of a trigger.

        Raises:
            InvalidManifest: its metadata does not fit, or its type is none that is known here.
            TriggerFailed: whoever it asks does not answer.
        """
        maker = self._makers.get(trigger.type)
        if maker is None:
            raise InvalidManifest(f"no scaler found for type: {trigger.type} (Forebay has {', '.join(self._makers)})")
        return await maker(_Context(index, trigger, subject, parameters))

    async def close(self) -> None:
        """Close connections."""
        await self._external.close()

    def follow_pushes(self, scaler: Scaler, subject: Subject, on_active: Callable[[], None]) -> Any:
        """Return a coroutine that calls `on_active` whenever an external-push scaler says that there is work."""
        return self._external.follow(scaler.trigger.metadata, subject, on_active)

    # --- aws-sqs-queue ---

    async def _sqs(self, context: "_Context") -> Scaler:
        trigger = read_sqs_trigger(context.trigger.metadata, context.subject.environment)
        if not trigger.aws_region:
            raise InvalidManifest("no awsRegion given")
        credentials = _aws_credentials(context)

        async def read() -> Reading:
            attributes = await self._queue_attributes(trigger.aws_endpoint, trigger.queue_url, trigger, credentials)
            try:
                value = trigger.value(attributes)
            except UnreadableMetric as error:
                raise TriggerFailed(str(error)) from None
            return Reading(value, trigger.is_active(value))

        return context.scaler(trigger.metric_name(context.index), trigger.target, read)

    async def _queue_attributes(
        self, endpoint: str, url: str, trigger: Any, credentials: Mapping[str, str]
    ) -> Mapping[str, str]:
        request = {"QueueUrl": url, "AttributeNames": list(trigger.attributes)}
        if endpoint and not self._is_own(endpoint):
            return await asyncio.to_thread(_ask_elsewhere, endpoint, trigger.aws_region, request, credentials)
        platform = self._platform
        account = _account_of(url) or credentials.get("account") or platform.config.account
        caller = new_caller(trigger.aws_region, account, platform.ids, platform.endpoint(), "keda")
        try:
            answer = await platform.table.run_params(caller, "sqs", "GetQueueAttributes", request)
        except ServiceError as error:
            raise TriggerFailed(f"error inspecting aws-queue: {error.code}: {error.message}") from None
        return answer.get("Attributes") or EMPTY

    def _is_own(self, endpoint: str) -> bool:
        return urlsplit(endpoint).port == urlsplit(self._platform.endpoint()).port and urlsplit(endpoint).hostname in {
            urlsplit(self._platform.endpoint()).hostname,
            "localhost",
            "127.0.0.1",
        }

    # --- cron, cpu and memory ---

    async def _cron(self, context: "_Context") -> Scaler:
        metadata = context.trigger.metadata
        for name in ("timezone", "start", "end", "desiredReplicas"):
            if not metadata.get(name):
                raise InvalidManifest(f"no {name} given")
        try:
            zone = ZoneInfo(metadata["timezone"])
        except (ZoneInfoNotFoundError, ValueError):
            raise InvalidManifest(f"unable to load timezone: unknown time zone {metadata['timezone']}") from None
        start, end = parse_cron(metadata["start"]), parse_cron(metadata["end"])
        if metadata["start"] == metadata["end"]:
            raise InvalidManifest("error parsing cron metadata: start and end can not have exactly same time input")
        replicas = _number(metadata, "desiredReplicas", None)

        async def read() -> Reading:
            now = datetime.fromtimestamp(self._platform.clock.now(), UTC).astimezone(zone)
            next_start, next_end = start.next_after(now), end.next_after(now)
            # Within the window the end comes before the next start (KEDA, `cron_scaler.go`).
            is_active = next_end is not None and (next_start is None or next_end < next_start)
            return Reading(replicas if is_active else 1, is_active)

        name = f"cron-{metadata['timezone']}-{_in_name(metadata['start'])}-{_in_name(metadata['end'])}"
        return context.scaler(metric_name(context.index, name), 1, read)

    async def _resource(self, context: "_Context") -> Scaler:
        if not context.trigger.metadata.get("value"):
            raise InvalidManifest(f"trigger {context.trigger.type}: value is required")

        async def read() -> Reading:
            return Reading(0, is_active=True)

        return Scaler(context.index, context.trigger, None, read)

    # --- external, metrics-api, prometheus ---

    async def _external_scaler(self, context: "_Context") -> Scaler:
        metadata = context.trigger.metadata
        if not metadata.get("scalerAddress"):
            raise InvalidManifest("scaler Address is a required field")
        name, target = await self._external.metric(metadata, context.subject)

        async def read() -> Reading:
            value, is_active = await self._external.read(metadata, context.subject, name)
            return Reading(value, is_active)

        return context.scaler(metric_name(context.index, name), target, read)

    async def _metrics_api(self, context: "_Context") -> Scaler:
        metadata = context.trigger.metadata
        for name in ("url", "valueLocation"):
            if not metadata.get(name):
                raise InvalidManifest(f"no {name} given in metadata")
        if metadata.get("format", "json") != "json":
            raise InvalidManifest(f"metrics-api: format {metadata['format']} is not supported here")
        target = _number(metadata, "targetValue", None)
        activation = _number(metadata, "activationTargetValue", 0)
        headers = _api_headers(metadata, context.parameters.values)

        async def read() -> Reading:
            document = await asyncio.to_thread(_get_json, metadata["url"], headers)
            value = _float(_dig(document, metadata["valueLocation"]), metadata["valueLocation"])
            return Reading(value, value > activation)

        name = f"metric-api-{_in_name(metadata['valueLocation'])}"
        return context.scaler(metric_name(context.index, name), target, read)

    async def _prometheus(self, context: "_Context") -> Scaler:
        metadata = context.trigger.metadata
        for name in ("serverAddress", "query"):
            if not metadata.get(name):
                raise InvalidManifest(f"no {name} given")
        target, activation = _number(metadata, "threshold", None), _number(metadata, "activationThreshold", 0)
        ignores = metadata.get("ignoreNullValues", "true") != "false"
        headers = _api_headers({"authMode": metadata.get("authModes", "")}, context.parameters.values)

        async def read() -> Reading:
            now = datetime.fromtimestamp(self._platform.clock.now(), UTC)
            query = {"query": metadata["query"], "time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            url = f"{metadata['serverAddress'].rstrip('/')}/api/v1/query?{urllib.parse.urlencode(query)}"
            value = _prometheus_value(await asyncio.to_thread(_get_json, url, headers), ignores=ignores)
            return Reading(value, value > activation)

        return context.scaler(metric_name(context.index, "prometheus"), target, read)


@dataclass(frozen=True)
class _Context:
    index: int
    trigger: Trigger
    subject: Subject
    parameters: Parameters

    def scaler(self, name: str, target: float, read: Callable[[], Awaitable[Reading]]) -> Scaler:
        kind: MetricType = self.trigger.metric_type or "AverageValue"
        if kind == "Utilization":
            raise InvalidManifest("metricType Utilization is only for cpu and memory")
        return Scaler(self.index, self.trigger, ExternalTarget(name, target, kind), read)


def _aws_credentials(context: _Context) -> Mapping[str, str]:
    """Return the keys that KEDA would sign with.

    Raises:
        InvalidManifest: none are given, in KEDA's words.
    """
    metadata, values, environment = (
        context.trigger.metadata,
        context.parameters.values,
        context.subject.environment,
    )
    if context.parameters.pod_identity or metadata.get("identityOwner") == "operator":
        return {}
    role = values.get("awsRoleArn")
    if role:
        parts = role.split(":")
        return {"account": parts[4] if len(parts) > 4 else ""}
    key = (
        values.get("awsAccessKeyID")
        or values.get("awsAccessKeyId")
        or environment.get(metadata.get("awsAccessKeyIDFromEnv", ""), "")
    )
    secret = values.get("awsSecretAccessKey") or environment.get(metadata.get("awsSecretAccessKeyFromEnv", ""), "")
    if not key:
        raise InvalidManifest("awsAccessKeyID not found")
    if not secret:
        raise InvalidManifest("awsSecretAccessKey not found")
    account = key if len(key) == 12 and key.isdecimal() else ""
    return {"key": key, "secret": secret, "token": values.get("awsSessionToken", ""), "account": account}


def _ask_elsewhere(
    endpoint: str, region: str, request: Mapping[str, Any], credentials: Mapping[str, str]
) -> Mapping[str, str]:
    import boto3  # noqa: PLC0415 - only for queues of another endpoint
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    keys = {}
    if credentials.get("key"):
        keys = {
            "aws_access_key_id": credentials["key"],
            "aws_secret_access_key": credentials["secret"],
            "aws_session_token": credentials.get("token") or None,
        }
    config = Config(connect_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS, retries={"total_max_attempts": 2})
    client = cast("Any", boto3).client("sqs", endpoint_url=endpoint, region_name=region, config=config, **keys)
    try:
        return client.get_queue_attributes(**request).get("Attributes") or EMPTY
    except (BotoCoreError, ClientError) as error:
        raise TriggerFailed(f"error inspecting aws-queue: {error}") from None


def _account_of(url: str) -> str:
    parts = urlsplit(url)
    segments = parts.path.split("/")
    return segments[1] if parts.scheme and parts.netloc and len(segments) > 2 else ""


def _api_headers(metadata: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    mode = metadata.get("authMode", "")
    if mode in {"", "none"}:
        return {}
    if mode == "bearer":
        return {"Authorization": f"Bearer {values.get('token') or values.get('bearerToken', '')}"}
    if mode == "apiKey" and metadata.get("method", "header") == "header":
        return {metadata.get("keyParamName") or "X-API-KEY": values.get("apiKey", "")}
    if mode == "basic":
        import base64  # noqa: PLC0415

        pair = f"{values.get('username', '')}:{values.get('password', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    raise InvalidManifest(f"authMode {mode} is not supported here")


def _get_json(url: str, headers: Mapping[str, str]) -> Any:
    if not url.startswith(("http://", "https://")):
        raise TriggerFailed(f"{url} is no http:// or https:// URL")
    request = urllib.request.Request(url, headers={"Accept": "application/json", **headers})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise TriggerFailed(f"{url}: api returned {error.code}") from None
    except (OSError, ValueError) as error:
        raise TriggerFailed(f"error requesting {url}: {error}") from None


def _dig(document: Any, path: str) -> Any:
    """Return the value at a path of gjson's dotted form (names and numbers)."""
    for part in path.split("."):
        if isinstance(document, list) and part.isdecimal() and int(part) < len(cast("list[Any]", document)):
            document = cast("list[Any]", document)[int(part)]
        elif isinstance(document, dict) and part in document:
            document = cast("dict[str, Any]", document)[part]
        else:
            raise TriggerFailed(f"valueLocation must point to value of type number or a string: {path} is not there")
    return document


def _float(value: Any, place: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TriggerFailed(f"valueLocation must point to value of type number or a string: {place}") from None


def _prometheus_value(document: Any, *, ignores: bool) -> float:
    whole = cast("dict[str, Any]", document) if isinstance(document, dict) else EMPTY
    results = cast("list[Any]", (whole.get("data") or EMPTY).get("result") or [])
    if not results:
        if ignores:
            return 0.0
        raise TriggerFailed("prometheus metrics 'prometheus' target may be lost, the result is empty")
    if len(results) > 1:
        raise TriggerFailed("prometheus query returned multiple elements")
    return _float(results[0]["value"][1], "result")


def _number(metadata: Mapping[str, str], name: str, default: float | None) -> float:
    text = metadata.get(name, "")
    if not text and default is not None:
        return default
    try:
        return float(text)
    except ValueError:
        raise InvalidManifest(f"unable to set param {name!r}: {text!r} is no number") from None


def _in_name(text: str) -> str:
    """Return text as metric names bear it (KEDA's `NormalizeString` and cron's spaces)."""
    return text.replace(" ", "").replace("*", "x").replace("/", "Sl").replace("?", "Qm")
