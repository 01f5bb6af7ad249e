"""FIFO topics: sequence numbers, and every message once within five minutes.

A message's number must be known before its deliveries are made, and whether it is a duplicate is decided in the commit
that takes it. So a publication takes a number first (numbers may have gaps) and then commits everything at once;
publications of one topic go one after the other, in the order of their numbers. On one node a lock sees to that;
between nodes, a publication that finds a greater number committed takes another one.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from forebay.services.sns import limits
from forebay.services.sns.archive import archived
from forebay.services.sns.message import Publication
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.subscription import SUBSCRIPTION, Subscription
from forebay.services.sns.topic_index import LiveTopic
from forebay.store.commands import Command, PutTimers, Timer
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind, record_key

# SNS's numbers are 20 digits, "10000000000000000000" and up.
_SEQUENCE_BASE = 10_000_000_000_000_000_000


class Accepted(msgspec.Struct, frozen=True):
    """A message that was taken: what a duplicate of it is answered, and until when."""

    message_id: str
    sequence_number: str
    until_ms: int


class Last(msgspec.Struct, frozen=True):
    """The number of the publication of a topic that was committed last."""

    sequence_number: str


ACCEPTED = Kind("sns.accepted", Accepted)
LAST = Kind("sns.last_number", Last)
ACCEPTED_TIMER = "sns.accepted"


class FifoPublisher:
    """Publishes to FIFO topics."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def publish(
        self, publications: Sequence[Publication], live: LiveTopic, trace_header: str | None = None
    ) -> Sequence[Publication]:
        """Commit messages in order and return them with their numbers; a duplicate has those of the first."""
        if not publications:
            return ()
        topic_key = live.topic.address().key()
        lock = self._locks.get(topic_key)
        if lock is None:
            lock = self._locks[topic_key] = asyncio.Lock()
        async with lock:
            while True:
                replaying = frozenset(live.replaying)
                prepared = await self._prepare(publications, live, topic_key, trace_header)

                def commit(
                    transaction: Transaction, replaying: frozenset[str] = replaying, prepared: _Prepared = prepared
                ) -> list[Publication]:
                    _check_replaying(transaction, replaying)
                    _check_order(transaction, topic_key, prepared)
                    return [_accept(transaction, *one) for one in prepared]

                try:
                    return await self._store.transact(commit)
                except _ReplayIsOver as over:
                    # It has ended since: the subscription gets this message like all others.
                    live.put(over.subscription.key(), over.subscription)
                except _Overtaken:
                    # Another node was faster: this publication comes behind its.
                    continue

    async def _prepare(
        self, publications: Sequence[Publication], live: LiveTopic, topic_key: str, trace_header: str | None
    ) -> "_Prepared":
        """Return messages with their numbers and the commands by which they are taken, each with its key."""
        numbers = await self._store.transact(lambda transaction: _next_numbers(transaction, topic_key, publications))
        topic = live.topic
        prepared: _Prepared = []
        for publication, number in zip(publications, numbers, strict=True):
            numbered = _numbered(publication, number)
            commands = await self._publisher.commands_for(numbered, live, numbered.message_id, trace_header)
            if topic.archive is not None:
                commands.append(archived(numbered, topic.archive, topic.archive_days))
            prepared.append((_key(live, numbered), numbered, commands))
        return prepared


_Prepared = list[tuple[str, Publication, list[Command[Any]]]]


class _Overtaken(Exception):
    """A publication with a greater number has been committed."""


class _ReplayIsOver(Exception):
    """A subscription that was passed over because of its replay takes new messages again."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(subscription.subscription_id)
        self.subscription = subscription


def _check_order(transaction: Transaction, topic_key: str, prepared: _Prepared) -> None:
    """Check that the publications' numbers follow those of all that have been committed, and note the last."""
    numbers = [publication.sequence_number or "" for _, publication, _ in prepared]
    last = transaction.records.find(LAST, topic_key)
    # All numbers have as many digits.
    if last is not None and last.sequence_number > numbers[0]:
        raise _Overtaken
    transaction.records.put(LAST, topic_key, Last(numbers[-1]))


def _check_replaying(transaction: Transaction, keys: frozenset[str]) -> None:
    for key in keys:
        subscription = transaction.records.find(SUBSCRIPTION, key)
        if subscription is not None and subscription.takes_new:
            raise _ReplayIsOver(subscription)


def _next_numbers(transaction: Transaction, topic_key: str, publications: Sequence[Publication]) -> list[int]:
    sequence = f"sns.topic/{topic_key}"
    return [transaction.records.next_number(sequence) for _ in publications]


def _numbered(publication: Publication, number: int) -> Publication:
    return msgspec.structs.replace(
        publication,
        sequence_number=str(_SEQUENCE_BASE + number),
        deduplication=publication.deduplication or sha256(publication.bodies["default"].encode()).hexdigest(),
    )


def _key(live: LiveTopic, publication: Publication) -> str:
    """Return the key under which duplicates of a message meet: those of the topic, or of the group only."""
    is_by_group = live.topic.attributes.get("FifoThroughputScope") == "MessageGroup"
    group = (publication.group or "") if is_by_group else ""
    return record_key(*_parts(live), group, publication.deduplication or "")


def _parts(live: LiveTopic) -> tuple[str, str, str]:
    return live.topic.account, live.topic.region, live.topic.name


def _accept(transaction: Transaction, key: str, publication: Publication, commands: list[Command[Any]]) -> Publication:
    at_ms = int(publication.at * 1000)
    earlier = transaction.records.find(ACCEPTED, key)
    if earlier is not None and at_ms < earlier.until_ms:
        return msgspec.structs.replace(
            publication, message_id=earlier.message_id, sequence_number=earlier.sequence_number
        )
    until_ms = at_ms + limits.DEDUPLICATION_SECONDS * 1000
    accepted = Accepted(publication.message_id, publication.sequence_number or "", until_ms)
    transaction.records.put(ACCEPTED, key, accepted)
    transaction.apply(PutTimers((Timer(ACCEPTED_TIMER, key, until_ms, b""),)))
    for command in commands:
        transaction.apply(command)
    return publication
