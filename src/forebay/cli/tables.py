"""`forebay tables`: list tables, read them, follow their streams, and move their items to and from files."""

import base64
import json
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO

import click

from forebay.cli.client import Endpoint, answer, endpoint_options, print_json

_POLL_SECONDS = 0.5
_BATCH = 25
_VALUE_LENGTH_MAX = 60


@click.group()
def tables() -> None:
    """List tables, scan and query them, follow their streams, export and import items."""


@tables.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
@endpoint_options
def list_tables(*, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """List tables with their keys, numbers of items and sizes."""
    client = Endpoint(endpoint, region, account).client("dynamodb")
    pages = answer(lambda: list(client.get_paginator("list_tables").paginate()))
    rows = [_row(client, name) for page in pages for name in page["TableNames"]]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("There are no tables.", err=True)
        return
    width = max(len(row["name"]) for row in rows)
    click.echo(f"{'TABLE':<{width}}  {'ITEMS':>9}  {'BYTES':>12}  {'STATUS':<8}  {'STREAM':<18}  KEY, INDEXES")
    for row in rows:
        keys = ", ".join([row["key"], *row["indexes"]])
        line = f"{row['name']:<{width}}  {row['items']:>9}  {row['bytes']:>12}  {row['status']:<8}"
        click.echo(f"{line}  {row['stream'] or '-':<18}  {keys}")


def _row(client: Any, name: str) -> dict[str, Any]:
    table = answer(lambda: client.describe_table(TableName=name))["Table"]
    indexes = [*table.get("LocalSecondaryIndexes", []), *table.get("GlobalSecondaryIndexes", [])]
    return {
        "name": name,
        "items": table["ItemCount"],
        "bytes": table["TableSizeBytes"],
        "status": table["TableStatus"],
        "stream": table.get("StreamSpecification", {}).get("StreamViewType"),
        "key": _key(table["KeySchema"]),
        "indexes": [f"{index['IndexName']}({_key(index['KeySchema'])})" for index in indexes],
    }


def _key(schema: Iterable[Mapping[str, str]]) -> str:
    return "+".join(element["AttributeName"] for element in schema)


@tables.command()
@click.argument("table")
@click.option("--index", help="Read this index instead of the table.")
@click.option("--filter", "condition", help="A PartiQL condition: \"total > 10 AND contains(name, 'x')\".")
@click.option("--limit", default=25, show_default=True, type=click.IntRange(1), help="Most items to show.")
@click.option("--json", "as_json", is_flag=True, help="Write plain JSON, an item a line.")
@endpoint_options
def scan(  # noqa: PLR0913 - one parameter an option
    table: str,
    *,
    index: str | None,
    condition: str | None,
    limit: int,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Show items of TABLE."""
    client = Endpoint(endpoint, region, account).client("dynamodb")
    _show(_select(client, _source(table, index), condition, limit), as_json=as_json)


@tables.command()
@click.argument("table")
@click.argument("key")
@click.argument("condition", default="")
@click.option("--index", help="Query this index instead of the table.")
@click.option("--reverse", is_flag=True, help="The greatest sort keys first.")
@click.option("--limit", default=25, show_default=True, type=click.IntRange(1), help="Most items to show.")
@click.option("--json", "as_json", is_flag=True, help="Write plain JSON, an item a line.")
@endpoint_options
def query(  # noqa: PLR0913 - one parameter an option
    table: str,
    key: str,
    condition: str,
    *,
    index: str | None,
    reverse: bool,
    limit: int,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Show the items of TABLE whose partition key is KEY, in order.

    CONDITION is a PartiQL condition on the others: "begins_with(sk, 'ORDER#') AND total > 10".
    """
    client = Endpoint(endpoint, region, account).client("dynamodb")
    described = answer(lambda: client.describe_table(TableName=table))["Table"]
    schema = described["KeySchema"]
    if index is not None:
        indexes = [*described.get("LocalSecondaryIndexes", []), *described.get("GlobalSecondaryIndexes", [])]
        schema = next((one["KeySchema"] for one in indexes if one["IndexName"] == index), None)
        if schema is None:
            raise click.ClickException(f"{table} has no index {index}.")
    types = {one["AttributeName"]: one["AttributeType"] for one in described["AttributeDefinitions"]}
    partition = schema[0]["AttributeName"]
    value = key if types[partition] == "N" else "'" + key.replace("'", "''") + "'"
    where = f'"{partition}" = {value}' + (f" AND ({condition})" if condition else "")
    order = ""
    if reverse:
        sort = next((one["AttributeName"] for one in schema if one["KeyType"] == "RANGE"), partition)
        order = f' ORDER BY "{sort}" DESC'
    _show(_select(client, _source(table, index), where, limit, order), as_json=as_json)


def _source(table: str, index: str | None) -> str:
    return f'"{table}"' if index is None else f'"{table}"."{index}"'


def _select(client: Any, source: str, condition: str | None, limit: int, order: str = "") -> Iterator[dict[str, Any]]:
    # The user's own condition on the user's own table: that is the command.
    where = f" WHERE {condition}" if condition else ""
    statement = f"SELECT * FROM {source}{where}{order}"  # noqa: S608  see above
    token: dict[str, str] = {}
    while True:
        request = {"Statement": statement, **token}
        page = answer(lambda request=request: client.execute_statement(**request))
        for item in page["Items"]:
            if limit == 0:
                return
            limit -= 1
            yield item
        if "NextToken" not in page:
            return
        token = {"NextToken": page["NextToken"]}


def _show(items: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    count = 0
    for item in items:
        count += 1
        if as_json:
            click.echo(json.dumps(plain_item(item), default=_json_default))
            continue
        shown = "  ".join(f"{click.style(name, fg='cyan')}={_short(value)}" for name, value in plain_item(item).items())
        click.echo(shown)
    if not count:
        click.echo("There are no items.", err=True)


def plain_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return an item's attributes as plain values."""
    return {name: plain_value(value) for name, value in item.items()}


def plain_value(value: Mapping[str, Any]) -> Any:  # noqa: PLR0911  a table of types
    """Return an attribute value without its type: numbers are exact, bytes base64."""
    ((kind, held),) = value.items()
    match kind:
        case "N":
            return _number(held)
        case "NS":
            return [_number(text) for text in held]
        case "B":
            return base64.b64encode(held).decode()
        case "BS":
            return [base64.b64encode(one).decode() for one in held]
        case "L":
            return [plain_value(one) for one in held]
        case "M":
            return plain_item(held)
        case "NULL":
            return None
        case _:
            return held


def _number(text: str) -> int | Decimal:
    return int(text) if text.lstrip("-").isdecimal() else Decimal(text)


def _json_default(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=_json_default)
    text = text.replace("\n", " ")
    return text if len(text) <= _VALUE_LENGTH_MAX else f"{text[: _VALUE_LENGTH_MAX - 3]}..."


@tables.command()
@click.argument("table")
@click.option("--output", "-o", type=click.File("wb"), default="-", help="The file to write; without it, the terminal.")
@endpoint_options
def export(table: str, *, output: BinaryIO, endpoint: str, region: str, account: str) -> None:
    """Write the items of TABLE as DynamoDB JSON, one a line: what `import` and AWS's own imports read."""
    client = Endpoint(endpoint, region, account).client("dynamodb")
    count = 0
    for page in _pages(client, table):
        for item in page:
            line = json.dumps({"Item": item}, default=_wire_default, separators=(",", ":"))
            output.write(line.encode() + b"\n")
            count += 1
    click.echo(f"Exported {count} items of {table}.", err=True)


def _pages(client: Any, table: str) -> Iterator[list[dict[str, Any]]]:
    start: dict[str, Any] = {}
    while True:
        request = {"TableName": table, "ConsistentRead": True, **start}
        page = answer(lambda request=request: client.scan(**request))
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _wire_default(value: object) -> object:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


@tables.command("import")
@click.argument("table")
@click.argument("source", type=click.File("rb"), default="-")
@endpoint_options
def import_items(table: str, *, source: BinaryIO, endpoint: str, region: str, account: str) -> None:
    """Put the items of a file of DynamoDB JSON (or of standard input) into TABLE, which is there already."""
    client = Endpoint(endpoint, region, account).client("dynamodb")
    batch: list[dict[str, Any]] = []
    count = 0
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        batch.append({"PutRequest": {"Item": _read_line(number, line)}})
        if len(batch) == _BATCH:
            count += _put(client, table, batch)
            batch = []
    count += _put(client, table, batch)
    click.echo(f"Imported {count} items into {table}.", err=True)


def _read_line(number: int, line: bytes) -> dict[str, Any]:
    try:
        item = json.loads(line)["Item"]
        return {name: _bytes_of(value) for name, value in item.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise click.ClickException(f'Line {number} is not {{"Item": {{...}}}} of DynamoDB JSON.') from None


def _bytes_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attribute value as boto3 takes it: with bytes instead of base64."""
    ((kind, held),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(held)}
        case "BS":
            return {"BS": [base64.b64decode(one) for one in held]}
        case "L":
            return {"L": [_bytes_of(one) for one in held]}
        case "M":
            return {"M": {name: _bytes_of(one) for name, one in held.items()}}
        case _:
            return {kind: held}


def _put(client: Any, table: str, batch: list[dict[str, Any]]) -> int:
    waiting = {table: batch} if batch else {}
    while waiting:
        request = waiting
        waiting = answer(lambda request=request: client.batch_write_item(RequestItems=request))["UnprocessedItems"]
    return len(batch)


@tables.command()
@click.argument("table")
@click.option("--from-start", is_flag=True, help="Begin with the oldest record, not with what comes now.")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Wait for further records.")
@click.option("--json", "as_json", is_flag=True, help="Write records as JSON, one a line.")
@endpoint_options
def stream(  # noqa: PLR0913 - one parameter an option
    table: str, *, from_start: bool, follow: bool, as_json: bool, endpoint: str, region: str, account: str
) -> None:
    """Show the changes of TABLE as they come in its stream."""
    node = Endpoint(endpoint, region, account)
    described = answer(lambda: node.client("dynamodb").describe_table(TableName=table))["Table"]
    if "StreamSpecification" not in described:
        raise click.ClickException(f"{table} has no stream. Give it one: StreamSpecification in its template.")
    client = node.client("dynamodbstreams")
    for record in _records(client, described["LatestStreamArn"], from_start=from_start, follow=follow):
        if as_json:
            click.echo(json.dumps(record, default=_record_default))
        else:
            click.echo(_record_line(record))
        sys.stdout.flush()


def _records(client: Any, arn: str, *, from_start: bool, follow: bool) -> Iterator[dict[str, Any]]:
    """Yield records shard by shard, parents first."""
    pause = threading.Event()
    seen: set[str] = set()
    kind = "TRIM_HORIZON" if from_start else "LATEST"
    while True:
        shards = answer(lambda: client.describe_stream(StreamArn=arn))["StreamDescription"]["Shards"]
        for shard in shards if from_start or seen else shards[-1:]:
            shard_id = shard["ShardId"]
            if shard_id in seen:
                continue
            seen.add(shard_id)
            request = {"StreamArn": arn, "ShardId": shard_id, "ShardIteratorType": kind}
            iterator = answer(lambda request=request: client.get_shard_iterator(**request))["ShardIterator"]
            while iterator is not None:
                page = answer(lambda iterator=iterator: client.get_records(ShardIterator=iterator))
                yield from page["Records"]
                iterator = page.get("NextShardIterator")
                if iterator is not None and not page["Records"]:
                    if not follow:
                        return
                    pause.wait(_POLL_SECONDS)
        # What comes in shards that follow has all to be shown.
        kind = "TRIM_HORIZON"


_COLOURS = {"INSERT": "green", "MODIFY": "yellow", "REMOVE": "red"}


def _record_line(record: Mapping[str, Any]) -> str:
    change = record["dynamodb"]
    when = change["ApproximateCreationDateTime"].strftime("%H:%M:%S")
    name = click.style(f"{record['eventName']:<6}", fg=_COLOURS[record["eventName"]])
    keys = " ".join(f"{key}={_short(value)}" for key, value in plain_item(change["Keys"]).items())
    image: dict[str, Any] = change.get("NewImage") or change.get("OldImage") or {}
    rest = {key: value for key, value in image.items() if key not in change["Keys"]}
    shown = " ".join(f"{key}={_short(value)}" for key, value in plain_item(rest).items())
    by = " (expired)" if "userIdentity" in record else ""
    return f"{when}  {name}  {keys}  {shown}{by}".rstrip()


def _record_default(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
