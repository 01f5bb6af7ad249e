"""Wake-ups between nodes, over LISTEN and NOTIFY on a connection of their own, in a thread of their own.

What commits tell is gathered and sent as one notification outside of any transaction: inside each transaction it would
make all commits of the database wait for each other. A notification may be lost (a broken connection, a restart), and
then costs time only: waiters look by themselves, and every node asks for the control plane's version once a second.
The same thread watches over old snapshots, behind which dead rows cannot be vacuumed.
"""

import os
import select
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import psycopg
import structlog

from forebay.core.clock import monotonic
from forebay.store.contract import Topic
from forebay.store.postgres.connection import CONNECT_SECONDS_MAX, Row, connect

log = structlog.get_logger()

# PostgreSQL takes less than 8000 bytes; what does not fit becomes "look at everything".
_PAYLOAD_BYTES_MAX = 7900

# What is told within this time goes into one notification.
_GATHER_SECONDS = 0.002

# How often a node looks for changes of records that nobody told it about.
REFRESH_SECONDS = 1.0

_RECONNECT_SECONDS = 0.5
_SNAPSHOT_CHECK_SECONDS = 10.0
# A snapshot this old is worth a warning: claims have begun to slow down behind it.
SNAPSHOT_SECONDS_MAX = 60.0

_OLDEST_SNAPSHOT = (
    "SELECT extract(epoch FROM now() - since)::float8, what FROM ("
    " SELECT xact_start AS since, 'process ' || pid || ' ' || application_name AS what FROM pg_stat_activity"
    " WHERE backend_xmin IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()"
    " UNION ALL SELECT prepared, 'prepared transaction ' || gid FROM pg_prepared_xacts"
    " WHERE database = current_database()) AS held WHERE since IS NOT NULL ORDER BY since LIMIT 1"
)


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A notification: who sends it, whether records changed, and whom to wake (None: everyone)."""

    node: int
    has_changes: bool
    topics: tuple[Topic, ...] | None


class Hear(Protocol):
    """Takes in what another node tells."""

    def __call__(self, topics: Sequence[Topic] | None, *, has_changes: bool) -> None:
        """Wake whom `topics` concern (None: everyone)."""
        ...


class Notifier:
    """Sends and hears notifications. `hear` and `tick` are called in its thread."""

    def __init__(self, url: str, schema: str, node: int, hear: Hear, tick: Callable[[], None]) -> None:
        self._url = url
        self._schema = schema
        self._node = node
        self._hear = hear
        self._tick = tick
        self._lock = threading.Lock()
        self._topics: set[Topic] = set()
        self._has_changes = False
        self._is_everything = False
        self._is_awake = False
        self._is_closing = False
        # How old the oldest snapshot was when last looked at, in seconds.
        self.snapshot_seconds = 0.0
        self._ears, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._decoder = msgspec.json.Decoder(Told)
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forebay-notifier", daemon=True)

    def start(self) -> None:
        """Begin to listen, and return when nothing is missed any more."""
        self._thread.start()
        self._is_listening.wait(CONNECT_SECONDS_MAX)

    def tell(self, topics: Iterable[Topic] | None, *, has_changes: bool) -> None:
        """Let other nodes know; `topics` None wakes everyone there."""
        with self._lock:
            if topics is None:
                self._is_everything = True
            else:
                self._topics.update(topics)
            self._has_changes |= has_changes
            is_awake, self._is_awake = self._is_awake, True
        if not is_awake:
            os.write(self._bell, b"!")

    def close(self) -> None:
        """End the thread; what was told is sent first."""
        self._is_closing = True
        if self._thread.is_alive():
            os.write(self._bell, b"!")
            self._thread.join()
        os.close(self._ears)
        os.close(self._bell)

    def _run(self) -> None:
        while not self._is_closing:
            try:
                with connect(self._url, self._schema) as connection:
                    connection.execute(f'LISTEN "{self._schema}"'.encode())
                    connection.add_notify_handler(self._receive)
                    if self._is_listening.is_set():
                        # What was told meanwhile is lost.
                        self._hear(None, has_changes=True)
                    self._is_listening.set()
                    self._serve(connection)
            except psycopg.Error as error:
                if not self._is_closing:
                    log.warning("store.notifier_disconnected", error=str(error).strip())
                    self._tick()
                    select.select([], [], [], _RECONNECT_SECONDS)
            except Exception:
                # Our own bug. Without this thread, records that other nodes change would be seen late or never.
                log.exception("store.notifier_failed")
                select.select([], [], [], _RECONNECT_SECONDS)

    def _serve(self, connection: "psycopg.Connection[Row]") -> None:
        poll = select.poll()
        poll.register(self._ears, select.POLLIN)
        poll.register(connection.fileno(), select.POLLIN)
        refresh_at = monotonic()
        check_at = monotonic()
        while True:
            now = monotonic()
            if now >= refresh_at:
                refresh_at = now + REFRESH_SECONDS
                self._tick()
            if now >= check_at:
                check_at = now + _SNAPSHOT_CHECK_SECONDS
                self._check_snapshots(connection)
            ready = dict(poll.poll(max(refresh_at - now, 0) * 1000))
            if self._ears in ready:
                if not self._is_closing:
                    select.select([], [], [], _GATHER_SECONDS)
                self._send(connection)
            if connection.fileno() in ready:
                self._receive_all(connection)
            if self._is_closing:
                return

    def _send(self, connection: "psycopg.Connection[Row]") -> None:
        os.read(self._ears, 4096)
        with self._lock:
            topics: tuple[Topic, ...] | None = None if self._is_everything else tuple(self._topics)
            has_changes = self._has_changes
            self._topics.clear()
            self._has_changes = self._is_everything = self._is_awake = False
        if topics == () and not has_changes:
            return
        payload = msgspec.json.encode(Told(self._node, has_changes, topics))
        if len(payload) > _PAYLOAD_BYTES_MAX:
            payload = msgspec.json.encode(Told(self._node, has_changes, None))
        connection.execute("SELECT pg_notify(%s, %s)", (self._schema, payload.decode()))

    def _receive_all(self, connection: "psycopg.Connection[Row]") -> None:
        raw = connection.pgconn
        raw.consume_input()
        while (notification := raw.notifies()) is not None:
            self._take(notification.extra)

    def _receive(self, notification: psycopg.Notify) -> None:
        """Take a notification that came while the connection was used for something else."""
        self._take(notification.payload.encode())

    def _take(self, payload: bytes) -> None:
        try:
            told = self._decoder.decode(payload)
        except msgspec.DecodeError:
            # Not from a node of this version: it may mean anything.
            self._hear(None, has_changes=True)
            return
        if told.node != self._node:
            self._hear(told.topics, has_changes=told.has_changes)

    def _check_snapshots(self, connection: "psycopg.Connection[Row]") -> None:
        row = connection.execute(_OLDEST_SNAPSHOT).fetchone()
        self.snapshot_seconds = row[0] if row else 0.0
        if row and row[0] > SNAPSHOT_SECONDS_MAX:
            log.warning("store.old_snapshot", age_seconds=round(row[0]), held_by=row[1])
