"""Operations on replays: started and cancelled here, carried out by `replayer`."""

from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events import limits
from forebay.services.events.archive import Archive, archive_name, find_archive
from forebay.services.events.bus import BusAddress, load_bus
from forebay.services.events.errors import malformed_arn, one_filter, too_many, validation_error
from forebay.services.events.pages import page
from forebay.services.events.replay import REPLAY, TIMERS, Replay, find_replay, load_replay
from forebay.store.commands import PutTimers, Timer
from forebay.store.records import key_prefix

_INVALID = "Parameter {name} is not valid. Reason: {reason}"


@operation
def start_replay(call: Call, request: api.StartReplayRequest) -> api.StartReplayResponse:
    """Begin to put the events of an archive whose time is in a range on their bus again.

    Raises:
        ValidationException: archive, bus or times do not fit together.
        ResourceAlreadyExistsException: there is, or was, a replay of this name.
        LimitExceededException: as many replays as AWS allows are under way.
    """
    address = _read_destination(request.destination.arn)
    load_bus(call, address)
    archive = _find_source(call, request.event_source_arn)
    if archive.address() != address:
        raise _invalid("Destination.Arn", "Cross event bus replay is not permitted.")
    for arn in request.destination.filter_arns or ():
        _check_rule_arn(arn)
    if request.event_start_time >= request.event_end_time:
        raise _invalid("EventEndTime", "EventStartTime must be before EventEndTime.")
    if find_replay(call, request.replay_name) is not None:
        raise api.ResourceAlreadyExistsException(f"Replay {request.replay_name} already exists.")
    if sum(not replay.has_ended for replay in _replays(call)) >= limits.REPLAYS_MAX:
        raise too_many()
    replay = Replay(
        account=call.account,
        region=call.region,
        name=request.replay_name,
        archive=archive.name,
        log=archive.log,
        bus=archive.bus,
        from_at=request.event_start_time,
        until_at=request.event_end_time,
        started_at=call.now,
        description=request.description or None,
        rules=tuple(request.destination.filter_arns or ()),
    )
    call.records.put(REPLAY, replay.key(), replay)
    call.apply(PutTimers((Timer(TIMERS, replay.key(), call.now_ms, b""),)))
    return api.StartReplayResponse(replay_arn=replay.arn(), state=replay.state, replay_start_time=replay.started_at)


@operation(readonly=True)
def describe_replay(call: Call, request: api.DescribeReplayRequest) -> api.DescribeReplayResponse:
    """Return a replay and how far it is."""
    replay = load_replay(call, request.replay_name)
    return api.DescribeReplayResponse(
        replay_name=replay.name,
        replay_arn=replay.arn(),
        description=replay.description,
        state=replay.state,
        state_reason=replay.reason,
        event_source_arn=replay.source_arn(),
        destination=api.ReplayDestination(arn=replay.address().arn(), filter_arns=list(replay.rules) or None),
        event_start_time=replay.from_at,
        event_end_time=replay.until_at,
        event_last_replayed_time=replay.replayed_until,
        replay_start_time=replay.started_at,
        replay_end_time=replay.ended_at,
    )


@operation
def cancel_replay(call: Call, request: api.CancelReplayRequest) -> api.CancelReplayResponse:
    """Stop a replay before its next step; what it has replayed stays replayed.

    Raises:
        IllegalStatusException: the replay has ended, or has been cancelled already.
    """
    replay = load_replay(call, request.replay_name)
    if not replay.is_under_way:
        raise api.IllegalStatusException(f"Replay {replay.name} is not in a valid state for this operation.")
    replay = replace(replay, state="CANCELLING")
    call.records.put(REPLAY, replay.key(), replay)
    return api.CancelReplayResponse(replay_arn=replay.arn(), state=replay.state)


@operation(readonly=True)
def list_replays(call: Call, request: api.ListReplaysRequest) -> api.ListReplaysResponse:
    """List replays by name: all, or those of an archive, in a state or with names that begin alike.

    Raises:
        ValidationException: more than one of these is asked for.
    """
    if sum(given is not None for given in (request.name_prefix, request.event_source_arn, request.state)) > 1:
        raise one_filter("ListReplays")
    found = [
        replay
        for replay in _replays(call)
        if replay.name.startswith(request.name_prefix or "")
        and request.event_source_arn in {None, replay.source_arn()}
        and request.state in {None, replay.state}
    ]
    shown, next_token = page(found, lambda replay: replay.name, request.next_token, request.limit)
    return api.ListReplaysResponse(replays=[_listed(replay) for replay in shown], next_token=next_token)


def _replays(call: Call) -> list[Replay]:
    return [replay for _, replay in call.reader.list(REPLAY, key_prefix(call.account, call.region))]


def _listed(replay: Replay) -> api.Replay:
    return api.Replay(
        replay_name=replay.name,
        event_source_arn=replay.source_arn(),
        state=replay.state,
        state_reason=replay.reason,
        event_start_time=replay.from_at,
        event_end_time=replay.until_at,
        event_last_replayed_time=replay.replayed_until,
        replay_start_time=replay.started_at,
        replay_end_time=replay.ended_at,
    )


def _read_destination(text: str) -> BusAddress:
    try:
        return BusAddress.at(Arn.parse(text))
    except ValueError:
        raise _invalid("Destination.Arn", "Must contain an event bus ARN.") from None


def _find_source(call: Call, text: str) -> Archive:
    name = archive_name(text)
    if name is None:
        raise _invalid("EventSourceArn", "Must contain an archive ARN.")
    archive = find_archive(call, name)
    if archive is None or archive.arn() != text:
        raise _invalid("EventSourceArn", f"Archive {name} does not exist.")
    return archive


def _check_rule_arn(text: str) -> None:
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise malformed_arn(text) from None
    if arn.service != "events" or not arn.resource.startswith("rule/"):
        raise malformed_arn(text)


def _invalid(name: str, reason: str) -> Exception:
    return validation_error(_INVALID.format(name=name, reason=reason))
