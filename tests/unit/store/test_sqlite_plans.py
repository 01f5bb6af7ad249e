"""How SQLite would run the statements of the hot path: by an index each, whatever the depth."""

import sqlite3
from importlib import resources

import pytest

from forebay.store.sqlite import fair, fifo, groups, item_pages, items, messages, promotion, receive, timers
from forebay.store.sqlite.rows import Statements

# The beginning of other statements.
_FRAGMENTS = {"_READY", "_JOIN"}

# What reads a list of values that the statement brings along, or what an earlier step has found.
_SMALL = (
    "SCAN wanted",
    "SCAN change",
    "SCAN held",
    "SCAN json_each",
    "CONSTANT ROW",
    "SCAN (subquery",
    "SCAN SUBQUERY",
)

_FIRST_OF = f"{receive._READY} AND queue = ? AND group_id = ? ORDER BY order_key LIMIT 1"

STATEMENTS = {
    f"{module.__name__.rsplit('.', 1)[1]}.{name}": statement
    for module in (messages, receive, fifo, fair, groups, promotion, timers, items, item_pages)
    for name, statement in vars(module).items()
    if name not in _FRAGMENTS
    and (
        isinstance(statement, Statements)
        or (isinstance(statement, str) and statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")))
    )
} | {"fair.first_of": _FIRST_OF, "receive.first_of_many": receive.first_of_many(2)}


@pytest.fixture(scope="module")
def database():
    connection = sqlite3.connect(":memory:")
    scripts = resources.files("forebay.store.sqlite") / "migrations"
    for script in sorted(scripts.iterdir(), key=lambda file: file.name):
        if script.name.endswith(".sql"):
            connection.executescript(script.read_text())
    yield connection
    connection.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_looks_at_every_row(database, name):
    statement = STATEMENTS[name]
    text = statement._texts[3] if isinstance(statement, Statements) else statement
    plan = database.execute(f"EXPLAIN QUERY PLAN {text}", (1,) * text.count("?")).fetchall()
    steps = [row[3] for row in plan]
    assert steps or text.startswith("INSERT")
    scans = [step for step in steps if step.startswith("SCAN") and not any(small in step for small in _SMALL)]
    assert not scans, steps
    sorts = [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step]
    assert not sorts, steps
