"""`forebay topics`: list topics and subscriptions, publish, read the outbox, say who would get a message and why."""

import json
from collections.abc import Iterator
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json
from forebay.cli.events import clock_time, print_verdicts


@click.group()
def topics() -> None:
    """List topics and subscriptions, publish, read the outbox of mails, explain filters."""


@topics.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def list_topics(*, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List topics with the numbers of their subscriptions."""
    client = Endpoint(endpoint, region, account).client("sns")
    rows = [_topic_row(client, arn) for arn in _topic_arns(client)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("There are no topics.", err=True)
        return
    width = max(5, *(len(row["name"]) for row in rows))
    click.echo(f"{'TOPIC':<{width}}  {'CONFIRMED':>9}  {'PENDING':>7}  ARCHIVED SINCE")
    for row in rows:
        counts = f"{row['confirmed']:>9}  {row['pending']:>7}"
        click.echo(f"{row['name']:<{width}}  {counts}  {row['archived_since'] or '-'}")


@topics.command()
@click.argument("topic", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def subscriptions(topic: str | None, *, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List the subscriptions of TOPIC (a name or an ARN), or of all topics, with their filters."""
    client = Endpoint(endpoint, region, account).client("sns")
    arns = [_arn(topic, region, account)] if topic else list(_topic_arns(client))
    rows = [row for arn in arns for row in _subscription_rows(client, arn)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = click.style("pending", fg="yellow") if row["pending"] else ""
        words = [row["topic"], f"{row['protocol']}:{row['endpoint']}", row["filter"], state]
        click.echo("  ".join(word for word in words if word))
    if not rows:
        click.echo("There are no subscriptions.", err=True)


@topics.command()
@click.argument("topic")
@click.argument("message")
@click.option("--subject", help="Subject of the message.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Message attribute; repeatable.")
@click.option("--group", help="Message group, for FIFO topics.")
@click.option("--deduplication", help="Deduplication id, for FIFO topics.")
@endpoint_options
def publish(  # noqa: PLR0913 - one parameter an option
    topic: str,
    message: str,
    *,
    subject: str | None,
    attributes: tuple[str, ...],
    group: str | None,
    deduplication: str | None,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Publish MESSAGE on TOPIC (a name or an ARN) and write its id; `forebay events trace` shows its path."""
    client = Endpoint(endpoint, region, account).client("sns")
    optional = {"Subject": subject, "MessageGroupId": group, "MessageDeduplicationId": deduplication}
    given = {name: value for name, value in optional.items() if value is not None}
    values = {name: {"DataType": "String", "StringValue": value} for name, value in _pairs(attributes).items()}
    params = {"TopicArn": _arn(topic, region, account), "Message": message, "MessageAttributes": values, **given}
    click.echo(answer(lambda: client.publish(**params))["MessageId"])


@topics.command()
@click.option("--to", help="Only messages to this mail address or phone number.")
@click.option("--json", "as_json", is_flag=True, help="Write the messages as JSON.")
@endpoint_options
def outbox(*, to: str | None, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """Show the mails of the last week, as subscriptions of mail addresses got them."""
    node = Endpoint(endpoint, region, account)
    messages = node.control("sns/outbox", {} if to is None else {"to": to})["messages"]
    if as_json:
        print_json(messages)
        return
    for message in messages:
        head = f"{clock_time(message['at'])}  {message['kind']} to {message['to']}"
        click.echo(f"{head}  {click.style(message['subject'], bold=True)}".rstrip())
        for line in message["text"].splitlines():
            click.echo(f"    {line}".rstrip())
    if not messages:
        click.echo("The outbox is empty.", err=True)


@topics.command()
@click.argument("topic")
@click.argument("message")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Message attribute; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Write the verdicts as JSON.")
@endpoint_options
def explain(  # noqa: PLR0913 - one parameter an option
    topic: str,
    message: str,
    *,
    attributes: tuple[str, ...],
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Say which subscriptions of TOPIC would get MESSAGE and why the others would not; nothing is published."""
    node = Endpoint(endpoint, region, account)
    query = {
        "topic": _arn(topic, region, account),
        "message": message,
        "attributes": json.dumps(_pairs(attributes)),
    }
    verdicts = node.control("sns/explain", query)["subscriptions"]
    if as_json:
        print_json(verdicts)
        return
    print_verdicts(verdicts)


def _topic_arns(client: Any) -> Iterator[str]:
    for page in answer(lambda: list(client.get_paginator("list_topics").paginate())):
        yield from (topic["TopicArn"] for topic in page["Topics"])


def _topic_row(client: Any, arn: str) -> dict[str, Any]:
    attributes = answer(lambda: client.get_topic_attributes(TopicArn=arn))["Attributes"]
    return {
        "name": arn.rpartition(":")[2],
        "arn": arn,
        "confirmed": int(attributes["SubscriptionsConfirmed"]),
        "pending": int(attributes["SubscriptionsPending"]),
        "archived_since": attributes.get("BeginningArchiveTime", ""),
    }


def _subscription_rows(client: Any, topic_arn: str) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    for page in answer(lambda: list(pages)):
        for one in page["Subscriptions"]:
            is_pending = not one["SubscriptionArn"].startswith("arn:")
            attributes = dict[str, str]() if is_pending else _attributes(client, one["SubscriptionArn"])
            yield {
                "topic": topic_arn.rpartition(":")[2],
                "arn": one["SubscriptionArn"],
                "protocol": one["Protocol"],
                "endpoint": one["Endpoint"],
                "pending": is_pending,
                "filter": attributes.get("FilterPolicy", ""),
            }


def _attributes(client: Any, arn: str) -> dict[str, str]:
    return answer(lambda: client.get_subscription_attributes(SubscriptionArn=arn))["Attributes"]


def _arn(topic: str, region: str, account: str) -> str:
    return topic if topic.startswith("arn:") else f"arn:aws:sns:{region}:{account}:{topic}"


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"not NAME=VALUE: {text}", param_hint="--attribute")
        pairs[name] = value
    return pairs
