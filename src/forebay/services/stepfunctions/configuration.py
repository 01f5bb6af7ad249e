"""What a state machine is told beside its definition: logging, tracing, encryption, and its tags. Pure rules."""

import re
from collections.abc import Iterable, Mapping

from forebay.api import stepfunctions as api
from forebay.core.arn import Arn
from forebay.services.stepfunctions import limits

NO_LOGGING = api.LoggingConfiguration(level="OFF", include_execution_data=False)
NO_TRACING = api.TracingConfiguration(enabled=False)
AWS_KEY = api.EncryptionConfiguration(type="AWS_OWNED_KEY")

_DATA_KEY_SECONDS = 300
_KEY = re.compile(
    r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key/[0-9a-fA-F-]+|key/mrk-[0-9a-f]+|alias/[\w/-]+))"
    r"|alias/[\w/-]+|mrk-[0-9a-f]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


def logging_of(given: api.LoggingConfiguration | None) -> api.LoggingConfiguration:
    """Return a logging configuration with its defaults.

    Raises:
        InvalidLoggingConfiguration: it names no destination, several, or one that is no log group.
    """
    if given is None:
        return NO_LOGGING
    level = given.level or "OFF"
    destinations = given.destinations or []
    named = [each for each in destinations if _group_arn(each)]
    if len(destinations) > 1 or len(named) < len(destinations) or (level != "OFF" and not destinations):
        raise api.InvalidLoggingConfiguration(
            "Invalid Logging Configuration: Must specify exactly one Log Destination."
        )
    for destination in destinations:
        _check_destination(destination)
    return api.LoggingConfiguration(
        level=level,
        include_execution_data=given.include_execution_data or False,
        destinations=destinations or None,
    )


def tracing_of(given: api.TracingConfiguration | None) -> api.TracingConfiguration:
    """Return a tracing configuration with its default."""
    return NO_TRACING if given is None else api.TracingConfiguration(enabled=given.enabled or False)


def encryption_of(given: api.EncryptionConfiguration | None) -> api.EncryptionConfiguration:
    """Return an encryption configuration with its defaults.

    Raises:
        InvalidEncryptionConfiguration: a key is missing, or named where AWS's own is used.
    """
    if given is None:
        return AWS_KEY
    if given.type == "AWS_OWNED_KEY":
        if given.kms_key_id is not None or given.kms_data_key_reuse_period_seconds is not None:
            raise api.InvalidEncryptionConfiguration(
                "Invalid Encryption Configuration: kmsKeyId and kmsDataKeyReusePeriodSeconds "
                "must not be specified for AWS_OWNED_KEY."
            )
        return given
    if given.kms_key_id is None or _KEY.fullmatch(given.kms_key_id) is None:
        raise api.InvalidEncryptionConfiguration("Invalid Encryption Configuration: kmsKeyId is not a valid KMS key.")
    period_seconds = given.kms_data_key_reuse_period_seconds or _DATA_KEY_SECONDS
    return api.EncryptionConfiguration(
        type=given.type, kms_key_id=given.kms_key_id, kms_data_key_reuse_period_seconds=period_seconds
    )


def log_group_of(logging: api.LoggingConfiguration) -> Arn | None:
    """Return the ARN of the log group that executions log to, or None where they do not log."""
    if logging.level in {None, "OFF"} or not logging.destinations:
        return None
    group = logging.destinations[0].cloud_watch_logs_log_group
    return None if group is None or group.log_group_arn is None else Arn.parse(group.log_group_arn)


def tags_of(tags: Iterable[api.Tag] | None) -> dict[str, str]:
    """Return tags as a map.

    Raises:
        TooManyTags: they are more than a resource can have.
    """
    return merged_tags({}, tags or ())


def merged_tags(tags: Mapping[str, str], added: Iterable[api.Tag]) -> dict[str, str]:
    """Return tags with others set.

    Raises:
        TooManyTags: they are more than a resource can have then.
    """
    merged = {**tags, **{tag.key or "": tag.value or "" for tag in added}}
    if len(merged) > limits.TAGS_MAX:
        raise api.TooManyTags(f"The number of tags exceeds the limit of {limits.TAGS_MAX}.")
    return merged


def _group_arn(destination: api.LogDestination) -> str:
    group = destination.cloud_watch_logs_log_group
    return "" if group is None else group.log_group_arn or ""


def _check_destination(destination: api.LogDestination) -> None:
    try:
        arn = Arn.parse(_group_arn(destination))
    except ValueError:
        arn = None
    # The ARN ends in ":*" ("CloudWatchLogsLogGroup"): a delivery writes to any stream of the group.
    if (
        arn is None
        or arn.service != "logs"
        or not arn.resource.startswith("log-group:")
        or not arn.resource.endswith(":*")
    ):
        raise api.InvalidLoggingConfiguration(
            "Invalid Logging Configuration: Log Destination is not a valid CloudWatch Logs log group ARN."
        )
