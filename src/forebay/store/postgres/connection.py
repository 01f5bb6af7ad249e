"""One connection, used by one thread at a time: prepared statements in a pipeline.

What is sent waits in the pipeline until somebody needs an answer, so a batch of many statements costs two or three
trips to the server. Results are waited for with `poll`, without the interpreter's lock. This is psycopg's `pq`
module (libpq itself) and not its cursors: those cost more per batch than the server does.
"""

import hashlib
import select
from collections import deque
from typing import Any, Protocol

import psycopg
from psycopg import conninfo, pq
from psycopg.adapt import Transformer

from forebay.store.postgres.codec import ENCODERS

# A statement that runs longer than this is given up by the server, and a second later by us.
STATEMENT_SECONDS_MAX = 30
_POLL_MS = (STATEMENT_SECONDS_MAX + 5) * 1000

CONNECT_SECONDS_MAX = 3

# How a dead server or network is noticed while nothing is answered, in seconds and tries.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# Every statement is planned once for its connection, and only for indexes: while a table is young, its statistics
# speak for scans that would be a disaster later.
_SETTINGS = (
    f"SET statement_timeout = '{STATEMENT_SECONDS_MAX}s'",
    "SET idle_in_transaction_session_timeout = '30s'",
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET max_parallel_workers_per_gather = 0",
    "SET client_min_messages = warning",
    "SET lc_messages = 'C'",
)

Row = tuple[Any, ...]


class ConnectionLost(Exception):
    """The connection is gone, or the server is going: nothing more can be asked on it."""


class StatementFailed(Exception):
    """The server refused a statement; `code` is the SQLSTATE."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def is_conflict(self) -> bool:
        """Whether another transaction was in the way, so that running again helps."""
        # serialization_failure, deadlock_detected, lock_not_available; unique_violation: both have put the same item.
        return self.code in {"40001", "40P01", "55P03", "23505"}

    @property
    def is_unavailable(self) -> bool:
        """Whether the server, not the statement, is at fault (disk full, read-only, out of memory, cancelled)."""
        # insufficient_resources, system_error, query_canceled, read_only_sql_transaction, index_corrupted ...
        return self.code[:2] in {"53", "58", "XX"} or self.code in {"57014", "25006"}


# admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout ...; 08 is connection_exception.
_LOST_CODES = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"})


class Statement:
    """A statement and the types of its parameters (see `codec`); prepared by each connection at first use."""

    __slots__ = ("encoders", "formats", "name", "text")

    def __init__(self, text: str, *types: str) -> None:
        self.text = text.encode()
        self.name = hashlib.sha256(self.text).hexdigest()[:20].encode()
        self.encoders = [ENCODERS[name] for name in types]
        self.formats = [pq.Format.BINARY] * len(types)


class Reply:
    """What a statement will answer, once `Connection.wait` has returned."""

    __slots__ = ("_result",)

    def __init__(self) -> None:
        self._result: Any = None

    def arrive(self, result: Any) -> None:
        """Take the result."""
        self._result = result

    def rows(self) -> list[Row]:
        """Return the rows."""
        result = self._result
        if result is None or not result.ntuples:
            return []
        transformer = Transformer()
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)


_UNDEFINED_OBJECT = "42704"

_BEGIN = Statement("BEGIN")
_COMMIT = Statement("COMMIT")
_ROLLBACK = Statement("ROLLBACK")


class Fetching(Protocol):
    """Where statements can be sent and their rows be had."""

    def fetch(self, statement: Statement, *values: Any) -> list[Row]:
        """Send a statement and return its rows."""
        ...


class Connection:
    """A pipeline to the server, with the names of one schema."""

    def __init__(self, url: str, schema: str) -> None:
        try:
            self._owner = connect(url, schema)
        except psycopg.Error as error:
            raise ConnectionLost(str(error).strip()) from error
        raw = self._owner.pgconn
        self._raw = raw
        raw.nonblocking = 1
        raw.enter_pipeline_mode()
        self._poll = select.poll()
        self._socket = raw.socket
        self._poll.register(self._socket, select.POLLIN)
        self._prepared: set[bytes] = set()
        # One for each answer that is still to come: a reply, the name of a statement being prepared, or a sync.
        self._waiting: deque[Reply | bytes | None] = deque()

    @property
    def backend_pid(self) -> int:
        """The server's process for this connection."""
        return self._raw.backend_pid

    def send(self, statement: Statement, *values: Any) -> Reply:
        """Send a statement without waiting for its answer."""
        encoded = [encode(value) for encode, value in zip(statement.encoders, values, strict=True)]
        try:
            if statement.name not in self._prepared:
                self._raw.send_prepare(statement.name, statement.text)
                self._prepared.add(statement.name)
                self._waiting.append(statement.name)
            self._raw.send_query_prepared(
                statement.name, encoded, param_formats=statement.formats, result_format=pq.Format.BINARY
            )
        except psycopg.Error as error:
            raise ConnectionLost(str(error).strip()) from error
        reply = Reply()
        self._waiting.append(reply)
        return reply

    def wait(self) -> None:
        """Wait for the answers to all that was sent.

        Raises:
            StatementFailed: one failed; what was sent behind it did not run.
            ConnectionLost: the server does not answer any more.
        """
        if self._waiting:
            try:
                self._raw.send_flush_request()
                self._receive()
            except psycopg.Error as error:
                raise ConnectionLost(str(error).strip()) from error

    def fetch(self, statement: Statement, *values: Any) -> list[Row]:
        """Send a statement and return its rows."""
        reply = self.send(statement, *values)
        self.wait()
        return reply.rows()

    def fetch_alone(self, statement: Statement, *values: Any) -> list[Row]:
        """Run a statement as a transaction of its own, in one trip, and return its rows."""
        reply = self.send(statement, *values)
        self.synchronise()
        return reply.rows()

    def begin(self) -> None:
        """Begin a transaction."""
        self.send(_BEGIN)

    def commit(self) -> None:
        """Commit and wait for everything."""
        self.send(_COMMIT)
        self.synchronise()

    def prepare_transaction(self, name: str) -> None:
        """Prepare the transaction to be committed later, whoever does it, and wait for everything."""
        self._send_text(f"PREPARE TRANSACTION '{name}'")
        self.synchronise()

    def finish_prepared(self, name: str, *, is_committed: bool) -> None:
        """Commit a prepared transaction or roll it back; nothing is done where it is not there (any more)."""
        self._send_text(f"{'COMMIT' if is_committed else 'ROLLBACK'} PREPARED '{name}'")
        try:
            self.synchronise()
        except StatementFailed as error:
            if error.code != _UNDEFINED_OBJECT:
                raise
            self.rollback()

    def rollback(self) -> None:
        """Undo the transaction, after an error too."""
        try:
            self._raw.pipeline_sync()
            self._waiting.append(None)
            self._receive(is_draining=True)
            if self._raw.transaction_status != pq.TransactionStatus.IDLE:
                self.send(_ROLLBACK)
                self.synchronise()
        except psycopg.Error as error:
            raise ConnectionLost(str(error).strip()) from error

    def synchronise(self) -> None:
        """End the pipeline's run, and wait for everything that was sent."""
        try:
            self._raw.pipeline_sync()
            self._waiting.append(None)
            self._receive()
        except psycopg.Error as error:
            raise ConnectionLost(str(error).strip()) from error

    def close(self) -> None:
        """Hang up."""
        self._owner.close()

    def _send_text(self, text: str) -> None:
        """Send a statement that takes no parameters and is never sent again."""
        try:
            self._raw.send_query_params(text.encode(), None)
        except psycopg.Error as error:
            raise ConnectionLost(str(error).strip()) from error
        self._waiting.append(Reply())

    def _receive(self, *, is_draining: bool = False) -> None:
        raw = self._raw
        waiting = self._waiting
        while waiting:
            self._pump()
            result = raw.get_result()
            if result is None:
                # In a pipeline, the end of one statement's results.
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                assert waiting.popleft() is None
                continue
            entry = waiting.popleft()
            if result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
                if isinstance(entry, Reply):
                    entry.arrive(result)
                continue
            if isinstance(entry, bytes):
                self._prepared.discard(entry)
            self._fail(result, is_draining=is_draining)

    def _fail(self, result: Any, *, is_draining: bool) -> None:
        code = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        text = result.error_message.decode(errors="replace").strip()
        if code in _LOST_CODES or code.startswith("08") or self._raw.status != pq.ConnStatus.OK:
            raise ConnectionLost(text or "the server closed the connection")
        if not is_draining:
            raise StatementFailed(code, text)

    def _pump(self) -> None:
        """Move bytes both ways until the next result is here."""
        raw = self._raw
        while True:
            unsent = raw.flush()
            if not raw.is_busy():
                return
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT if unsent else select.POLLIN)
            if not self._poll.poll(_POLL_MS):
                raise ConnectionLost(f"the server has not answered for {_POLL_MS // 1000} s")
            raw.consume_input()


def connect(url: str, schema: str) -> "psycopg.Connection[Row]":
    """Open a plain connection with our settings, in autocommit mode.

    Raises:
        psycopg.Error: the server cannot be reached or does not let us in.
    """
    options: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS_MAX, "application_name": "forebay", **_KEEPALIVE}
    # What the URL itself sets, its owner has chosen.
    given = conninfo.conninfo_to_dict(url)
    options = {name: value for name, value in options.items() if given.get(name) is None}
    connection: psycopg.Connection[Row] = psycopg.connect(url, autocommit=True, **options)
    try:
        for setting in _SETTINGS:
            connection.execute(setting.encode())
        # In quotes, the schema's name is what it is; `open_postgres` has checked it.
        connection.execute(f'SET search_path = "{schema}"'.encode())
        # An acknowledgement means durable, whatever the server's default is. Stricter settings are kept.
        row = connection.execute("SHOW synchronous_commit").fetchone()
        if row and row[0] == "off":
            connection.execute("SET synchronous_commit = on")
    except BaseException:
        connection.close()
        raise
    return connection


class Apart:
    """A connection on which each statement is a transaction of its own, and takes one trip."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, statement: Statement, *values: Any) -> list[Row]:
        """Run a statement and return its rows."""
        return self._connection.fetch_alone(statement, *values)
