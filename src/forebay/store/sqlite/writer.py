"""The writer: the one thread that changes the database, a commit for everything that arrived during the last one.

Each step of SQLite gives the interpreter's lock away and must win it back from the event loop, so what happens here
is made of few steps. After a commit the loop is woken once, with all results. Checkpoints run after that, on
this connection only: nobody waits for them but the next batch (and SQLite before 3.51.3 can lose a commit when one
connection checkpoints while another restarts the log).
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog

from forebay.core.errors import Unavailable
from forebay.store.commands import Command
from forebay.store.contract import Transaction
from forebay.store.plan import Plan
from forebay.store.sqlite import log as logs
from forebay.store.sqlite import messages
from forebay.store.sqlite.connection import is_unavailable
from forebay.store.sqlite.handlers import HANDLERS, run_plan
from forebay.store.sqlite.records import SqliteRecords
from forebay.store.sqlite.session import Session
from forebay.store.submission import Deliver, Inbox, Submission

R = TypeVar("R")

log = structlog.get_logger()

# Pages (of 4 KiB) that the log may hold before it is copied into the database: for the few milliseconds that takes
# (measured: 3 ms for 1000, 10 ms for 4000, at the same cost in CPU) the next batch waits ...
_LOG_PAGES = 1000
# ... and at which readers that keep it from starting anew are waited for.
_LOG_PAGES_MAX = 16_000
_COMMITS_BETWEEN_MIN = 8
_COMMITS_BETWEEN_MAX = 500


# All but `meta` and `sequence`: numbers that were given are not given again.
_TABLES = (
    "record",
    "message",
    "message_group",
    "duplicate",
    "receive_attempt",
    "queue",
    "queue_change",
    "entry",
    "stream",
    "timer",
    "timer_count",
    "item",
    "item_entry",
    "item_count",
)


class WriterTransaction:
    """The `Transaction` that `transact` hands to its work."""

    def __init__(self, session: Session) -> None:
        self.records = SqliteRecords(session)
        self._session = session

    def apply(self, command: Command[R]) -> R:
        """Run a command as part of the transaction."""
        return HANDLERS[type(command)](self._session, (command,))[0]

    def wipe(self, watched: Sequence[str]) -> None:
        """Delete everything but the numbers already given; `watched` kinds of records tell their going."""
        execute = self._session.execute
        for kind in watched:
            for (key,) in execute("SELECT key FROM record WHERE kind = ?", (kind,)).fetchall():
                self._session.changes.append((kind, key, None))
        for table in _TABLES:
            execute(f"DELETE FROM {table}")  # noqa: S608 our own names
        self._session.forget()


class Writer:
    """Runs submissions in its own thread and delivers them, done or failed, on the loop."""

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop, deliver: Deliver) -> None:
        self._connection = connection
        self._session = Session(connection)
        self._transaction = WriterTransaction(self._session)
        self._loop = loop
        self._deliver = deliver
        self._inbox = Inbox()
        self._commits = 0
        self._commits_between = _COMMITS_BETWEEN_MIN
        self._log_pages_max = _LOG_PAGES_MAX
        # A daemon, so that a node that dies without closing does not hang on it.
        self.thread = threading.Thread(target=self._run, name="forebay-store", daemon=True)
        self.put = self._inbox.put
        self.thread.start()

    def close(self) -> None:
        """Let the thread end when it has done what was put before."""
        self._inbox.close()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("store.writer_failed")
            self._inbox.refuse(self._tell)
        finally:
            self._connection.close()

    def _serve(self) -> None:
        inbox = self._inbox
        while not inbox.is_closed:
            batch = inbox.take(wait=not self._session.needs_sweep)
            if batch:
                self._commit(batch)
                if not self._tell(batch):
                    break
            if self._session.needs_sweep and not inbox.is_closed:
                self._sweep()
            if self._commits >= self._commits_between:
                self._checkpoint()

    def _commit(self, batch: Sequence[Submission]) -> None:
        """Run a batch in one transaction; if that fails, each submission alone, so that only the guilty one fails."""
        error = self._attempt(batch)
        if error is None:
            return
        if is_unavailable(error):
            for submission in batch:
                submission.error = Unavailable(f"the store cannot write: {error}")
            return
        if len(batch) == 1:
            batch[0].error = error
            return
        for submission in batch:
            self._commit((submission,))

    def _attempt(self, batch: Sequence[Submission]) -> BaseException | None:
        session = self._session
        known_changes = len(session.changes)
        for submission in batch:
            submission.error = None
        try:
            session.execute("BEGIN IMMEDIATE")
            self._execute(batch)
            session.flush()
            session.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 whatever it is, it becomes the outcome of the submissions
            session.forget()
            del session.changes[known_changes:]
            try:
                if self._connection.in_transaction:
                    self._connection.rollback()
            except sqlite3.Error as rollback_error:
                return rollback_error
            return error
        self._commits += 1
        return None

    def _execute(self, batch: Sequence[Submission]) -> None:
        plan = Plan(HANDLERS)
        for submission in batch:
            if submission.work is None:
                submission.result = plan.add(submission.commands)
            else:
                run_plan(self._session, plan)
                plan = Plan(HANDLERS)
                self._run_work(submission, submission.work)
        run_plan(self._session, plan)

    def _run_work(self, submission: Submission, work: Callable[[Transaction], Any]) -> None:
        """Run a transaction's function; its exception undoes what it did and nothing else."""
        session = self._session
        session.flush()
        known_changes = len(session.changes)
        session.execute("SAVEPOINT work")
        try:
            submission.result = work(self._transaction)
            session.flush()
        except Exception as error:
            if is_unavailable(error) or not self._connection.in_transaction:
                raise
            session.execute("ROLLBACK TO work")
            session.forget()
            del session.changes[known_changes:]
            submission.error = error
        session.execute("RELEASE work")

    def _tell(self, batch: Sequence[Submission]) -> bool:
        """Deliver results on the loop; return False when the loop is gone and nobody is left to tell."""
        topics, changes = self._session.take_news()
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, topics, changes)
        except RuntimeError:
            return False
        return True

    def _sweep(self) -> None:
        """Delete some of the rows that purges and drops have left."""
        session = self._session
        try:
            session.execute("BEGIN IMMEDIATE")
            session.needs_sweep = messages.sweep(session) or logs.sweep(session)
            session.flush()
            session.execute("COMMIT")
            self._commits += 1
        except sqlite3.Error:
            # Out of space, most likely. The next purge, drop or start tries again; nothing depends on it.
            session.forget()
            session.needs_sweep = False
            if self._connection.in_transaction:
                self._connection.rollback()

    def _checkpoint(self) -> None:
        """Copy the log into the database, and adapt how often that happens to how fast the log grows."""
        commits, self._commits = self._commits, 0
        try:
            _, pages, copied = self._session.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages - copied > self._log_pages_max:
                # Readers follow each other without a gap; new ones wait while this takes the log from them.
                is_busy, *_ = self._session.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                # One reader that stays (a backup) is not waited for again and again: let the log grow twice as long.
                self._log_pages_max = self._log_pages_max * 2 if is_busy else _LOG_PAGES_MAX
        except sqlite3.Error:
            # The disk is full or failing: the log still holds everything, and the next commit will say so.
            return
        wanted = commits * _LOG_PAGES // max(pages, 1)
        self._commits_between = min(max(wanted, _COMMITS_BETWEEN_MIN), _COMMITS_BETWEEN_MAX)
