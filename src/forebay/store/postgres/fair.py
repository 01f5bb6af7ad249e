"""Fair queues: how many messages each tenant of a standard queue has, and which tenants are noisy.

Tenants are counted like queues, in slots, so nobody waits for anybody; only noisy ones have a row that says so. While a
queue has none, which is nearly always, its messages come in their order and nothing here is asked but that.
"""

from collections.abc import Iterable, Sequence

from forebay.store.commands import NOISY_IN_FLIGHT_MIN, NOISY_SHARE_PERCENT, QUIET_AFTER_MS, CallNoisy
from forebay.store.postgres.connection import Row, Statement
from forebay.store.postgres.session import Session

_SUMS = "name, sum(ready)::int8, sum(delayed)::int8, sum(in_flight)::int8, max(sent_at)"
NOISY = Statement(
    f"SELECT queue, {_SUMS} FROM noisy_tenant JOIN tenant_count USING (queue, name)"  # noqa: S608 constants
    " WHERE queue = ANY ($1::int8[]) GROUP BY queue, name",
    "int8[]",
)
_TENANTS = Statement(
    f"SELECT {_SUMS} FROM tenant_count WHERE queue = $1::int8 AND name = ANY ($2::text[]) GROUP BY name",  # noqa: S608
    "int8",
    "text[]",
)
_MARK = Statement(
    "INSERT INTO noisy_tenant SELECT $1::int8, name FROM unnest($2::text[]) AS name ON CONFLICT DO NOTHING",
    "int8",
    "text[]",
)
_CALM = Statement("DELETE FROM noisy_tenant WHERE queue = $1::int8 AND name = ANY ($2::text[])", "int8", "text[]")
_CALM_IDLE = Statement(
    "DELETE FROM noisy_tenant USING unnest($1::int8[], $2::text[]) AS asked (queue, name)"
    " WHERE noisy_tenant.queue = asked.queue AND noisy_tenant.name = asked.name"
    " AND (SELECT sum(ready) + sum(delayed) FROM tenant_count"
    " WHERE tenant_count.queue = asked.queue AND tenant_count.name = asked.name) <= 0",
    "int8[]",
    "text[]",
)
_IDLE = (
    "SELECT queue, name FROM tenant_count{} GROUP BY queue, name"
    " HAVING sum(ready) = 0 AND sum(delayed) = 0 AND sum(in_flight) = 0"
)
_FIND_IDLE = Statement(_IDLE.format("") + " LIMIT 500")
_FORGET_IDLE = Statement(
    f"DELETE FROM tenant_count USING ({_IDLE.format(' WHERE queue = ANY ($1::int8[])')} LIMIT 500) AS idle"  # noqa: S608
    " WHERE tenant_count.queue = idle.queue AND tenant_count.name = idle.name",
    "int8[]",
)

# Ready, delayed and in flight, and the time of the last send.
_Numbers = tuple[int, int, int, int]


class Fairness:
    """The tenants of one queue, for all receives of a batch."""

    def __init__(self, session: Session, queue: int) -> None:
        self._session = session
        self._queue = queue
        self._stored: dict[str, _Numbers] = {}
        self.noisy: set[str] = set()

    def load(self, row: Row) -> None:
        """Take a noisy tenant as `NOISY` returns it."""
        self._stored[row[1]] = row[2:]
        self.noisy.add(row[1])

    def calm(self, now_ms: int) -> None:
        """Call those quiet who have sent nothing for long, or of whom nothing waits."""
        quiet: list[str] = []
        for name in sorted(self.noisy):
            ready, delayed, _, sent_at = self._numbers(name)
            if not (ready or delayed) or now_ms - sent_at >= QUIET_AFTER_MS:
                quiet.append(name)
        if quiet:
            self._session.change(_CALM, self._queue, quiet)
            self.noisy.difference_update(quiet)

    def judge(self, tenants: Iterable[str | None], in_flight_total: int) -> bool:
        """Call noisy those who hold too many and have more waiting; return whether there is one."""
        if in_flight_total < NOISY_IN_FLIGHT_MIN:
            return False
        names = sorted({name for name in tenants if name is not None and name not in self.noisy})
        missing = [name for name in names if name not in self._stored]
        if missing:
            self._stored.update(dict.fromkeys(missing, (0, 0, 0, 0)))
            self._stored.update({row[0]: row[1:] for row in self._session.fetch(_TENANTS, self._queue, missing)})
        noisy = [name for name in names if self._is_noisy(name, in_flight_total)]
        if noisy:
            self._session.change(_MARK, self._queue, noisy)
            self.noisy.update(noisy)
        return bool(noisy)

    def call(self, tenants: Iterable[str]) -> None:
        """Call tenants noisy, those of whom something waits."""
        names = sorted(set(tenants))
        self._stored.update(dict.fromkeys(names, (0, 0, 0, 0)))
        self._stored.update({row[0]: row[1:] for row in self._session.fetch(_TENANTS, self._queue, names)})
        numbers = {name: self._numbers(name) for name in names}
        waiting = [name for name, (ready, delayed, *_) in numbers.items() if ready + delayed > 0]
        if waiting:
            self._session.change(_MARK, self._queue, waiting)

    def next_noisy(self, passed: set[str]) -> str | None:
        """Return the noisy tenant whose turn it is: of those that have ready messages, with the fewest in flight."""
        numbers = {name: self._numbers(name) for name in self.noisy - passed}
        ready = [name for name, (count, *_) in numbers.items() if count > 0]
        return min(ready, key=lambda name: (numbers[name][2], name), default=None)

    def _is_noisy(self, name: str, in_flight_total: int) -> bool:
        ready, delayed, in_flight, _ = self._numbers(name)
        return (
            in_flight >= NOISY_IN_FLIGHT_MIN
            and in_flight * 100 > in_flight_total * NOISY_SHARE_PERCENT
            and ready + delayed > 0
        )

    def _numbers(self, name: str) -> _Numbers:
        stored = self._stored[name]
        changes = self._session.counted_tenant(self._queue, name)
        return (stored[0] + changes[0], stored[1] + changes[1], stored[2] + changes[2], max(stored[3], changes[3]))


def call_noisy(session: Session, commands: Sequence[CallNoisy]) -> list[None]:
    """Call tenants noisy."""
    for command in commands:
        Fairness(session, command.queue).call(command.tenants)
    return [None] * len(commands)


def count_left(session: Session, left: Iterable[tuple[int, str | None, int]]) -> None:
    """Count messages out that are gone for good: queue, tenant, state that they had."""
    for queue, name, state in left:
        if name is not None:
            session.count_tenant(queue, name, state, -1)


def calm_idle(session: Session, left: Iterable[tuple[int, str | None, int]]) -> None:
    """Call tenants quiet who lost their last waiting message without a receive."""
    waiting = sorted({(queue, name) for queue, name, state in left if name is not None and state != 2})
    if waiting:
        session.flush()
        session.change(_CALM_IDLE, *zip(*waiting, strict=True))


def forget_idle(session: Session) -> None:
    """Let go of tenants that have no messages."""
    queues = sorted({queue for queue, _ in session.fetch(_FIND_IDLE)})
    if queues:
        # Nobody counts meanwhile.
        session.lock_queues((), queues)
        session.flush()
        session.change(_FORGET_IDLE, queues)
