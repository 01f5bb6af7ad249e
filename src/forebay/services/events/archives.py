"""Operations on archives."""

from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events.archive import ARCHIVE, Archive, find_archive, load_archive
from forebay.services.events.bus import BusAddress, load_bus
from forebay.services.events.errors import no_bus, one_filter, validation_error
from forebay.services.events.pages import page
from forebay.services.events.rule import read_pattern
from forebay.store.commands import DropLog, LogSize, MeasureLog
from forebay.store.records import key_prefix


@operation
def create_archive(call: Call, request: api.CreateArchiveRequest) -> api.CreateArchiveResponse:
    """Archive the events of a bus from now on: those that match the pattern, or all but replayed ones.

    Raises:
        InvalidEventPatternException: the pattern is none.
        ResourceNotFoundException: there is no such bus in the account and region.
        ResourceAlreadyExistsException: there is an archive of this name.
    """
    if request.event_pattern:
        read_pattern(request.event_pattern)
    address = _read_source(call, request.event_source_arn)
    load_bus(call, address)
    if find_archive(call, request.archive_name) is not None:
        raise api.ResourceAlreadyExistsException(f"Archive {request.archive_name} already exists.")
    archive = Archive(
        account=call.account,
        region=call.region,
        name=request.archive_name,
        bus=address.name,
        log=call.ids.uuid(),
        created_at=call.now,
        pattern=request.event_pattern or None,
        description=request.description or None,
        retention_days=request.retention_days or 0,
        kms_key=request.kms_key_identifier or None,
    )
    call.records.put(ARCHIVE, archive.key(), archive)
    return api.CreateArchiveResponse(archive_arn=archive.arn(), state=archive.state, creation_time=archive.created_at)


@operation(readonly=True)
def describe_archive(call: Call, request: api.DescribeArchiveRequest) -> api.DescribeArchiveResponse:
    """Return an archive with the number and size of its events, which are exact."""
    archive = load_archive(call, request.archive_name)
    size = _measure(call, archive)
    return api.DescribeArchiveResponse(
        archive_arn=archive.arn(),
        archive_name=archive.name,
        event_source_arn=archive.address().arn(),
        description=archive.description,
        event_pattern=archive.pattern,
        state=archive.state,
        kms_key_identifier=archive.kms_key,
        retention_days=archive.retention_days,
        size_bytes=size.data_bytes,
        event_count=size.entries,
        creation_time=archive.created_at,
    )


@operation
def update_archive(call: Call, request: api.UpdateArchiveRequest) -> api.UpdateArchiveResponse:
    """Change settings of an archive; those that are not named keep their values, empty texts take them away.

    A pattern and a retention hold for events that come from now on.

    Raises:
        ResourceNotFoundException: there is no such archive.
        InvalidEventPatternException: the pattern is none.
    """
    archive = load_archive(call, request.archive_name)
    if request.event_pattern:
        read_pattern(request.event_pattern)
    if request.event_pattern is not None:
        archive = replace(archive, pattern=request.event_pattern or None)
    if request.description is not None:
        archive = replace(archive, description=request.description or None)
    if request.retention_days is not None:
        archive = replace(archive, retention_days=request.retention_days)
    if request.kms_key_identifier is not None:
        archive = replace(archive, kms_key=request.kms_key_identifier or None)
    call.records.put(ARCHIVE, archive.key(), archive)
    return api.UpdateArchiveResponse(archive_arn=archive.arn(), state=archive.state, creation_time=archive.created_at)


@operation
def delete_archive(call: Call, request: api.DeleteArchiveRequest) -> api.DeleteArchiveResponse:
    """Delete an archive with its events; a replay from it that still runs fails."""
    archive = load_archive(call, request.archive_name)
    call.records.delete(ARCHIVE, archive.key())
    call.apply(DropLog(archive.stream()))
    return api.DeleteArchiveResponse()


@operation(readonly=True)
def list_archives(call: Call, request: api.ListArchivesRequest) -> api.ListArchivesResponse:
    """List archives by name: all, or those of a bus, in a state or with names that begin alike.

    Raises:
        ValidationException: more than one of these is asked for.
    """
    if sum(given is not None for given in (request.name_prefix, request.event_source_arn, request.state)) > 1:
        raise one_filter("ListArchives")
    found = [
        archive
        for _, archive in call.reader.list(ARCHIVE, key_prefix(call.account, call.region))
        if archive.name.startswith(request.name_prefix or "")
        and request.event_source_arn in {None, archive.address().arn()}
        and request.state in {None, archive.state}
    ]
    shown, next_token = page(found, lambda archive: archive.name, request.next_token, request.limit)
    return api.ListArchivesResponse(archives=[_listed(call, archive) for archive in shown], next_token=next_token)


def _listed(call: Call, archive: Archive) -> api.Archive:
    size = _measure(call, archive)
    return api.Archive(
        archive_name=archive.name,
        event_source_arn=archive.address().arn(),
        state=archive.state,
        retention_days=archive.retention_days,
        size_bytes=size.data_bytes,
        event_count=size.entries,
        creation_time=archive.created_at,
    )


def _measure(call: Call, archive: Archive) -> LogSize:
    return call.ask(MeasureLog(archive.stream()))


def _read_source(call: Call, text: str) -> BusAddress:
    """Return the bus that an archive is to be on, which is one of the caller's account and region."""
    try:
        address = BusAddress.at(Arn.parse(text))
    except ValueError:
        raise validation_error(
            "Parameter EventSourceArn is not valid. Reason: Must contain an event bus ARN."
        ) from None
    if (address.account, address.region) != (call.account, call.region):
        raise no_bus(address.name)
    return address
