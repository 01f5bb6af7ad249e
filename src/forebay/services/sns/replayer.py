"""The background duty of replays: what a FIFO topic has archived goes to a subscription again, batch by batch.

A batch's deliveries and the position that it leads to are one commit. A replay without an ending point is over when, in
the very commit that says so, nothing is left behind its position; from then on the subscription gets new messages.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.sns import limits
from forebay.services.sns.archive import REPLAY_TIMER, ReplayPlace, archive_stream, read_archived, read_place
from forebay.services.sns.archive_policy import Replay, ReplayStatus, ReplayWindow, read_replay_policy
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.subscription import SUBSCRIPTION, Subscription
from forebay.services.sns.topic import TOPIC, Topic
from forebay.services.sns.topic_index import LiveTopic, compile_subscription
from forebay.store.commands import (
    ClaimedTimer,
    Command,
    ReadLog,
    Settlement,
    SettleTimers,
    StoredEntry,
)
from forebay.store.contract import Store, Transaction


class SubscriptionReplayer:
    """Carries replays out. A `Worker`."""

    name = "sns.replay"

    def __init__(self, store: Store, clock: Clock, publisher: Publisher) -> None:
        self._store = store
        self._clock = clock
        self._publisher = publisher
        self._timers = DueTimers(
            store,
            clock,
            REPLAY_TIMER,
            batch=limits.REPLAYS_PER_STEP,
            lease_seconds=limits.REPLAY_LEASE_SECONDS,
            poll_seconds=limits.REPLAY_POLL_SECONDS,
        )

    async def run_once(self) -> float:
        """Take one step of each replay that is due; return the seconds until the next one is."""
        for timer in await self._timers.claim():
            await self._step(timer)
        return await self._timers.seconds_until_next()

    async def _step(self, timer: ClaimedTimer) -> None:
        place = read_place(timer.data)
        subscription = await self._store.view(lambda view: view.records.find(SUBSCRIPTION, timer.key))
        topic = None if subscription is None else await self._store.find(TOPIC, subscription.topic.key())
        policy = None if subscription is None else subscription.attributes.get("ReplayPolicy")
        if subscription is None or policy is None or not _is_of(subscription, place):
            await self._store.submit([SettleTimers(REPLAY_TIMER, (Settlement(timer.key, timer.epoch),))])
        elif topic is None or topic.archive is None:
            await self._store.transact(lambda transaction: _end(transaction, timer, place, "Failed", None))
        else:
            await self._replay(timer, place, subscription, topic, read_replay_policy(policy))

    async def _replay(
        self, timer: ClaimedTimer, place: ReplayPlace, subscription: Subscription, topic: Topic, window: ReplayWindow
    ) -> None:
        query = _query(topic, window, place.position, limits.REPLAY_BATCH)
        entries = await self._store.view(lambda view: view.ask(query))
        if not entries:
            await self._store.transact(
                lambda transaction: _end(transaction, timer, place, "Completed", replace(query, limit=1))
            )
            return
        commands = await self._commands(subscription, topic, place, entries)
        following = ReplayPlace(place.replay_id, entries[-1].position)
        now_ms = int(self._clock.now() * 1000)
        settlement = Settlement(timer.key, timer.epoch, now_ms, msgspec.json.encode(following))

        def commit(transaction: Transaction) -> None:
            (is_held,) = transaction.apply(SettleTimers(REPLAY_TIMER, (settlement,)))
            current = transaction.records.find(SUBSCRIPTION, timer.key)
            if not is_held or current is None or not _is_of(current, place):
                return
            _put(transaction, current, place, "In progress")
            for command in commands:
                transaction.apply(command)

        await self._store.transact(commit)

    async def _commands(
        self, subscription: Subscription, topic: Topic, place: ReplayPlace, entries: Sequence[StoredEntry]
    ) -> list[Command[Any]]:
        """Return the commands by which the subscription takes those of the messages that it wants."""
        # A topic of this one subscription, which takes new messages again: filters apply to replayed ones as well.
        live = LiveTopic(topic)
        live.add(subscription.key(), compile_subscription(subscription))
        commands: list[Command[Any]] = []
        for entry in entries:
            publication = read_archived(entry.data)
            # A queue must not take a replayed message for the one that it had minutes ago.
            deduplication = f"{publication.sequence_number}-{place.replay_id}"
            publication = replace(publication, deduplication=deduplication)
            matched = live.match(live.see(publication))
            commands += await self._publisher.send(publication, live, matched, publication.message_id)
        return commands


def _query(topic: Topic, window: ReplayWindow, after: int, limit: int) -> ReadLog:
    until_ms = None if window.until_at is None else int(window.until_at * 1000) + 1
    return ReadLog(
        archive_stream(topic.archive or ""), limit, after=after, from_ms=int(window.from_at * 1000), until_ms=until_ms
    )


def _is_of(subscription: Subscription, place: ReplayPlace) -> bool:
    """Tell whether a replay is the one that the subscription still wants."""
    replay = subscription.replay
    return replay is not None and replay.replay_id == place.replay_id and replay.is_under_way


def _end(
    transaction: Transaction, timer: ClaimedTimer, place: ReplayPlace, status: ReplayStatus, rest: ReadLog | None
) -> None:
    """End a replay, unless something has been archived meanwhile that belongs to it."""
    if rest is not None and transaction.apply(rest):
        transaction.apply(SettleTimers(REPLAY_TIMER, (Settlement(timer.key, timer.epoch, timer.due_at_ms),)))
        return
    (is_held,) = transaction.apply(SettleTimers(REPLAY_TIMER, (Settlement(timer.key, timer.epoch),)))
    current = transaction.records.find(SUBSCRIPTION, timer.key)
    if is_held and current is not None and _is_of(current, place):
        _put(transaction, current, place, status)


def _put(transaction: Transaction, subscription: Subscription, place: ReplayPlace, status: ReplayStatus) -> None:
    if subscription.replay is None or subscription.replay.status != status:
        replay = Replay(place.replay_id, status)
        transaction.records.put(SUBSCRIPTION, subscription.key(), replace(subscription, replay=replay))
