"""`forebay events`: put events on a bus, follow those that arrive, and trace where one went.

Its commands for archives and replays are in `archives`.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from forebay.cli.archives import archive, archives, replay, replays
from forebay.cli.client import Endpoint, answer, endpoint_options, print_json

_WAIT_SECONDS = 20


@click.group()
def events() -> None:
    """Put, follow, trace and explain events, archive and replay them."""


for _command in (archive, archives, replay, replays):
    events.add_command(_command)


@events.command()
@click.argument("detail")
@click.option("--source", default="forebay.cli", show_default=True, help="Source of the event.")
@click.option("--detail-type", default="Message", show_default=True, help="Detail type of the event.")
@click.option("--bus", default="default", show_default=True, help="Name or ARN of the bus.")
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")
@endpoint_options
def put(  # noqa: PLR0913 - one parameter an option
    detail: str, *, source: str, detail_type: str, bus: str, as_json: bool, endpoint: str, region: str, account: str
) -> None:
    """Put one event; DETAIL is a JSON object, or `-` to read it from standard input."""
    text = sys.stdin.read() if detail == "-" else detail
    try:
        json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="DETAIL") from None
    client = Endpoint(endpoint, region, account).client("events")
    entry = {"Source": source, "DetailType": detail_type, "Detail": text, "EventBusName": bus}
    result = answer(lambda: client.put_events(Entries=[entry]))["Entries"][0]
    if as_json:
        print_json(result)
    elif "EventId" in result:
        click.echo(result["EventId"])
    if "ErrorCode" in result:
        raise click.ClickException(f"{result['ErrorCode']}: {result.get('ErrorMessage')}")


@events.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
@click.option("--all", "from_start", is_flag=True, help="Begin with the oldest event that is kept.")
@endpoint_options
def tail(*, as_json: bool, from_start: bool, endpoint: str, region: str, account: str) -> None:
    """Follow events as they arrive on any bus; Ctrl-C ends it."""
    node = Endpoint(endpoint, region, account)
    try:
        for arrival in follow(node, from_start=from_start):
            click.echo(json.dumps(arrival) if as_json else arrival_line(arrival))
    except KeyboardInterrupt:
        return


def follow(node: Endpoint, *, from_start: bool) -> Iterator[Mapping[str, Any]]:
    """Yield events as they arrive, without end."""
    after = 0 if from_start else node.control("events")["next"]
    while True:
        page = node.control("events", {"after": str(after), "wait": str(_WAIT_SECONDS)})
        yield from page["events"]
        after = page["next"]


def arrival_line(arrival: Mapping[str, Any]) -> str:
    """Return one line for people about an event that arrived."""
    event = arrival["event"]
    at = clock_time(arrival["at"])
    detail = json.dumps(event.get("detail"), separators=(",", ":"))
    head = f"{at}  {click.style(event.get('detail-type', ''), bold=True)}  {event.get('source', '')}"
    return f"{head}  {click.style(arrival['bus'], dim=True)}  {arrival['event_id']}  {_short(detail, 100)}"


@events.command()
@click.argument("event_id")
@click.option("--json", "as_json", is_flag=True, help="Write the steps as JSON.")
@endpoint_options
def trace(event_id: str, *, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """Show the path of an event: which rules matched, each attempt, where it ended, and why a rule did not match."""
    found = Endpoint(endpoint, region, account).control("trace", {"id": event_id})
    if as_json:
        print_json(found)
        return
    for line in path_lines(found["steps"]):
        click.echo(line)


@events.command()
@click.argument("event")
@click.option("--bus", default="default", show_default=True, help="Name or ARN of the bus.")
@click.option("--rule", help="Only this rule.")
@click.option("--source", default="forebay.cli", show_default=True, help="Source, where EVENT has none.")
@click.option("--detail-type", default="Message", show_default=True, help="Detail type, where EVENT has none.")
@click.option("--json", "as_json", is_flag=True, help="Write the verdicts as JSON.")
@endpoint_options
def explain(  # noqa: PLR0913 - one parameter an option
    event: str,
    *,
    bus: str,
    rule: str | None,
    source: str,
    detail_type: str,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Say which rules EVENT would match and why the others would not; nothing is put on the bus.

    EVENT is a JSON object: a whole event, or its detail only; `-` reads it from standard input.
    """
    text = sys.stdin.read() if event == "-" else event
    try:
        given = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="EVENT") from None
    is_whole = isinstance(given, dict) and "detail" in given
    whole: dict[str, Any] = {"source": source, "detail-type": detail_type, **(given if is_whole else {"detail": given})}
    query = {"event": json.dumps(whole), "bus": bus, **({} if rule is None else {"rule": rule})}
    found = Endpoint(endpoint, region, account).control("events/explain", query)["rules"]
    if as_json:
        print_json(found)
        return
    print_verdicts(found)
    if not found:
        click.echo(f"Bus {bus} has no such rules.", err=True)


_COLOURS: Mapping[str, str] = {
    "delivered": "green",
    "ran": "green",
    "matched": "cyan",
    "retried": "yellow",
    "rejected": "red",
    "exhausted": "red",
    "unmatched": "bright_black",
}


def print_verdicts(verdicts: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for people about each rule or subscription that would get something, or not."""
    for verdict in verdicts:
        word = click.style("matches", fg="green") if verdict["matches"] else click.style("no     ", fg="red")
        click.echo("  ".join(part for part in (word, verdict["name"], verdict["reason"]) if part))


def path_lines(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return lines for people about an event's path."""
    for step in steps:
        what = _what(step)
        words = [clock_time(step["at"]), click.style(f"{what:<10}", fg=_COLOURS.get(what))]
        ends = [_resource(arn) for arn in dict.fromkeys((step.get("source"), step.get("target"))) if arn]
        words.append(" -> ".join(ends))
        if step.get("attempt", 0) > 1:
            words.append(f"(attempt {step['attempt']})")
        reason = ": ".join(text for text in (step.get("code"), step.get("message")) if text)
        if reason:
            words.append(click.style(reason, dim=True))
        yield "  ".join(words)


def _what(step: Mapping[str, Any]) -> str:
    """Return the word for a step; a function that takes an event from itself has run it."""
    is_run = step["what"] == "delivered" and step.get("source") == step.get("target")
    return "ran" if is_run else step["what"]


def _resource(arn: str) -> str:
    parts = arn.split(":", 5)
    return f"{parts[2]}:{parts[5]}" if len(parts) == 6 else arn


def clock_time(at: float) -> str:
    """Return the local time of day of an instant, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
