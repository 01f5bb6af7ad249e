"""Archive policies of FIFO topics and replay policies of subscriptions: what they may say. Pure.

Source: developer guide, "Message archiving and replay for FIFO topics"; the texts of refusals are not known from AWS.
"""

import json
from datetime import datetime
from typing import Any, Literal, cast

import msgspec

from forebay.services.sns import limits
from forebay.services.sns.errors import invalid_parameter

ReplayStatus = Literal["Pending", "In progress", "Completed", "Failed"]


class ReplayWindow(msgspec.Struct, frozen=True):
    """From when on, and until when, messages are replayed; seconds since the epoch."""

    from_at: float
    until_at: float | None = None


class Replay(msgspec.Struct, frozen=True):
    """How far a replay to a subscription is; `replay_id` tells it from those before and after."""

    replay_id: str
    status: ReplayStatus = "Pending"

    @property
    def is_under_way(self) -> bool:
        """Whether messages are still being replayed."""
        return self.status in {"Pending", "In progress"}


def read_archive_policy(text: str) -> int:
    """Return for how many days a topic's messages are archived.

    Raises:
        InvalidParameter: the policy is none.
    """
    document = _parsed(text, "ArchivePolicy")
    days = document.get("MessageRetentionPeriod")
    number = int(days) if isinstance(days, str) and days.isdecimal() else days
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= limits.ARCHIVE_DAYS_MAX:
        raise invalid_parameter(
            f"ArchivePolicy: MessageRetentionPeriod must be between 1 and {limits.ARCHIVE_DAYS_MAX} days"
        )
    return number


def read_replay_policy(text: str) -> ReplayWindow:
    """Return what a subscription's replay policy asks for.

    Raises:
        InvalidParameter: the policy is none.
    """
    document = _parsed(text, "ReplayPolicy")
    if document.get("PointType") != "Timestamp":
        raise invalid_parameter("ReplayPolicy: PointType must be Timestamp")
    start = _time(document.get("StartingPoint"), "StartingPoint")
    if "EndingPoint" not in document:
        return ReplayWindow(start)
    end = _time(document["EndingPoint"], "EndingPoint")
    if end <= start:
        raise invalid_parameter("ReplayPolicy: EndingPoint must be later than StartingPoint")
    return ReplayWindow(start, end)


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_parameter(f"{name}: failed to parse JSON.")
    return cast("dict[str, Any]", document)


def _time(value: object, name: str) -> float:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid_parameter(f"ReplayPolicy: {name} must be a time like 2024-01-31T12:00:00.000Z")
    return moment.timestamp()
