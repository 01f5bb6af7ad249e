"""The parts of a transaction in other databases, and how they commit with the home's: two-phase commit.

Before the home commits, every part is prepared: from then on it survives a crash and can only be finished by its name.
The home's own commit carries the decision, a row with that name. After it the parts are committed. Whoever finds a
prepared part that nobody is finishing looks for the decision: where it is, the part is committed, else rolled back.

Nobody is finishing it when the gate is free, a lock of the home that is held from before the first part is begun until
all are finished, by the connection that commits the decision. With that connection it goes, and what was not decided by
then never will be. So there is one such transaction at a time; a writer puts many callers into one.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog

from forebay.core.clock import monotonic
from forebay.core.ids import Ids
from forebay.store.commands import Command
from forebay.store.contract import Topic
from forebay.store.postgres.companions import CompanionLost
from forebay.store.postgres.connection import Connection, ConnectionLost, Statement, StatementFailed
from forebay.store.postgres.handlers import HANDLERS, lock
from forebay.store.postgres.session import News, Session

R = TypeVar("R")

log = structlog.get_logger()

# How often a node looks for what others have left.
_TEND_SECONDS = 5.0

# Over a new connection where the first was lost.
_FINISH_ATTEMPTS = 2

_SAVEPOINT = Statement("SAVEPOINT work")
_ROLLBACK_TO = Statement("ROLLBACK TO work")
_RELEASE = Statement("RELEASE work")

_DECIDE = Statement("INSERT INTO decision (name) VALUES ($1::text)", "text")
_FORGET = Statement("DELETE FROM decision WHERE name = ANY ($1::text[])", "text[]")
_FORGET_ALL = Statement("DELETE FROM decision")
_DECIDED = Statement("SELECT name FROM decision WHERE name = ANY ($1::text[])", "text[]")
PREPARED = Statement(
    "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, $1::text)", "text"
)


class Branch:
    """The part of a transaction in one other database, over a connection that is kept."""

    def __init__(self, connect: Callable[[], Connection], schema: str) -> None:
        self._connect = connect
        self._schema = schema
        self._session: Session | None = None
        self.news = News()
        self.is_open = False
        # The name under which it is prepared.
        self.prepared: str | None = None

    def session(self) -> Session:
        """Return the session, connecting where that is needed."""
        if self._session is None:
            self._session = Session(self._connect(), self._schema, monotonic, self.news)
        return self._session

    def begin(self, *, is_saved: bool) -> None:
        """Begin, at a point to go back to if `is_saved`."""
        session = self.session()
        session.begin()
        self.is_open = True
        if is_saved:
            session.send(_SAVEPOINT)

    def prepare(self, name: str) -> bool:
        """Prepare what was changed; return whether that was anything."""
        session = self.session()
        session.flush()
        if not session.has_changed:
            session.commit()
            self.is_open = False
            return False
        self.prepared = name
        session.prepare(name)
        return True

    def finish(self, *, is_committed: bool) -> bool:
        """Commit what is prepared, or roll it or the open transaction back; return whether that is done."""
        name, self.prepared = self.prepared, None
        is_open, self.is_open = self.is_open, False
        if name is None and not is_open:
            return True
        for _ in range(_FINISH_ATTEMPTS):
            try:
                if not is_committed and self._session is not None:
                    self._session.rollback()
                if name is not None:
                    self.finish_named(name, is_committed=is_committed)
            except (ConnectionLost, StatementFailed) as error:
                log.warning("store.branch_unfinished", name=name, error=str(error))
                # What was open and not prepared goes with the connection.
                self.drop()
            else:
                return True
        return name is None

    def finish_named(self, name: str, *, is_committed: bool) -> None:
        """Commit or roll back what is prepared under a name."""
        self.session().connection.finish_prepared(name, is_committed=is_committed)

    def found(self, prefix: str) -> list[str]:
        """Return the names of what is prepared in this database."""
        return [row[0] for row in self.session().connection.fetch_alone(PREPARED, prefix)]

    def drop(self) -> None:
        """Hang up; what was open and not prepared is rolled back by the server."""
        if self._session is not None:
            self._session.connection.close()
            self._session = None
        self.is_open = False


class Branches:
    """The `Companions` of the home's writer. Used in its thread."""

    def __init__(self, store: str, tell: Callable[[int, Sequence[Topic]], None]) -> None:
        # Begins the names of this store's prepared transactions: servers may be shared.
        self.prefix = f"forebay-{store}-"
        self._tell = tell
        self._node = Ids().hex(8)
        self._count = 0
        self._branches: dict[int, Branch] = {}
        self._holds_gate = False
        self._is_saved = False
        # The decision of the batch in hand, and decisions that are carried out everywhere.
        self._decision: str | None = None
        self._done: list[str] = []
        self._tend_at = 0.0

    def add(self, place: int, branch: Branch) -> None:
        """Take in a database."""
        self._branches[place] = branch

    def run(self, place: int, home: Session, command: Command[R]) -> R:
        """Run a command in another database, as part of the transaction of `home`."""
        return self.use(place, home, lambda session: run_one(session, command))

    def use(self, place: int, home: Session, work: Callable[[Session], R]) -> R:
        """Run work in another database, as part of the transaction of `home`."""
        branch = self._branches[place]
        if not branch.is_open:
            self._open(branch, home)
        with _reaching(branch):
            return work(branch.session())

    def save(self) -> None:
        """Set a point to go back to."""
        self._is_saved = True
        for branch in self._opened().values():
            with _reaching(branch):
                branch.session().flush()
                branch.session().send(_SAVEPOINT)

    def undo(self) -> None:
        """Go back to it."""
        for branch in self._opened().values():
            with _reaching(branch):
                branch.session().send(_ROLLBACK_TO)
                branch.session().forget_counts()

    def release(self) -> None:
        """Forget it."""
        self._is_saved = False
        for branch in self._opened().values():
            with _reaching(branch):
                branch.session().flush()
                branch.session().send(_RELEASE)

    def prepare(self, session: Session) -> None:
        """Prepare all parts, and put the decision into the home's commit."""
        opened = self._opened()
        if not opened:
            return
        self._count += 1
        name = f"{self.prefix}{self._node}-{self._count}"
        are_changed = [self._prepare(branch, f"{name}.{place}") for place, branch in opened.items()]
        if any(are_changed):
            self._decision = name
            session.change(_DECIDE, name)
            if self._done:
                session.change(_FORGET, self._done)

    def conclude(self, session: Session | None) -> None:
        """Commit all parts; what cannot be reached now is committed when it is found."""
        is_done = True
        for place, branch in self._prepared().items():
            is_done &= branch.finish(is_committed=True)
            self._tell(place, branch.news.take()[0])
        if self._decision is not None:
            # Those before are gone with this commit.
            self._done = [self._decision] if is_done else []
            if not is_done:
                self._tend_at = 0.0
        self._end(session)

    def abandon(self, session: Session | None) -> None:
        """Roll all parts back."""
        for branch in self._branches.values():
            if not branch.finish(is_committed=False):
                self._tend_at = 0.0
            branch.news.take()
        self._end(session)

    def leave(self) -> None:
        """Leave what is prepared to whoever finds it."""
        for branch in self._branches.values():
            branch.prepared = None
            branch.drop()
        self._tend_at = 0.0
        self._end(None)

    def tend(self, session: Session) -> None:
        """Finish what others (or this node, when a database was away) have left."""
        if monotonic() < self._tend_at or not session.try_gate():
            return
        self._tend_at = monotonic() + _TEND_SECONDS
        try:
            for branch in self._branches.values():
                self._settle(branch, session)
            # With the gate in hand and nothing prepared anywhere, no decision is needed any more.
            session.connection.fetch_alone(_FORGET_ALL)
            self._done = []
        except CompanionLost as error:
            log.info("store.branch_unreachable", error=str(error))
        finally:
            session.unlock_gate()

    def close(self) -> None:
        """Hang up everywhere."""
        for branch in self._branches.values():
            branch.drop()

    def _open(self, branch: Branch, home: Session) -> None:
        if not self._holds_gate:
            home.lock_gate()
            self._holds_gate = True
        self._settle(branch, home)
        with _reaching(branch):
            branch.begin(is_saved=self._is_saved)

    def _settle(self, branch: Branch, home: Session) -> None:
        """Finish what is prepared in a database and nobody is finishing: the gate is held."""
        with _reaching(branch):
            found = branch.found(self.prefix)
        if not found:
            return
        names = [_decision_of(name) for name in found]
        decided = {row[0] for row in home.connection.fetch_alone(_DECIDED, names)}
        for name, decision in zip(found, names, strict=True):
            with _reaching(branch):
                branch.finish_named(name, is_committed=decision in decided)
            log.warning("store.branch_settled", name=name, is_committed=decision in decided)

    def _prepare(self, branch: Branch, name: str) -> bool:
        with _reaching(branch):
            return branch.prepare(name)

    def _opened(self) -> dict[int, Branch]:
        return {place: branch for place, branch in self._branches.items() if branch.is_open}

    def _prepared(self) -> dict[int, Branch]:
        return {place: branch for place, branch in self._branches.items() if branch.prepared is not None}

    def _end(self, session: Session | None) -> None:
        """Let go of the gate, which is gone already where its connection is."""
        self._decision = None
        self._is_saved = False
        if not self._holds_gate:
            return
        self._holds_gate = False
        if session is not None:
            try:
                session.unlock_gate()
            except (ConnectionLost, StatementFailed):
                # The writer meets the same when it goes on, and connects anew.
                session.connection.close()


def run_one(session: Session, command: Command[R]) -> R:
    """Run a command as part of a session's transaction."""
    lock(session, (command,))
    return HANDLERS[type(command)](session, (command,))[0]


@contextmanager
def _reaching(branch: Branch) -> Generator[None]:
    """Tell a branch's lost connection from the home's."""
    try:
        yield
    except ConnectionLost as error:
        branch.drop()
        raise CompanionLost(str(error)) from error


def _decision_of(name: str) -> str:
    return name.rpartition(".")[0]
