"""`forebay events archive|archives|replay|replays`: keep the events of a bus, and put them on it again."""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json

_POLL_SECONDS = 0.2
_UNDER_WAY = frozenset({"STARTING", "RUNNING", "CANCELLING"})
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class _Moment(click.ParamType[datetime]):
    """An instant in ISO 8601, or how long ago it is: `90s`, `15m`, `2h`, `7d`."""

    name = "moment"

    _UNITS: Mapping[str, str] = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an instant; without a zone it is local time."""
        if isinstance(value, datetime):
            return value
        number, unit = value[:-1], self._UNITS.get(value[-1:])
        if unit is not None and number.isdecimal():
            return now() - timedelta(**{unit: int(number)})
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"'{value}' is no time such as 2027-01-31T12:00 or 15m", param, ctx)


def now() -> datetime:
    """Return the time of the machine that the command runs on."""
    return datetime.now(UTC)  # noqa: TID251 - a command's own clock, as people type times


@click.command()
@click.argument("name")
@click.option("--bus", default="default", show_default=True, help="Name of the bus.")
@click.option("--pattern", help="Event pattern (JSON); without it, every event is kept.")
@click.option("--retention-days", type=click.IntRange(min=0), default=0, help="How long; by default, for ever.")
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")
@endpoint_options
def archive(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    bus: str,
    pattern: str | None,
    retention_days: int,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Archive the events of a bus from now on, as NAME."""
    client = Endpoint(endpoint, region, account).client("events")
    source = answer(lambda: client.describe_event_bus(Name=bus))["Arn"]
    given = {} if pattern is None else {"EventPattern": pattern}
    created = answer(
        lambda: client.create_archive(ArchiveName=name, EventSourceArn=source, RetentionDays=retention_days, **given)
    )
    if as_json:
        print_json({"ArchiveArn": created["ArchiveArn"], "State": created["State"]})
    else:
        click.echo(created["ArchiveArn"])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def archives(*, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List archives with the numbers of their events."""
    client = Endpoint(endpoint, region, account).client("events")
    found = _all(client.list_archives, "Archives")
    if as_json:
        print_json(found)
        return
    for each in found:
        days = each["RetentionDays"]
        kept = f"{days} d" if days else "for ever"
        bus = each["EventSourceArn"].rpartition("event-bus/")[2]
        click.echo(f"{each['ArchiveName']}  {bus}  {each['EventCount']} events  {each['SizeBytes']} bytes  {kept}")
    if not found:
        click.echo("There are no archives.", err=True)


@click.command()
@click.argument("name")
@click.option("--from", "start", type=_Moment(), help="First time of events, ISO 8601 or 15m for 15 minutes ago.")
@click.option("--until", "end", type=_Moment(), help="End of the time of events; by default, now.")
@click.option("--rule", "rules", multiple=True, help="Name of a rule that gets the events; repeatable; else all do.")
@click.option("--name", "replay_name", help="Name of the replay; by default that of the archive and the time.")
@click.option("--json", "as_json", is_flag=True, help="Write the replay as JSON when it has ended.")
@endpoint_options
def replay(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    start: datetime | None,
    end: datetime | None,
    rules: Sequence[str],
    replay_name: str | None,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Put the events of archive NAME on their bus again and follow the progress; Ctrl-C cancels the replay."""
    client = Endpoint(endpoint, region, account).client("events")
    found = answer(lambda: client.describe_archive(ArchiveName=name))
    bus = found["EventSourceArn"]
    replay_name = replay_name or f"{name[:40]}-{now():%Y%m%dT%H%M%S%f}"
    prefix = bus.replace(":event-bus/", ":rule/").removesuffix("/default")
    filters = {"FilterArns": [f"{prefix}/{rule}" for rule in rules]} if rules else {}
    # Events bear whole seconds, and the end is not part of the range.
    until = end or now() + timedelta(seconds=1)
    answer(
        lambda: client.start_replay(
            ReplayName=replay_name,
            EventSourceArn=found["ArchiveArn"],
            EventStartTime=start or _BEGINNING,
            EventEndTime=until,
            Destination={"Arn": bus, **filters},
        )
    )
    try:
        ended = _follow(client, replay_name)
    except KeyboardInterrupt:
        answer(lambda: client.cancel_replay(ReplayName=replay_name))
        ended = _follow(client, replay_name)
    if as_json:
        print_json({key: value for key, value in ended.items() if key != "ResponseMetadata"})
    else:
        click.echo(_progress(ended))
    if ended["State"] == "FAILED":
        raise click.ClickException(f"The replay failed: {ended.get('StateReason')}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def replays(*, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List replays and how far they are."""
    client = Endpoint(endpoint, region, account).client("events")
    found = _all(client.list_replays, "Replays")
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(_progress(each))
    if not found:
        click.echo("There are no replays.", err=True)


def _follow(client: Any, name: str) -> Mapping[str, Any]:
    """Write progress until a replay has ended; return it."""
    pause, shown = threading.Event(), ""
    while True:
        found = answer(lambda: client.describe_replay(ReplayName=name))
        if found["State"] not in _UNDER_WAY:
            return found
        line = _progress(found)
        if line != shown:
            click.echo(line, err=True)
            shown = line
        pause.wait(_POLL_SECONDS)


def _progress(found: Mapping[str, Any]) -> str:
    last = found.get("EventLastReplayedTime")
    until = "" if last is None else f"  up to events of {last.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"{found['ReplayName']}  {found['State']}{until}"


def _all(list_page: Any, member: str) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = answer(lambda token=token: list_page(**token))
        found += page[member]
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}
