"""`forebay buses`: list event buses, and their rules with what they wait for and where they send it."""

import json
from collections.abc import Iterator
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json


@click.group()
def buses() -> None:
    """List event buses and their rules."""


@buses.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def list_buses(*, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List event buses with the numbers of their rules and archives."""
    client = Endpoint(endpoint, region, account).client("events")
    rows = [_bus_row(client, bus) for bus in _all(client.list_event_buses, "EventBuses")]
    if as_json:
        print_json(rows)
        return
    width = max(3, *(len(row["name"]) for row in rows))
    click.echo(f"{'BUS':<{width}}  {'RULES':>5}  {'ARCHIVES':>8}  ARN")
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['rules']:>5}  {row['archives']:>8}  {row['arn']}")


@buses.command()
@click.argument("bus", default="default")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def rules(bus: str, *, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List the rules of BUS: their state, what they wait for, and their targets."""
    client = Endpoint(endpoint, region, account).client("events")
    rows = [_rule_row(client, bus, rule) for rule in _all(client.list_rules, "Rules", EventBusName=bus)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = "" if row["state"] == "ENABLED" else click.style(row["state"].lower(), fg="yellow")
        waits_for = row["schedule"] or json.dumps(row["pattern"], separators=(",", ":"))
        click.echo("  ".join(text for text in (click.style(row["name"], bold=True), state, waits_for) if text))
        for target in row["targets"]:
            click.echo(f"    -> {target}")
    if not rows:
        click.echo(f"Bus {bus} has no rules.", err=True)


def _bus_row(client: Any, bus: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": bus["Name"],
        "arn": bus["Arn"],
        "rules": sum(1 for _ in _all(client.list_rules, "Rules", EventBusName=bus["Name"])),
        "archives": sum(1 for _ in _all(client.list_archives, "Archives", EventSourceArn=bus["Arn"])),
    }


def _rule_row(client: Any, bus: str, rule: dict[str, Any]) -> dict[str, Any]:
    targets = _all(client.list_targets_by_rule, "Targets", Rule=rule["Name"], EventBusName=bus)
    pattern = rule.get("EventPattern")
    return {
        "name": rule["Name"],
        "arn": rule["Arn"],
        "state": rule["State"],
        "pattern": None if pattern is None else json.loads(pattern),
        "schedule": rule.get("ScheduleExpression"),
        "targets": [target["Arn"] for target in targets],
    }


def _all(operation: Any, member: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield everything that a listing operation gives, page by page."""
    token: str | None = None
    while True:
        given = params if token is None else {**params, "NextToken": token}
        page = answer(lambda given=given: operation(**given))
        yield from page.get(member, [])
        token = page.get("NextToken")
        if token is None:
            return
