"""`forebay executions`: list executions of state machines, show the path of one, follow, redrive and stop it."""

from collections.abc import Iterator, Mapping
from time import sleep
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json
from forebay.cli.execution_path import details_of, draw, read_path, seconds

_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
_COLOURS = {"RUNNING": "yellow", "SUCCEEDED": "green"}
_POLL_SECONDS = 0.3


@click.group()
def executions() -> None:
    """List executions, show the path of one with its data, follow it, redrive it, stop it."""


@executions.command("list")
@click.argument("machine", required=False)
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only those in this status.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Most executions to show.")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def list_executions(  # noqa: PLR0913 - one parameter an option
    machine: str | None,
    *,
    status: str | None,
    limit: int,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """List the executions of the state machine MACHINE (its name or ARN), or of all, the newest first."""
    client = Endpoint(endpoint, region, account).client("stepfunctions")
    machines = [machine_arn(client, machine)] if machine else list(_machines(client))
    rows = [row for arn in machines for row in _rows(client, arn, status, limit)]
    rows = sorted(rows, key=lambda row: row["startDate"], reverse=True)[:limit]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("There are no executions.", err=True)
        return
    width = max(len("STATE MACHINE"), *(len(_machine_name(row)) for row in rows))
    click.echo(f"{'STARTED':<19}  {'STATUS':<9}  {'TOOK':>10}  {'STATE MACHINE':<{width}}  EXECUTION")
    for row in rows:
        state = click.style(f"{row['status']:<9}", fg=_COLOURS.get(row["status"], "red"))
        started = f"{row['startDate']:%Y-%m-%d %H:%M:%S}"
        click.echo(f"{started}  {state}  {_took(row):>10}  {_machine_name(row):<{width}}  {row['name']}")


@executions.command()
@click.argument("execution")
@click.option("--data/--no-data", default=True, show_default=True, help="Show what goes into each state and comes out.")
@click.option("--json", "as_json", is_flag=True, help="Write the execution and its history as JSON.")
@endpoint_options
def show(execution: str, *, data: bool, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """Draw the path of EXECUTION (its ARN, MACHINE/NAME, or its name) with the time and data of each state."""
    client = Endpoint(endpoint, region, account).client("stepfunctions")
    arn = execution_arn(client, execution)
    shown = answer(lambda: client.describe_execution(executionArn=arn))
    shown.pop("ResponseMetadata", None)
    events = list(_events(client, arn))
    if as_json:
        print_json({"execution": shown, "events": events})
        return
    for line in path_lines(shown, events, with_data=data):
        click.echo(line)


def path_lines(shown: Mapping[str, Any], events: list[Any], *, with_data: bool) -> Iterator[str]:
    """Yield an execution's head, its path and its end."""
    status = shown["status"]
    state = click.style(status, fg=_COLOURS.get(status, "red"), bold=True)
    yield f"{click.style(shown['name'], bold=True)}  {state}  {_took(shown)}  {_machine_name(shown)}"
    yield f"started {shown['startDate']:%Y-%m-%d %H:%M:%S}  input {shown.get('input', '')}"
    yield ""
    yield from draw(read_path(events), shown["startDate"], is_running=status == "RUNNING", with_data=with_data)
    yield ""
    if "output" in shown:
        yield f"output {shown['output']}"
    if shown.get("error"):
        yield click.style(f"{shown['error']}: {shown.get('cause', '')}".rstrip(": "), fg="red")
    if shown.get("redriveCount"):
        yield f"redriven {shown['redriveCount']}x, last at {shown['redriveDate']:%Y-%m-%d %H:%M:%S}"


@executions.command()
@click.argument("execution")
@endpoint_options
def tail(execution: str, *, endpoint: str, region: str, account: str) -> None:
    """Follow the events of EXECUTION until it ends."""
    client = Endpoint(endpoint, region, account).client("stepfunctions")
    arn = execution_arn(client, execution)
    last = 0
    while True:
        shown = answer(lambda: client.describe_execution(executionArn=arn))
        for event in _events(client, arn):
            if event["id"] > last:
                last = event["id"]
                click.echo(_event_line(event))
        if shown["status"] != "RUNNING":
            return
        sleep(_POLL_SECONDS)


@executions.command()
@click.argument("execution")
@endpoint_options
def redrive(execution: str, *, endpoint: str, region: str, account: str) -> None:
    """Let EXECUTION, which did not succeed, go on from where it failed."""
    client = Endpoint(endpoint, region, account).client("stepfunctions")
    arn = execution_arn(client, execution)
    answer(lambda: client.redrive_execution(executionArn=arn))
    click.echo(f"{arn} goes on.")


@executions.command()
@click.argument("execution")
@click.option("--error", default=None, help="The error to stop it with.")
@click.option("--cause", default=None, help="The cause to stop it with.")
@endpoint_options
def stop(execution: str, *, error: str | None, cause: str | None, endpoint: str, region: str, account: str) -> None:
    """Stop EXECUTION."""
    client = Endpoint(endpoint, region, account).client("stepfunctions")
    arn = execution_arn(client, execution)
    given = {name: value for name, value in (("error", error), ("cause", cause)) if value is not None}
    answer(lambda: client.stop_execution(executionArn=arn, **given))
    click.echo(f"{arn} is stopped.")


def machine_arn(client: Any, machine: str) -> str:
    """Return the ARN of a state machine that is named by it or by its name."""
    if machine.startswith("arn:"):
        return machine
    found = [arn for arn in _machines(client) if arn.rpartition(":")[2] == machine]
    if not found:
        raise click.ClickException(f"There is no state machine {machine}.")
    return found[0]


def execution_arn(client: Any, execution: str) -> str:
    """Return the ARN of an execution that is named by it, by MACHINE/NAME, or by its name alone.

    Raises:
        click.ClickException: there is none, or more than one.
    """
    if execution.startswith("arn:"):
        return execution
    machine, slash, name = execution.rpartition("/")
    machines = [machine_arn(client, machine)] if slash else list(_machines(client))
    found: list[str] = []
    for arn in machines:
        guess = f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            client.describe_execution(executionArn=guess)
            found.append(guess)
        except client.exceptions.ExecutionDoesNotExist:
            continue
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(f"More than one state machine has an execution {name}: say MACHINE/{name}.")
    raise click.ClickException(f"There is no execution {execution}.")


def _machines(client: Any) -> Iterator[str]:
    for page in answer(lambda: list(client.get_paginator("list_state_machines").paginate())):
        for machine in page["stateMachines"]:
            if machine["type"] == "STANDARD":
                yield machine["stateMachineArn"]


def _rows(client: Any, machine: str, status: str | None, limit: int) -> list[dict[str, Any]]:
    given = {"statusFilter": status.upper()} if status else {}
    pages = client.get_paginator("list_executions").paginate(
        stateMachineArn=machine, PaginationConfig={"MaxItems": limit}, **given
    )
    return [row for page in answer(lambda: list(pages)) for row in page["executions"]]


def _events(client: Any, arn: str) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    for page in answer(lambda: list(pages)):
        yield from page["events"]


def _event_line(event: Mapping[str, Any]) -> str:
    kind: str = event["type"]
    details = details_of(event)
    shown = details.get("name") or details.get("error") or details.get("resource") or ""
    data = details.get("output") or details.get("input") or details.get("cause") or ""
    colour = "red" if kind.endswith(("Failed", "TimedOut", "Aborted")) else None
    text = data if len(data) <= 100 else f"{data[:99]}…"
    return f"{event['timestamp']:%H:%M:%S.%f}"[:-3] + f"  {click.style(f'{kind:<26}', fg=colour)}  {shown:<20}  {text}"


def _machine_name(row: Mapping[str, Any]) -> str:
    return str(row["stateMachineArn"]).rpartition(":")[2]


def _took(row: Mapping[str, Any]) -> str:
    if "stopDate" not in row:
        return "runs"
    return seconds((row["stopDate"] - row["startDate"]).total_seconds())
