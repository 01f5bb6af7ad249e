"""Background duty of rules: their schedules."""

from collections.abc import Sequence
from typing import Any

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.settling import settle_if_held
from forebay.services.events import limits
from forebay.services.events.event import scheduled_event
from forebay.services.events.router import Router
from forebay.services.events.rule import RULE
from forebay.services.events.rule_index import compile_rule
from forebay.services.events.schedule import KIND, next_due_at
from forebay.store.commands import ClaimedTimer, Command, Settlement
from forebay.store.contract import Store


class ScheduledRules:
    """Sends the events of schedules that are due to their rules' targets. A `Worker`.

    Moments that passed while the node was down are made up for once, not one by one.
    """

    name = "events.schedule"

    def __init__(self, store: Store, clock: Clock, ids: Ids, router: Router) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._router = router
        self._timers = DueTimers(
            store,
            clock,
            KIND,
            batch=limits.SCHEDULE_BATCH,
            lease_seconds=limits.SCHEDULE_LEASE_SECONDS,
            poll_seconds=limits.SCHEDULE_POLL_SECONDS,
        )

    async def run_once(self) -> float:
        """Send what is due, a batch of it; return the seconds until the next schedule is."""
        now = self._clock.now()
        if claimed := await self._timers.claim():
            await settle_if_held(self._store, KIND, [await self._fire(timer, now) for timer in claimed])
        return await self._timers.seconds_until_next()

    async def _fire(self, timer: ClaimedTimer, now: float) -> tuple[Settlement, Sequence[Command[Any]]]:
        """Return when one schedule is due again, and the commands of its event's deliveries."""
        rule = await self._store.find(RULE, timer.key)
        if rule is None or not rule.schedule or not rule.is_enabled:
            return Settlement(timer.key, timer.epoch), ()
        event = scheduled_event(rule.arn(), self._ids.uuid(), timer.due_at_ms / 1000, now)
        due_at = next_due_at(rule, now)
        settlement = Settlement(timer.key, timer.epoch, None if due_at is None else int(due_at * 1000))
        return settlement, await self._router.fire(event, rule.address(), compile_rule(rule))
