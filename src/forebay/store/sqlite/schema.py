"""The schema's versions: numbered SQL files that only ever lead forward, applied when a store is opened."""

import sqlite3
from importlib import resources
from pathlib import Path

from forebay.core.errors import ConfigError

_MIGRATIONS = resources.files("forebay.store.sqlite") / "migrations"


def migrate(connection: sqlite3.Connection, database: Path) -> None:
    """Bring the schema to this version, one migration a transaction.

    Raises:
        ConfigError: the data was written by a newer Forebay.
    """
    scripts = _scripts()
    newest = max(scripts)
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise ConfigError(
            f"The data in {database} has schema version {version}, written by a newer Forebay; "
            f"this one knows versions up to {newest}. Start it with a Forebay at least that new."
        )
    for number in range(version + 1, newest + 1):
        # `user_version` takes no parameter; the number is ours.
        connection.executescript(f"BEGIN IMMEDIATE;\n{scripts[number]}\nPRAGMA user_version = {number};\nCOMMIT;")


def newest_version() -> int:
    """Return the schema version that this Forebay writes."""
    return max(_scripts())


def _scripts() -> dict[int, str]:
    files = (file for file in _MIGRATIONS.iterdir() if file.name.endswith(".sql"))
    return {int(file.name.split("_")[0]): file.read_text(encoding="utf-8") for file in files}
