"""The schema's versions: numbered SQL files that only ever lead forward, applied when a store is opened.

Nodes of two versions run side by side during an upgrade, so a change of the schema is made in two releases: the first
*expands* (adds tables, columns with defaults, indexes) and its nodes write both ways where that matters; a later one
*contracts*, when no node of the older version is left. Each file's first line, `-- compatible: N`, names the oldest
schema version whose nodes still work on the result; a file that contracts raises it. A node refuses a database whose
`compatible` version is newer than its own, and runs on any other.
"""

import zlib
from importlib import resources

import psycopg

from forebay.core.errors import ConfigError
from forebay.store.postgres.connection import Row, connect

_MIGRATIONS = resources.files("forebay.store.postgres") / "migrations"
_VERSION_MIN = 13_00_00

_COMPATIBLE = "-- compatible:"

# The first half of the advisory lock's key; the schema's name makes the second.
_LOCK_CLASS = 0x466F7265


def prepare(url: str, schema: str) -> None:
    """Check the server and bring the schema to this version, one migration a transaction.

    Raises:
        ConfigError: the server cannot be reached or would lose what it has acknowledged, or its schema is too new.
    """
    try:
        with connect(url, schema) as connection:
            _check_server(connection)
            migrate(connection, schema)
    except psycopg.Error as error:
        raise ConfigError(f"The PostgreSQL store cannot be opened: {str(error).strip()}") from error


def migrate(connection: "psycopg.Connection[Row]", schema: str) -> None:
    """Apply what is missing, while other nodes that want to do the same wait."""
    scripts = _scripts()
    newest = max(scripts)
    key = zlib.crc32(schema.encode()) - (1 << 31)
    connection.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK_CLASS, key))
    try:
        version, compatible = _version(connection, schema)
        if compatible > newest:
            raise ConfigError(
                f"The PostgreSQL schema {schema} has version {version}, which needs a Forebay that knows at least "
                f"version {compatible}; this one knows versions up to {newest}. Start a newer Forebay."
            )
        for number in range(version + 1, newest + 1):
            text = scripts[number]
            with connection.transaction():
                connection.execute(text.encode())
                connection.execute(
                    "UPDATE meta SET version = %s, compatible = %s", (number, _compatible_version(text, number))
                )
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s, %s)", (_LOCK_CLASS, key))


def _version(connection: "psycopg.Connection[Row]", schema: str) -> tuple[int, int]:
    """Return the schema's version and the oldest compatible one; both 0 for a schema that is new."""
    found = connection.execute("SELECT to_regclass(%s)", (f'"{schema}".meta',)).fetchone()
    if found is None or found[0] is None:
        with connection.transaction():
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'.encode())
            connection.execute("CREATE TABLE meta (version INT NOT NULL, compatible INT NOT NULL)")
            connection.execute("INSERT INTO meta VALUES (0, 0)")
    row = connection.execute("SELECT version, compatible FROM meta").fetchone()
    assert row is not None
    return row[0], row[1]


def _compatible_version(text: str, number: int) -> int:
    first = text.splitlines()[0]
    if not first.startswith(_COMPATIBLE):
        raise ValueError(f"migration {number} does not say what it is compatible with")
    return int(first.removeprefix(_COMPATIBLE))


def _check_server(connection: "psycopg.Connection[Row]") -> None:
    def show(setting: str) -> str:
        row = connection.execute(f"SHOW {setting}".encode()).fetchone()
        return str(row[0]) if row else ""

    if connection.info.server_version < _VERSION_MIN:
        raise ConfigError(f"PostgreSQL {show('server_version')} is too old; Forebay needs 13 or newer.")
    if show("server_encoding") != "UTF8":
        raise ConfigError(f"The database is encoded in {show('server_encoding')}; Forebay needs UTF8.")
    for setting in ("fsync", "full_page_writes"):
        if show(setting) != "on":
            raise ConfigError(
                f"PostgreSQL runs with {setting} = off, so a crash could lose what was acknowledged; turn it on."
            )
    if show("transaction_read_only") != "off":
        raise ConfigError("This PostgreSQL is read-only (a standby?); Forebay needs the primary.")


def _scripts() -> dict[int, str]:
    files = (file for file in _MIGRATIONS.iterdir() if file.name.endswith(".sql"))
    return {int(file.name.split("_")[0]): file.read_text(encoding="utf-8") for file in files}
