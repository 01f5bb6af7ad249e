"""Domain: the events of a stack's history, and the command that appends them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from forebay.core.ids import Ids
from forebay.services.cloudformation.stack import (
    RETENTION_SECONDS,
    STACK_TYPE,
    Stack,
    StackEvent,
    StackResource,
    event_stream,
)
from forebay.store.commands import AppendLog, LogEntry


def stack_event(stack: Stack, at: float, ids: Ids, token: str | None = None) -> StackEvent:
    """Return the event that says what a stack's status is now."""
    return StackEvent(
        id=ids.uuid(),
        logical_id=stack.name,
        physical_id=stack.id,
        type=STACK_TYPE,
        status=stack.status,
        at=at,
        reason=stack.reason,
        token=token,
    )


def resource_event(resource: StackResource, token: str | None, physical_id: str | None = None) -> StackEvent:
    """Return the event that says what a resource's status is now."""
    at = datetime.fromtimestamp(resource.changed_at, UTC)
    moment = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    properties = resource.properties if resource.pending is None else resource.pending
    return StackEvent(
        id=f"{resource.logical_id}-{resource.status}-{moment}",
        logical_id=resource.logical_id,
        physical_id=physical_id if physical_id is not None else resource.physical_id or "",
        type=resource.type,
        status=resource.status,
        at=resource.changed_at,
        reason=resource.reason,
        properties=msgspec.json.encode(properties).decode() if properties else None,
        token=token,
    )


def append_events(uuid: str, events: Sequence[StackEvent]) -> AppendLog:
    """Return the command that adds events to a stack's history."""
    entries = tuple(
        LogEntry(int(event.at * 1000), msgspec.json.encode(event), int((event.at + RETENTION_SECONDS) * 1000))
        for event in events
    )
    return AppendLog(event_stream(uuid), entries)
