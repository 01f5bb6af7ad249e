"""What a request to a table costs as the table grows: with 10 thousand, a million, 10 million items.

    .venv/bin/python -m tests.bench.bench_tables_depth [--items 10000 1000000 10000000] [--seconds 4]

A node serves a table whose items were put straight into its database, in random order of their keys: 290 bytes each,
100 to a partition. Requests go to 2,000 items of a few partitions (hot) and to any item (random). Prints the node's CPU
a request and its memory. The files are in `FOREBAY_BENCH_DIR`, 4 GB of them for 10 million items.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import json
import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forebay.languages.dynamodb.key import encode_partition, encode_scalar
from forebay.languages.dynamodb.value import item_size
from tests.bench.bench_server import cpu_seconds
from tests.bench.bench_tables import make_table, measure
from tests.bench.table_requests import TABLE, UPDATE, Requests, item, key
from tests.fault.kill import Node

_REQUESTS = 20_000
_HOT = 2_000
# Coprime to all numbers of items that anyone would ask for: its multiples are a random order.
_STEP = 1_000_000_007


def rows(count: int, table: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the items."""
    # All but the key is the same, so JSON is made once.
    text = json.dumps({**item(0), "pk": {"S": "%b"}, "sk": {"N": "%b"}}, separators=(",", ":"))
    form = text.encode()
    rest = item_size(item(0)) - item_size(key(0))
    coded_sorts = {text: encode_scalar({"N": text}) for text in map(str, range(100))}
    for place in range(count):
        pk, sk = [next(iter(value.values())) for value in key(place * _STEP % count).values()]
        size = rest + item_size({"pk": {"S": pk}, "sk": {"N": sk}})
        data = form % (pk.encode(), sk.encode())
        yield table, encode_partition([{"S": pk}]), coded_sorts[sk], size, b"", data


def fill(database: Path, count: int) -> None:
    """Put the items into the database of a node that is stopped and has one item in the table."""
    connection = sqlite3.connect(database, isolation_level=None)
    (table,) = connection.execute("SELECT item_table FROM item").fetchone()
    (index,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'item_key'").fetchone()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute("DELETE FROM item")
    connection.execute("DROP INDEX item_key")
    connection.executemany(
        "INSERT INTO item (item_table, partition_key, sort_key, size, entries, data) VALUES (?, ?, ?, ?, ?, ?)",
        rows(count, table),
    )
    connection.execute(index)
    total = connection.execute("SELECT sum(size) FROM item").fetchone()[0]
    connection.execute("INSERT OR REPLACE INTO item_count VALUES (?, -1, ?, ?)", (table, count, total))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def scenarios(requests: Requests, count: int) -> Iterator[tuple[str, list[bytes]]]:
    """Yield what is measured: a name, and requests to be sent in turn."""
    chance = random.Random(3)
    for name, among in (("hot", min(_HOT, count)), ("random", count)):
        numbers = [chance.randrange(among) for _ in range(_REQUESTS)]
        yield f"get, {name}", [requests.make("GetItem", TableName=TABLE, Key=key(n)) for n in numbers]
        yield f"put, {name}", [requests.make("PutItem", TableName=TABLE, Item=item(n)) for n in numbers]
        yield f"update, {name}", [requests.make("UpdateItem", TableName=TABLE, Key=key(n), **UPDATE) for n in numbers]
        query = {"TableName": TABLE, "KeyConditionExpression": "pk = :p"}
        values = [{":p": key(n)["pk"]} for n in numbers[:4000]]
        yield f"query, {name}", [requests.make("Query", **query, ExpressionAttributeValues=value) for value in values]


def run(count: int, seconds: float) -> dict[str, float]:
    """Measure with so many items; return us of CPU by scenario."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR", "/var/tmp")) as folder:
        node = Node(Path(folder) / "data")
        node.start()
        make_table(node.port, item(0))
        node.stop()
        fill(node.data / "store.db", count)
        node.start()
        pid = node._process.pid
        for name, ready in scenarios(Requests(node.port), count):
            result, _ = measure(node.port, pid, ready, 1.0)
            result, found[name] = measure(node.port, pid, ready, seconds)
            print(f"{count:>10,} items  {name:16} {found[name]:6.0f} us of CPU, {result}", flush=True)
        status = Path(f"/proc/{pid}/status").read_text()
        memory = {line.split()[0]: int(line.split()[1]) // 1024 for line in status.splitlines() if line[:3] == "VmH"}
        print(f"{count:>10,} items  memory {memory['VmHWM:']} MB, CPU {cpu_seconds(pid):.0f} s", flush=True)
        node.stop()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    found = {count: run(count, options.seconds) for count in options.items}
    base = found[options.items[0]]
    print(f"\n{'us of CPU a request':20}" + "".join(f"{count:>18,}" for count in found))
    for name, us in base.items():
        print(f"{name:20}" + "".join(f"{each[name]:10.0f} ({each[name] / us:4.2f})" for each in found.values()))


if __name__ == "__main__":
    main()
