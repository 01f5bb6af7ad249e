"""A log group and the streams in it."""

from collections.abc import Mapping

import msgspec

from forebay.api import logs as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.logs.subscription_filter import SubscriptionFilter
from forebay.store.records import Kind, record_key

_DAY_MS = 24 * 3600 * 1000


class LogGroup(msgspec.Struct, frozen=True):
    """A log group as it is kept. Times are in milliseconds, as this service's are."""

    account: str
    region: str
    name: str
    created_at_ms: int
    retention_days: int | None = None
    group_class: api.LogGroupClass = "STANDARD"
    tags: Mapping[str, str] = {}
    # With the group, because every batch of events asks for them.
    subscriptions: tuple[SubscriptionFilter, ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN without the `:*` that stands for its streams."""
        return str(Arn.of("logs", self.region, self.account, f"log-group:{self.name}"))

    def expires_at_ms(self, at_ms: int) -> int | None:
        """Return when an event of a moment is dropped; None: it is kept."""
        return None if self.retention_days is None else at_ms + self.retention_days * _DAY_MS

    def oldest_ms(self, now_ms: int) -> int:
        """Return the earliest moment whose events are still kept."""
        return 0 if self.retention_days is None else max(0, now_ms - self.retention_days * _DAY_MS)

    def described(self) -> api.LogGroup:
        """Return it in AWS's form. Bytes are not counted: 0 is what AWS says until its first count."""
        return api.LogGroup(
            log_group_name=self.name,
            creation_time=self.created_at_ms,
            retention_in_days=self.retention_days,
            metric_filter_count=0,
            arn=f"{self.arn}:*",
            stored_bytes=0,
            log_group_class=self.group_class,
            log_group_arn=self.arn,
        )


class LogStream(msgspec.Struct, frozen=True):
    """A log stream as it is kept; its events are in the store's log `log_name`."""

    account: str
    region: str
    group: str
    name: str
    created_at_ms: int

    @property
    def arn(self) -> str:
        """Its ARN."""
        return str(Arn.of("logs", self.region, self.account, f"log-group:{self.group}:log-stream:{self.name}"))

    @property
    def log_name(self) -> str:
        """The stream of the store's log that holds its events."""
        return log_name(self.account, self.region, self.group, self.name)


LOG_GROUP = Kind("logs.group", LogGroup)
"""Records under account, region and name."""

LOG_STREAM = Kind("logs.stream", LogStream)
"""Records under account, region, group and name."""


def log_name(account: str, region: str, group: str, stream: str) -> str:
    """Return the store's name of a stream: neither group nor stream can contain a colon."""
    return f"logs/{account}/{region}/{group}:{stream}"


def group_key(call: Call, name: str) -> str:
    """Return the key of a group of the caller's account and region."""
    return record_key(call.account, call.region, name)


def stream_key(call: Call, group: str, name: str) -> str:
    """Return the key of a stream of the caller's account and region."""
    return record_key(call.account, call.region, group, name)


def load_group(call: Call, name: str) -> LogGroup:
    """Return a group of the caller's account and region.

    Raises:
        ResourceNotFoundException: there is none.
    """
    return checked_group(call.reader.find(LOG_GROUP, group_key(call, name)))


def checked_group(group: LogGroup | None) -> LogGroup:
    """Return a group that was found.

    Raises:
        ResourceNotFoundException: none was.
    """
    if group is None:
        raise api.ResourceNotFoundException("The specified log group does not exist.")
    return group


def load_stream(call: Call, group: str, name: str) -> LogStream:
    """Return a stream of a group of the caller's account and region.

    Raises:
        ResourceNotFoundException: there is none.
    """
    return checked_stream(call.reader.find(LOG_STREAM, stream_key(call, group, name)))


def checked_stream(stream: LogStream | None) -> LogStream:
    """Return a stream that was found.

    Raises:
        ResourceNotFoundException: none was.
    """
    if stream is None:
        raise api.ResourceNotFoundException("The specified log stream does not exist.")
    return stream


def group_name(name: str | None, identifier: str | None) -> str:
    """Return the group that a request names, by its name or ARN.

    Raises:
        InvalidParameterException: it names none, or two.
    """
    if (name is None) == (identifier is None):
        raise api.InvalidParameterException("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    if identifier is None or not identifier.startswith("arn:"):
        return name or identifier or ""
    return name_of_arn(identifier)


def name_of_arn(arn: str) -> str:
    """Return the name in a group's ARN.

    Raises:
        InvalidParameterException: it is not a group's ARN.
    """
    parts = arn.split(":")
    if len(parts) < 7 or parts[2] != "logs" or parts[5] != "log-group":
        raise api.InvalidParameterException(f"The specified ARN is not valid: {arn}")
    return parts[6]
