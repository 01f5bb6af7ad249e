"""Writers: threads that commit, one transaction for everything that arrived during the last one.

A node has two. One runs the commands of `submit`; the other runs the functions of `transact`, one node's at a time:
it holds the control lock, so records are read and written as if there were no other node. Neither waits for the other.

A lost connection is made anew while requests wait, for a bounded time. What became of the batch in hand is then read
from its mark (`session.py`): committed, and it is acknowledged; not, and it runs again. Reading the mark also bars the
old connection, should its half of the line still be alive.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from forebay.core.clock import monotonic
from forebay.core.errors import Conflict, Unavailable
from forebay.core.ids import Ids
from forebay.store.commands import Command
from forebay.store.plan import Plan
from forebay.store.postgres import log as logs
from forebay.store.postgres import messages
from forebay.store.postgres.companions import Alone, CompanionLost, Companions
from forebay.store.postgres.connection import Connection, ConnectionLost, Statement, StatementFailed
from forebay.store.postgres.handlers import HANDLERS, lock, run_plan
from forebay.store.postgres.records import PostgresRecords
from forebay.store.postgres.session import News, Session, resolve
from forebay.store.submission import Deliver, Inbox, Submission

R = TypeVar("R")

log = structlog.get_logger()

# Functions of `transact` in one commit: they hold the control lock together.
BATCH_WORKS_MAX = 64

# How often a batch that lost against another transaction (a deadlock) is run again.
_CONFLICTS_MAX = 8

_DIVISION_BY_ZERO = "22012"

_SAVEPOINT = Statement("SAVEPOINT work")
_ROLLBACK_TO = Statement("ROLLBACK TO work")
_RELEASE = Statement("RELEASE work")

# Between attempts to connect, in seconds.
_RECONNECT_SECONDS_MIN = 0.02
_RECONNECT_SECONDS_MAX = 0.5


class WriterTransaction:
    """The `Transaction` that `transact` hands to its work."""

    def __init__(self, session: Session, node: int) -> None:
        self.records = PostgresRecords(session, node)
        self._session = session

    def apply(self, command: Command[R]) -> R:
        """Run a command as part of the transaction."""
        lock(self._session, (command,))
        return HANDLERS[type(command)](self._session, (command,))[0]

    @property
    def session(self) -> Session:
        """The session, for the store's own work (`wipe.py`)."""
        return self._session


class Settings:
    """What the writers of a node share."""

    def __init__(self, connect: Callable[[], Connection], schema: str, wait_seconds: float, node: int) -> None:
        self.connect = connect
        self.schema = schema
        # How long a request waits for a lost connection to come back.
        self.wait_seconds = wait_seconds
        # Names this process to the others that share the database.
        self.node = node
        self.ids = Ids()
        # Set when the node stops: nobody waits for the database any more.
        self.stopping = threading.Event()

    def pause(self, seconds: float = 0.1) -> bool:
        """Wait about that long; return whether the node stops."""
        return self.stopping.wait(self.ids.uniform(seconds / 2, seconds))


class Writer:
    """Runs submissions in its own thread and delivers them, done or failed, on the loop.

    `between` is called in the thread between two commits, when `poke` has asked for it. `companions` commit with it.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        between: Callable[[Session], None] | None = None,
        companions: Companions | None = None,
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._deliver = deliver
        self._between = between
        self._companions = companions or Alone()
        self._news = News()
        self._session: Session | None = None
        self._inbox = Inbox(BATCH_WORKS_MAX)
        self._is_poked = False
        # A daemon, so that a node that dies without closing does not hang on it.
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.put = self._inbox.put

    def start(self) -> None:
        """Connect and begin to work.

        Raises:
            ConnectionLost: the server cannot be reached.
        """
        self._session = self._new_session(self._settings.connect())
        self.thread.start()

    def poke(self) -> None:
        """Let `between` be called soon."""
        if not self._is_poked:
            self._is_poked = True
            self._inbox.poke()

    def close(self) -> None:
        """Let the thread end when it has done what was put before."""
        self._settings.stopping.set()
        self._inbox.close()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("store.writer_failed")
            self._inbox.refuse(self._tell)
        finally:
            if self._session is not None:
                self._leave(self._session)

    def _serve(self) -> None:
        while not self._inbox.is_closed:
            batch = self._inbox.take(wait=not self._needs_sweep())
            if batch:
                self._commit(batch)
                if not self._tell(batch):
                    break
            if self._is_poked:
                self._is_poked = False
                self._spend(self._between)
            if self._needs_sweep():
                self._spend(_sweep)

    def _needs_sweep(self) -> bool:
        return not self._inbox.is_closed and self._session is not None and self._session.needs_sweep

    def _tell(self, batch: Sequence[Submission]) -> bool:
        """Deliver results on the loop; return False when the loop is gone and nobody is left to tell."""
        topics, changes = self._news.take()
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, topics, changes)
        except RuntimeError:
            return False
        return True

    def _spend(self, chore: Callable[[Session], None] | None) -> None:
        """Run a chore for which nobody waits; if it fails, the next occasion is as good."""
        session = self._session
        if chore is None or session is None:
            return
        try:
            chore(session)
        except ConnectionLost:
            self._drop(session)
        except StatementFailed as error:
            log.warning("store.chore_failed", error=str(error))
            session.needs_sweep = False
            self._roll_back(session)

    # --- One commit

    def _commit(self, batch: Sequence[Submission]) -> None:
        """Run a batch in one transaction; if that fails, each submission alone, so that only the guilty one fails."""
        error = self._attempt(batch)
        for conflicts in range(_CONFLICTS_MAX):
            if not (isinstance(error, StatementFailed) and error.is_conflict):
                break
            # The others go first; how far, chance decides.
            self._settings.pause(0.002 * 2**conflicts)
            error = self._attempt(batch)
        error = _translate(error)
        if error is None:
            return
        if len(batch) == 1 or isinstance(error, Unavailable):
            for submission in batch:
                submission.error = error
            return
        for submission in batch:
            self._commit((submission,))

    def _attempt(self, batch: Sequence[Submission]) -> BaseException | None:
        """Run a batch, again when it is lost together with the connection; return the error that it met."""
        deadline = max([submission.queued_at for submission in batch]) + self._settings.wait_seconds
        known_changes = len(self._news.changes)
        while (outcome := self._try(batch, deadline)) is not True:
            del self._news.changes[known_changes:]
            if isinstance(outcome, BaseException):
                return outcome
        return None

    def _try(self, batch: Sequence[Submission], deadline: float) -> BaseException | bool:
        """Run a batch once; return whether it was committed, or the error that it met."""
        for submission in batch:
            submission.error = None
        try:
            session = self._session or self._reconnect(deadline, None)[0]
        except Unavailable as error:
            return error
        try:
            self._execute(session, batch)
        except ConnectionLost as error:
            log.warning("store.connection_lost", error=str(error))
            return self._lose(session, deadline)
        except Exception as error:  # noqa: BLE001 whatever it is, it becomes the outcome of the submissions
            return self._fail(session, error, deadline)
        self._companions.conclude(session)
        return True

    def _lose(self, session: Session, deadline: float) -> BaseException | bool:
        """Connect anew and find out what became of a batch; the companions do the same."""
        outcome = self._recover(session, deadline)
        if isinstance(outcome, BaseException):
            self._companions.leave()
        elif outcome:
            self._companions.conclude(None)
        else:
            self._companions.abandon(None)
        return outcome

    def _fail(self, session: Session, error: Exception, deadline: float) -> BaseException | bool:
        """Undo a batch; return its error, or False where another attempt may help."""
        self._roll_back(session)
        self._companions.abandon(self._session)
        if not isinstance(error, CompanionLost):
            return error
        if monotonic() >= deadline or self._settings.pause():
            return Unavailable(f"one of the store's databases cannot be reached: {error}")
        return False

    def _execute(self, session: Session, batch: Sequence[Submission]) -> None:
        session.begin()
        plan = Plan(HANDLERS)
        transaction: WriterTransaction | None = None
        for submission in batch:
            if submission.work is None:
                submission.result = plan.add(submission.commands)
                continue
            run_plan(session, plan)
            plan = Plan(HANDLERS)
            if transaction is None:
                session.lock_control()
                transaction = WriterTransaction(session, self._settings.node)
            self._run_work(session, transaction, submission, is_alone=len(batch) == 1)
        run_plan(session, plan)
        if transaction is not None and session.changes:
            transaction.records.advance()
        self._companions.prepare(session)
        try:
            session.commit()
        except StatementFailed as error:
            if error.code == _DIVISION_BY_ZERO:
                # The mark is gone, and so this commit was refused: begin anew with another.
                session.is_committing = False
                raise ConnectionLost("this connection was barred by a successor") from error
            raise

    def _run_work(
        self, session: Session, transaction: WriterTransaction, submission: Submission, *, is_alone: bool
    ) -> None:
        """Run a transaction's function; its exception undoes what it did and nothing else."""
        assert submission.work is not None
        if is_alone:
            submission.result = submission.work(transaction)
            return
        session.flush()
        known_changes = len(session.changes)
        session.send(_SAVEPOINT)
        self._companions.save()
        try:
            submission.result = submission.work(transaction)
            session.flush()
        except (ConnectionLost, CompanionLost, StatementFailed):
            raise
        except Exception as error:  # noqa: BLE001 it goes to the caller
            session.send(_ROLLBACK_TO)
            self._companions.undo()
            session.forget_counts()
            del session.changes[known_changes:]
            submission.error = error
        session.send(_RELEASE)
        self._companions.release()

    # --- Connections

    def _new_session(self, connection: Connection) -> Session:
        return Session(connection, self._settings.schema, monotonic, self._news)

    def _roll_back(self, session: Session) -> None:
        try:
            session.rollback()
        except (ConnectionLost, StatementFailed):
            self._drop(session)

    def _leave(self, session: Session) -> None:
        """End a session for good; its mark is of no use to anyone."""
        try:
            resolve(session.connection, session.mark)
        except (ConnectionLost, StatementFailed) as error:
            log.info("store.mark_left", error=str(error))
        finally:
            session.connection.close()

    def _drop(self, session: Session) -> None:
        session.connection.close()
        if self._session is session:
            self._session = None

    def _recover(self, lost: Session, deadline: float) -> BaseException | bool:
        """Connect anew; return whether the batch was committed (if not, it is to run again), or why nobody knows."""
        self._drop(lost)
        is_unknown = lost.is_committing
        try:
            _, committed = self._reconnect(deadline, lost)
        except Unavailable as error:
            return Unavailable(f"it is not known whether the commit was done: {error}") if is_unknown else error
        if not is_unknown:
            return False
        if committed is None:
            log.error("store.commit_unknown")
            return Unavailable("it is not known whether the commit was done: its mark is gone")
        log.warning("store.commit_resolved", is_committed=committed == lost.batch)
        return committed == lost.batch

    def _reconnect(self, deadline: float, lost: Session | None) -> tuple[Session, int | None]:
        """Connect, trying until a deadline; return also the last batch that the lost session has committed."""
        pause = _RECONNECT_SECONDS_MIN
        while True:
            connection = None
            try:
                connection = self._settings.connect()
                committed = resolve(connection, lost.mark) if lost is not None else None
                session = self._session = self._new_session(connection)
                return session, committed
            except (ConnectionLost, StatementFailed) as error:
                if connection is not None:
                    connection.close()
                if monotonic() + pause >= deadline or self._settings.pause(pause):
                    raise Unavailable(f"the store cannot be reached: {error}") from error
                pause = min(pause * 2, _RECONNECT_SECONDS_MAX)


def _translate(error: BaseException | None) -> BaseException | None:
    """Return what callers are told of an error of the server's."""
    if isinstance(error, StatementFailed):
        if error.is_unavailable:
            return Unavailable(f"the store cannot write: {error}")
        if error.is_conflict:
            return Conflict(f"other transactions were in the way: {error}")
    return error


def _sweep(session: Session) -> None:
    """Delete some of the rows that purges and drops have left."""
    session.begin()
    session.needs_sweep = messages.sweep(session) or logs.sweep(session)
    session.commit()
