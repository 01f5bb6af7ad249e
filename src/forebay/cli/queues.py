"""`forebay queues`: list queues with their depths, look into one without receiving, redrive dead letters."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json

_DEPTHS = {
    "visible": "ApproximateNumberOfMessages",
    "in flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@click.group()
def queues() -> None:
    """List queues, look into them, redrive dead letters."""


@queues.command("list")
@click.option("--prefix", default="", help="Only queues whose names begin so.")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def list_queues(*, prefix: str, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List queues with the numbers of their messages."""
    client = Endpoint(endpoint, region, account).client("sqs")
    rows = [_row(client, url) for url in _urls(client, prefix)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("There are no queues.", err=True)
        return
    width = max(len(row["name"]) for row in rows)
    click.echo(f"{'QUEUE':<{width}}  {'VISIBLE':>9}  {'IN FLIGHT':>9}  {'DELAYED':>9}  DEAD LETTERS TO")
    for row in rows:
        depths = "  ".join(f"{row[name]:>9}" for name in _DEPTHS)
        click.echo(f"{row['name']:<{width}}  {depths}  {row['dead_letters_to'] or '-'}")


def _urls(client: Any, prefix: str) -> Iterator[str]:
    pages = client.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
    for page in answer(lambda: list(pages)):
        yield from page.get("QueueUrls", [])


def _row(client: Any, url: str) -> dict[str, Any]:
    names = [*_DEPTHS.values(), "RedrivePolicy"]
    found = answer(lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=names)).get("Attributes", {})
    policy = json.loads(found.get("RedrivePolicy", "{}"))
    return {
        "name": url.rsplit("/", 1)[1],
        "url": url,
        **{name: int(found[attribute]) for name, attribute in _DEPTHS.items()},
        "dead_letters_to": policy.get("deadLetterTargetArn", "").rsplit(":", 1)[-1],
    }


@queues.command()
@click.argument("queue")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Most messages to show.")
@click.option("--json", "as_json", is_flag=True, help="Write the messages as JSON.")
@endpoint_options
def peek(queue: str, *, limit: int, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """Look at the oldest messages of QUEUE without receiving them."""
    node = Endpoint(endpoint, region, account)
    found = node.control("sqs/peek", {"queue": queue, "limit": str(limit)})["messages"]
    if as_json:
        print_json(found)
        return
    for message in found:
        click.echo(_message_line(message))
    if not found:
        click.echo(f"{queue} is empty.", err=True)


def _message_line(message: Mapping[str, Any]) -> str:
    state = click.style(f"{message['state']:<9}", fg="yellow" if message["state"] == "in flight" else None)
    body = str(message["body"]).replace("\n", " ")
    shown = body if len(body) <= 120 else f"{body[:117]}..."
    return f"{message['message_id']}  {state}  received {message['receive_count']}x  {shown}"


@queues.command()
@click.argument("queue")
@click.option("--limit", type=click.IntRange(1), help="Most messages to move; without it, all of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@endpoint_options
def redrive(  # noqa: PLR0913 - one parameter an option
    queue: str, *, limit: int | None, yes: bool, as_json: bool, endpoint: str, region: str, account: str
) -> None:
    """Move the messages of the dead-letter queue QUEUE back to the queues that they came from."""
    if not yes:
        click.confirm(f"Move the messages of {queue} back to the queues that they came from?", abort=True)
    node = Endpoint(endpoint, region, account)
    query = {"queue": queue, **({} if limit is None else {"limit": str(limit)})}
    result = node.control("sqs/redrive", query)
    if as_json:
        print_json(result)
    else:
        click.echo(f"Moved {result['moved']} messages; {result['left']} are left in {queue}.")
