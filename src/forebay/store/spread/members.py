"""Which databases make up one store: each knows the store, its own place and how many there are.

That is written down when they are first opened together. From then on they are only opened all together, in whatever
order the URLs are given, and none of them as a store of its own.
"""

from collections.abc import Sequence

import psycopg

from forebay.core.errors import ConfigError
from forebay.core.ids import Ids
from forebay.store.postgres.connection import Row, connect

# Positions are never the same in two databases, because each takes every so-manieth.
PLACES_MAX = 64

_ENROL_LOCK = 0x466F_7265_6261_7920


def enrol(urls: Sequence[str], schema: str) -> tuple[str, list[str]]:
    """Make sure that databases belong together, and return the store's name and their URLs by place.

    Raises:
        ConfigError: they do not belong together, one is missing, or a server does not allow prepared transactions.
    """
    if len(urls) > PLACES_MAX:
        raise ConfigError(f"A store can be spread over {PLACES_MAX} databases at the most; {len(urls)} are given.")
    connections: list[psycopg.Connection[Row]] = []
    try:
        connections = [connect(url, schema) for url in urls]
        for connection in connections:
            _check_prepared(connection)
        # Two nodes that start for the first time could each begin.
        connections[0].execute("SELECT pg_advisory_lock(%s)", (_ENROL_LOCK,))
        return _enrol(connections, urls)
    except psycopg.Error as error:
        raise ConfigError(f"The PostgreSQL store cannot be opened: {str(error).strip()}") from error
    finally:
        for connection in connections:
            connection.close()


def check_alone(url: str, schema: str) -> None:
    """Make sure that a database is a store by itself.

    Raises:
        ConfigError: it is one of several.
    """
    with connect(url, schema) as connection:
        member = _member(connection)
    if member is not None:
        raise ConfigError(
            f"This database is one of {member[2]} that hold a store together; give --store the URLs of all of them."
        )


def _enrol(connections: Sequence["psycopg.Connection[Row]"], urls: Sequence[str]) -> tuple[str, list[str]]:
    members = [_member(connection) for connection in connections]
    known = [member for member in members if member is not None]
    store = known[0][0] if known else Ids().hex(16)
    _check_known(known, len(urls))
    by_place: dict[int, str] = {}
    for place in reversed(range(len(urls))):
        # The home is the last to know, and so knows only what all others know.
        member = members[place]
        if member is None:
            member = _join(connections[place], store, place, len(urls))
        if member[1] in by_place:
            raise ConfigError("--store names one database twice.")
        by_place[member[1]] = urls[place]
    return store, [by_place[place] for place in range(len(urls))]


def _check_known(known: Sequence[tuple[str, int, int]], count: int) -> None:
    if len({store for store, _, _ in known}) > 1:
        raise ConfigError("The databases that --store names belong to different stores.")
    for _, _, places in known:
        if places != count:
            raise ConfigError(
                f"The store is spread over {places} databases; --store names {count}. Give the URLs of all of them: "
                "spreading it over more or fewer is not implemented."
            )


def _join(connection: "psycopg.Connection[Row]", store: str, place: int, places: int) -> tuple[str, int, int]:
    with connection.transaction():
        present = _member(connection)
        if present is not None:
            # Named twice: it has just joined under another place.
            return present
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM queue) OR EXISTS (SELECT FROM message) OR EXISTS (SELECT FROM entry)"
            " OR EXISTS (SELECT FROM record WHERE value IS NOT NULL)"
        ).fetchone()
        if row and row[0]:
            raise ConfigError(
                f"Database {place + 1} of those that --store names already holds a store of its own, whose queues "
                "would not be found; several databases must be empty when they are first opened together."
            )
        connection.execute("INSERT INTO member (store, place, places) VALUES (%s, %s, %s)", (store, place, places))
        connection.execute(
            f"ALTER SEQUENCE position INCREMENT BY {PLACES_MAX} RESTART WITH {PLACES_MAX + place}".encode()
        )
    return store, place, places


def _member(connection: "psycopg.Connection[Row]") -> tuple[str, int, int] | None:
    row = connection.execute("SELECT store, place, places FROM member").fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _check_prepared(connection: "psycopg.Connection[Row]") -> None:
    row = connection.execute("SHOW max_prepared_transactions").fetchone()
    if row is None or row[0] == "0":
        raise ConfigError(
            "A store over several databases commits in all of them or in none, which needs prepared transactions; "
            f"this PostgreSQL ({connection.info.host}) allows none. Set max_prepared_transactions = 16 and restart it."
        )
