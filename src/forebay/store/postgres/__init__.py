"""The PostgreSQL engine: one database, any number of nodes that keep nothing of their own.

Reading order: `engine.py` (the store as the loop sees it), `writer.py` (group commit, lost connections), `handlers.py`
(what runs which command), `session.py` (counters, marks, locks), then the kinds of data: `messages.py`, `receive.py`,
`fifo.py`, `fifo_receive.py`, `log.py`, `timers.py`, `items.py` and `item_pages.py` (with `long_keys.py`), `records.py`,
`blobs.py`; `gathering.py` lets reads by key share a trip; `notifier.py` joins the nodes; `schema.py` with
`migrations/`, `connection.py` and `codec.py` serve them. docs/decisions/0004 says why it is made like this.
"""

import asyncio
import re
from collections.abc import Sequence

from forebay.core.errors import ConfigError
from forebay.core.ids import Ids
from forebay.store.contract import Store

# How long requests wait for a database that is away before they are answered 503.
WAIT_SECONDS = 10.0

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# Several hosts of one database go into one URL, with commas between them.
_SEVERAL_URLS = re.compile(r"\s*,\s*(?=postgres(?:ql)?://)")


async def open_postgres(
    url: str | Sequence[str], *, schema: str = "forebay", wait_seconds: float = WAIT_SECONDS
) -> Store:
    """Open the store in a PostgreSQL database, whose schema is created or brought to this version.

    Several URLs (also in one text, with commas between them) spread it over as many databases.

    Raises:
        ConfigError: the driver is not installed, the server cannot be reached or does not keep what it acknowledges,
            or its schema needs a newer Forebay.
    """
    urls = _SEVERAL_URLS.split(url) if isinstance(url, str) else list(url)
    if not _SCHEMA_NAME.fullmatch(schema):
        raise ConfigError(f"{schema!r} is not a schema name that Forebay uses: lower-case letters, digits and _.")
    try:
        from forebay.store.postgres.connection import ConnectionLost  # noqa: PLC0415 - the driver is optional
        from forebay.store.postgres.engine import PostgresStore  # noqa: PLC0415
        from forebay.store.postgres.schema import prepare  # noqa: PLC0415
        from forebay.store.spread.engine import open_spread  # noqa: PLC0415
        from forebay.store.spread.members import check_alone  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"The PostgreSQL store needs a driver: pip install 'forebay[postgres]' ({error}).") from error
    for each in urls:
        await asyncio.to_thread(prepare, each, schema)
    node = int(Ids().hex(15), 16)
    try:
        if len(urls) > 1:
            return await open_spread(urls, schema=schema, wait_seconds=wait_seconds, node=node)
        await asyncio.to_thread(check_alone, urls[0], schema)
        store = PostgresStore(urls[0], schema, wait_seconds, node)
        await asyncio.to_thread(store.start)
    except ConnectionLost as error:
        raise ConfigError(f"The PostgreSQL store cannot be opened: {error}") from error
    return store
