"""One transaction over several databases: each command runs where its resource is.

Two commands reach beyond one place. A receive that moves messages to a dead-letter queue elsewhere moves them to that
queue's number in its own database first, where nobody looks; from there they are carried over (`carry`). A write of
items may want commands that belong elsewhere in the same commit: they run after it, where it has written.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from forebay.store.commands import (
    Command,
    ExpireLog,
    ExpireMessages,
    ForgetDuplicates,
    NewMessage,
    PeekMessages,
    PurgeQueue,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
)
from forebay.store.items import Decision, Item, ItemWrite, WriteItems, Written
from forebay.store.postgres.connection import Statement
from forebay.store.postgres.session import Session
from forebay.store.postgres.writer import WriterTransaction
from forebay.store.records import Records
from forebay.store.spread.branches import Branches, run_one
from forebay.store.spread.placement import HOME, Placement

R = TypeVar("R")

Bounded = ExpireMessages | ForgetDuplicates | ExpireLog
"""Commands that concern every database and do so much at the most in all."""

# Messages that are read at once.
_PAGE_MAX = 1000

_NAME_SOURCES = Statement(
    "UPDATE message SET dead_letter_source = named.source"
    " FROM unnest($2::int8[], $3::int8[]) AS named (position, source)"
    " WHERE queue = $1::int8 AND message.position = named.position",
    "int8",
    "int8[]",
    "int8[]",
)
_CLEAR = (
    Statement("DELETE FROM message WHERE queue = $1::int8", "int8"),
    Statement("DELETE FROM message_group WHERE queue = $1::int8", "int8"),
    Statement("UPDATE queue SET is_swept = true WHERE number = $1::int8", "int8"),
)
_STRAYS = Statement("SELECT DISTINCT queue FROM queue_count WHERE ready + delayed + in_flight > 0")
_IS_FIFO = Statement("SELECT 1 FROM queue WHERE number = $1::int8 AND is_fifo", "int8")


class Elsewhere(Exception):
    """A write of items, or a view, wants something that is in another database."""


class SpreadTransaction:
    """The `Transaction` that `transact` hands to its work."""

    def __init__(self, home: WriterTransaction, branches: Branches, placement: Placement) -> None:
        self.records: Records = home.records
        self._home = home
        self._branches = branches
        self._placement = placement

    def apply(self, command: Command[R]) -> R:
        """Run a command as part of the transaction."""
        result: Any
        if isinstance(command, WriteItems):
            result = self._write_items(command)
        elif isinstance(command, Bounded):
            result = self._everywhere(command)
        else:
            place = self._placement.of(command)
            result = self._run(place, command)
            grave = dead_letters_of(command, result, self._placement)
            if grave is not None:
                self.carry(place, grave)
        return result

    def carry(self, place: int, queue: int) -> None:
        """Bring the messages that stand in one database for a queue in another to where they belong."""
        strays, is_fifo = self._use(place, lambda session: _take_all(session, queue))
        if not strays:
            return
        sent = self.apply(_send_again(queue, strays, is_fifo=is_fifo))
        positions = [one.position for one in sent]
        sources = [stray.dead_letter_source for stray in strays]
        owner = self._placement.of_resource(queue)
        self._use(owner, lambda session: session.change(_NAME_SOURCES, queue, positions, sources))

    def strays(self) -> list[tuple[int, int]]:
        """Return the queues that have messages in a database that is not theirs, each with that place."""
        return [
            (place, queue)
            for place in range(self._placement.places)
            for (queue,) in self._use(place, lambda session: session.fetch(_STRAYS))
            if self._placement.of_resource(queue) != place
        ]

    def _run(self, place: int, command: Command[R]) -> R:
        if place == HOME:
            return self._home.apply(command)
        return self._branches.run(place, self._home.session, command)

    def _use(self, place: int, work: Callable[[Session], R]) -> R:
        if place == HOME:
            return work(self._home.session)
        return self._branches.use(place, self._home.session, work)

    def _everywhere(self, command: Bounded) -> int:
        done = 0
        for place in range(self._placement.places):
            done += self._run(place, msgspec.structs.replace(command, limit=command.limit - done))
        return done

    def _write_items(self, command: WriteItems) -> Written:
        captured: list[Command[Any]] = []
        writes = tuple([_capturing(write, captured) for write in command.writes])
        written = self._home.apply(msgspec.structs.replace(command, writes=writes, then=()))
        if written.is_written:
            for following in (*captured, *command.then):
                self.apply(following)
        return written


def dead_letters_of(command: Command[Any], result: Any, placement: Placement) -> int | None:
    """Return the queue in another database to which a receive has moved messages, if it has."""
    if not isinstance(command, ReceiveMessages) or command.dead_letter is None or not result.dead_lettered_count:
        return None
    grave = command.dead_letter.queue
    return None if placement.of_resource(grave) == placement.of_resource(command.queue) else grave


def guarding(write: ItemWrite, placement: Placement) -> ItemWrite:
    """Return a write that raises `Elsewhere` where its decision wants a command in another database."""
    decide = write.decide

    def decide_here(item: Item | None) -> Decision:
        decision = decide(item)
        for following in decision.then:
            if placement.of(following) != HOME:
                raise Elsewhere
        return decision

    return msgspec.structs.replace(write, decide=decide_here)


def _capturing(write: ItemWrite, captured: list[Command[Any]]) -> ItemWrite:
    """Return a write that hands over what its decision wants in the same commit, instead of having it run."""
    decide = write.decide

    def decide_alone(item: Item | None) -> Decision:
        decision = decide(item)
        captured.extend(decision.then)
        return msgspec.structs.replace(decision, then=())

    return msgspec.structs.replace(write, decide=decide_alone)


def _take_all(session: Session, queue: int) -> tuple[list[ReceivedMessage], bool]:
    """Delete all messages of a queue and return them; and whether it is FIFO."""
    is_fifo = bool(session.fetch(_IS_FIFO, queue))
    # With everyone locked out, what is deleted is what was seen.
    session.lock_queues((), (queue,))
    strays: list[ReceivedMessage] = []
    while page := run_one(session, PeekMessages(queue, strays[-1].position if strays else 0, _PAGE_MAX)):
        strays += page
    run_one(session, PurgeQueue(queue))
    for statement in _CLEAR:
        session.change(statement, queue)
    return strays, is_fifo


def _send_again(queue: int, strays: Sequence[ReceivedMessage], *, is_fifo: bool) -> SendMessages:
    return SendMessages(
        queue,
        tuple(
            [
                NewMessage(
                    stray.message_id,
                    stray.body,
                    stray.attributes,
                    stray.sent_at_ms,
                    stray.sent_at_ms,
                    stray.expires_at_ms,
                    stray.group,
                    stray.deduplication,
                )
                for stray in strays
            ]
        ),
        is_fifo=is_fifo,
    )
