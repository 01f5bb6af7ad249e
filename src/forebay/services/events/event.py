"""An event on its way: the envelope that EventBridge puts around what a caller sent, as JSON text and as a document."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.services.events import limits

# The words for a member that is absent; EventBridge fails the entry, not the request.
_REQUIRED = "Parameter {name} is not valid. Reason: {name} is a required argument."
_OWN_SOURCE = "aws."
REPLAY_NAME = "replay-name"
"""The member by which rules and targets tell a replayed event."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """An event in the form in which rules see it and targets receive it; the order of members is AWS's."""

    version: str
    id: str
    detail_type: str = msgspec.field(name="detail-type")
    source: str
    account: str
    time: str
    region: str
    resources: Sequence[str]
    detail: msgspec.Raw


class Event(msgspec.Struct, frozen=True):
    """One event on one bus. `document` is `text` decoded; `at` is when it came in, seconds since the epoch.

    `is_forwarded`: it came from another bus through a rule, and goes to no further bus. `replay` names the replay that
    has put it on the bus again.
    """

    event_id: str
    text: str
    document: Mapping[str, Any]
    at: float
    trace_header: str | None = None
    is_forwarded: bool = False
    replay: str | None = None


class Detail(msgspec.Struct, frozen=True, gc=False):
    """An event's detail as a document, and as its own text without spaces: numbers stay as they were written."""

    document: Mapping[str, Any]
    text: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """Why an entry of PutEvents is not taken."""

    code: str
    message: str


class Origin(msgspec.Struct, frozen=True):
    """What an envelope says of where its event came from."""

    event_id: str
    account: str
    region: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_document = msgspec.json.Decoder(dict[str, Any]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def check_entry(entry: api.PutEventsRequestEntry) -> Failure | None:
    """Return why an entry cannot be taken, apart from its detail's JSON."""
    if not entry.source:
        return Failure("InvalidArgument", _REQUIRED.format(name="Source"))
    if not entry.detail_type:
        return Failure("InvalidArgument", _REQUIRED.format(name="DetailType"))
    if not entry.detail:
        return Failure("InvalidArgument", _REQUIRED.format(name="Detail"))
    if len(entry.detail_type) > limits.DETAIL_TYPE_CHARACTERS_MAX:
        # The limit is AWS's ("Free-form string, with a maximum of 128 characters"), the reason's wording is ours.
        return Failure("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is too long.")
    if entry.source.startswith(_OWN_SOURCE):
        return Failure("NotAuthorizedForSourceException", "Not authorized for the source.")
    return None


def read_detail(text: str) -> Detail | None:
    """Return an event's detail, or None where it is no JSON object, or nested more deeply than can be read."""
    try:
        return Detail(_decode_document(text), msgspec.Raw(msgspec.json.format(text, indent=-1).encode()))
    except _UNREADABLE:
        return None


def read_document(text: str) -> dict[str, Any] | None:
    """Return a JSON object, or None where the text is none."""
    try:
        return _decode_document(text)
    except _UNREADABLE:
        return None


def entry_size(entry: api.PutEventsRequestEntry) -> int:
    """Return the bytes of an entry as EventBridge counts them.

    Source: user guide, "Calculating Amazon EventBridge PutEvents event entry size".
    """
    size = 0 if entry.time is None else limits.TIME_BYTES
    for text in (entry.source, entry.detail_type, entry.detail, *(entry.resources or ())):
        if text:
            size += len(text) if text.isascii() else len(text.encode())
    return size


def new_event(entry: api.PutEventsRequestEntry, detail: Detail, origin: Origin, now: float) -> Event:
    """Return the event that an entry which was checked makes."""
    assert entry.detail_type is not None
    assert entry.source is not None
    time = format_time(now if entry.time is None else entry.time)
    resources = entry.resources or []
    envelope = Envelope(
        "0",
        origin.event_id,
        entry.detail_type,
        entry.source,
        origin.account,
        time,
        origin.region,
        resources,
        detail.text,
    )
    document = {
        "version": "0",
        "id": origin.event_id,
        "detail-type": entry.detail_type,
        "source": entry.source,
        "account": origin.account,
        "time": time,
        "region": origin.region,
        "resources": resources,
        "detail": detail.document,
    }
    return Event(origin.event_id, _encode(envelope).decode(), document, now, entry.trace_header)


def scheduled_event(rule_arn: str, event_id: str, due_at: float, now: float) -> Event:
    """Return the event that a rule's schedule makes (user guide, "Creating a rule that runs on a schedule")."""
    arn = Arn.parse(rule_arn)
    time = format_time(due_at)
    envelope = Envelope(
        "0",
        event_id,
        "Scheduled Event",
        "aws.events",
        arn.account,
        time,
        arn.region,
        [rule_arn],
        msgspec.Raw(b"{}"),
    )
    text = _encode(envelope)
    return Event(event_id, text.decode(), _decode_document(text), now)


def forwarded_event(text: str, at: float, trace_header: str | None) -> Event | None:
    """Return an event that a rule of another bus sent, as it is; None where the text is none."""
    document = read_document(text)
    if document is None or not isinstance(document.get("id"), str):
        return None
    return Event(cast("str", document["id"]), text, document, at, trace_header, is_forwarded=True)


def replayed_event(archived: Event, replay: str) -> Event:
    """Return an archived event as a replay puts it on the bus again: it says which replay that is."""
    name = _encode(replay).decode()
    text = f'{archived.text.rstrip()[:-1]},"{REPLAY_NAME}":{name}}}'
    document = {**archived.document, REPLAY_NAME: replay}
    return replace(archived, text=text, document=document, replay=replay)


def event_time(event: Event) -> float:
    """Return the time that an event bears, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(event.document["time"]).timestamp()
    except (KeyError, TypeError, ValueError):
        # What was made to look like an event and put on a bus through another's rule need not have one.
        return event.at


def format_time(at: float) -> str:
    """Return an instant as events bear it: ISO 8601 in UTC, to the second."""
    return _format_second(int(at))


@lru_cache(maxsize=64)
def _format_second(second: int) -> str:
    # Most events of a moment bear the same one.
    return datetime.fromtimestamp(second, UTC).isoformat()[:19] + "Z"
