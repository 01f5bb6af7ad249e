"""KEDA's `aws-sqs-queue` trigger: which counters are read, and what they say.

Source: KEDA v2.20 `aws_sqs_queue_scaler.go`; `../shared/reference/autoscaling.md`, 1.4.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from forebay.scaling.manifests.problem import InvalidManifest

VISIBLE = "ApproximateNumberOfMessages"
IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
DELAYED = "ApproximateNumberOfMessagesDelayed"

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NOT_IN_NAMES = re.compile(r"[/.:%()]")


class UnreadableMetric(ValueError):
    """A counter is missing or is no whole number; the trigger has failed, not 0."""


class SqsTrigger(msgspec.Struct, frozen=True):
    """The metadata of an `aws-sqs-queue` trigger, read."""

    queue_url: str
    queue_name: str
    aws_region: str = ""
    aws_endpoint: str = ""
    target: int = 5
    activation: int = 0
    counts_in_flight: bool = True
    counts_delayed: bool = False

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that are asked for, in KEDA's order."""
        extra = ((IN_FLIGHT, self.counts_in_flight), (DELAYED, self.counts_delayed))
        return (VISIBLE, *(name for name, wanted in extra if wanted))

    def value(self, attributes: Mapping[str, str]) -> int:
        """Add up the counters.

        Raises:
            UnreadableMetric: one is missing, or no whole number of 64 bits.
        """
        return sum(_count(attributes, name) for name in self.attributes)

    def is_active(self, value: float) -> bool:
        """Tell whether a value wakes the workload: it must be above the threshold, not at it."""
        return value > self.activation

    def metric_name(self, index: int) -> str:
        """Return the name of the external metric of the trigger at a place in the list."""
        return metric_name(index, f"aws-sqs-{self.queue_name}")


def read_sqs_trigger(metadata: Mapping[str, str], environment: Mapping[str, str] | None = None) -> SqsTrigger:
    """Read a trigger's metadata; `environment` is that of the workload's container, for `queueURLFromEnv`.

    Raises:
        InvalidManifest: a field is missing or has a wrong value.
    """
    url = metadata.get("queueURL") or (environment or {}).get(metadata.get("queueURLFromEnv", ""), "")
    if not url:
        raise InvalidManifest("no queueURL given")
    return SqsTrigger(
        queue_url=url,
        queue_name=parse_queue_name(url),
        aws_region=metadata.get("awsRegion", ""),
        aws_endpoint=metadata.get("awsEndpoint", ""),
        target=_whole(metadata, "queueLength", 5),
        activation=_whole(metadata, "activationQueueLength", 0),
        counts_in_flight=_boolean(metadata, "scaleOnInFlight", default=True),
        counts_delayed=_boolean(metadata, "scaleOnDelayed", default=False),
    )


def parse_queue_name(queue_url: str) -> str:
    """Return the queue's name: the second of exactly two path segments of a URL, or a bare name itself.

    Raises:
        InvalidManifest: a URL of another form, in KEDA's words.
    """
    parts = urlsplit(queue_url)
    if not parts.scheme or not parts.netloc:
        return queue_url
    segments = parts.path.split("/")
    if len(segments) != 3 or not segments[2]:
        raise InvalidManifest("cannot get queueName from queueURL")
    return segments[2]


def metric_name(index: int, name: str) -> str:
    """Return the name of a trigger's external metric, with what Kubernetes does not take replaced."""
    return f"s{index}-{_NOT_IN_NAMES.sub('-', name)}"


def _count(attributes: Mapping[str, str], name: str) -> int:
    text = str(attributes.get(name, ""))
    if not re.fullmatch(r"[+-]?[0-9]+", text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise UnreadableMetric(f"{name} is no whole number: {text or 'missing'}")
    return int(text)


def _whole(metadata: Mapping[str, str], name: str, default: int) -> int:
    text = metadata.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise InvalidManifest(f"unable to set param {name!r}: {text!r} is no whole number")
    return int(text)


def _boolean(metadata: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = metadata.get(name, "")
    if not text:
        return default
    if text not in _TRUE | _FALSE:
        raise InvalidManifest(f"unable to set param {name!r}: {text!r} is neither true nor false")
    return text in _TRUE
