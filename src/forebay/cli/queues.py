"""`forebay queues`: list queues with their depths, look into one without receiving, move, redrive and purge."""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json

_DEPTHS = {
    "visible": "ApproximateNumberOfMessages",
    "in flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}

_POLL_SECONDS = 0.2


@click.group()
def queues() -> None:
    """List queues, look into them, move their messages, redrive dead letters, purge."""


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
        "name": url.partition("?")[0].rsplit("/", 1)[1],
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


@queues.command()
@click.argument("queue")
@click.option("--to", help="The queue that receives the messages; without it, each goes back where it came from.")
@click.option("--rate", type=click.IntRange(1, 500), help="Most messages a second; without it, as fast as it goes.")
@click.option("--containing", help="Only messages whose body contains this text (standard queues).")
@click.option("--wait/--no-wait", default=True, help="Wait until all are moved.", show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@endpoint_options
def move(  # noqa: PLR0913 - one parameter an option
    queue: str,
    *,
    to: str | None,
    rate: int | None,
    containing: str | None,
    wait: bool,
    yes: bool,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Move the messages of QUEUE to another queue, or those of a dead-letter queue back to their sources.

    The node does it in the background, also after a restart.
    """
    if not yes:
        click.confirm(f"Move messages of {queue} to {to or 'the queues that they came from'}?", abort=True)
    node = Endpoint(endpoint, region, account)
    options = {"to": to, "rate": None if rate is None else str(rate), "containing": containing}
    query = {"queue": queue, **{name: value for name, value in options.items() if value}}
    source = node.control("sqs/move", query)["source"]
    task = _follow(node.client("sqs"), source, wait=wait)
    if as_json:
        print_json(task)
    else:
        click.echo(f"{task['status']}: moved {task['moved']} messages of {queue}. {task['reason']}".rstrip())
    if task["status"] == "FAILED":
        raise click.exceptions.Exit(1)


def _follow(client: Any, source: str, *, wait: bool) -> dict[str, Any]:
    """Return how the latest move of a queue stands, once it is over if `wait`."""
    pause = threading.Event()
    while True:
        (task,) = answer(lambda: client.list_message_move_tasks(SourceArn=source))["Results"]
        if not wait or task["Status"] not in {"RUNNING", "CANCELLING"}:
            moved, reason = task.get("ApproximateNumberOfMessagesMoved", 0), task.get("FailureReason", "")
            return {"status": task["Status"], "moved": moved, "reason": reason}
        pause.wait(_POLL_SECONDS)


@queues.command()
@click.argument("queue")
@click.option("--yes", is_flag=True, help="Do not ask.")
@endpoint_options
def purge(queue: str, *, yes: bool, endpoint: str, region: str, account: str) -> None:
    """Delete all messages of QUEUE, in flight or not."""
    client = Endpoint(endpoint, region, account).client("sqs")
    row = _row(client, answer(lambda: client.get_queue_url(QueueName=queue))["QueueUrl"])
    total = sum(row[name] for name in _DEPTHS)
    if not yes:
        click.confirm(f"Delete all {total} messages of {queue}?", abort=True)
    answer(lambda: client.purge_queue(QueueUrl=row["url"]))
    click.echo(f"Deleted {total} messages of {queue}.")
