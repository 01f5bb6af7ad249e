"""Background: the deployer, which drives every deployment to its end, and forgets deleted stacks after 90 days."""

import asyncio

import structlog

from forebay.background.due_timers import DueTimers
from forebay.operations.platform import Platform
from forebay.services.cloudformation.engine import Engine
from forebay.services.cloudformation.progress import Superseded, load_progress
from forebay.services.cloudformation.stack import RESOURCE, RETENTION_SECONDS, STACK, event_stream
from forebay.store.commands import (
    ClaimedTimer,
    DropLog,
    ExtendTimers,
    PutTimers,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.contract import Transaction
from forebay.store.records import key_parts, key_prefix

log = structlog.get_logger()

DEPLOY = "cloudformation.deploy"
"""The timers' kind: one row for each stack that something is to be done for; its key is the stack's."""

_DEPLOYMENTS_MAX = 16
_LEASE_SECONDS = 6.0
_LOOK_AGAIN_SECONDS = 0.5


def deploy_timer(key: str, due_at: float) -> PutTimers:
    """Return the command that has a stack's deployment begun at a time."""
    return PutTimers((Timer(DEPLOY, key, int(due_at * 1000), b""),))


class Deployer:
    """Claims due deployments and drives each in a step of its own. A `Worker`."""

    name = "cloudformation.deployer"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running: set[str] = set()
        self._timers = DueTimers(platform.store, platform.clock, DEPLOY, lease_seconds=_LEASE_SECONDS)

    async def run_once(self) -> float:
        """Begin what is due, up to the most at once."""
        room = _DEPLOYMENTS_MAX - len(self._running)
        if room <= 0:
            return _LOOK_AGAIN_SECONDS
        for timer in await self._timers.claim(room):
            if timer.key in self._running:
                # The deployment before it is about to see that it was superseded.
                again = int((self._platform.clock.now() + _LOOK_AGAIN_SECONDS) * 1000)
                await self._settle(Settlement(timer.key, timer.epoch, again))
            else:
                self._running.add(timer.key)
                self._platform.spawn(self._drive(timer))
        return await self._timers.seconds_until_next()

    async def _drive(self, timer: ClaimedTimer) -> None:
        """Drive one deployment to its end, holding its lease; what fails here is tried again when the lease lapses."""
        try:
            keeper = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                lease = group.create_task(self._hold(timer, keeper))
                try:
                    await self._deploy(timer)
                finally:
                    keeper.set()
                    lease.cancel()
        except asyncio.CancelledError:
            # The node stops: whoever runs next goes on at once.
            await asyncio.shield(self._settle(Settlement(timer.key, timer.epoch, timer.due_at_ms)))
            raise
        finally:
            self._running.discard(timer.key)

    async def _deploy(self, timer: ClaimedTimer) -> None:
        progress = await load_progress(self._platform, timer.key)
        if progress is None:
            await self._purge_if_deleted(timer)
            return
        stack = progress.stack
        superseded = False
        try:
            await Engine(progress).run()
        except* Superseded:
            superseded = True
        if superseded:
            log.info("deployment.superseded", stack=stack.name)
            return
        log.info("deployment.finished", stack=stack.name, status=progress.stack.status)
        due_at_ms = None
        if progress.stack.status == "DELETE_COMPLETE":
            due_at_ms = int((self._platform.clock.now() + RETENTION_SECONDS) * 1000)
        await self._settle(Settlement(timer.key, timer.epoch, due_at_ms))

    async def _purge_if_deleted(self, timer: ClaimedTimer) -> None:
        """Forget a stack that was deleted long ago."""
        now = self._platform.clock.now()

        def work(transaction: Transaction) -> bool:
            stack = transaction.records.find(STACK, timer.key)
            if stack is None or stack.deleted_at is None or now < stack.deleted_at + RETENTION_SECONDS:
                return False
            transaction.records.delete(STACK, timer.key)
            for key, _ in transaction.records.list(RESOURCE, key_prefix(*key_parts(timer.key))):
                transaction.records.delete(RESOURCE, key)
            transaction.apply(DropLog(event_stream(stack.uuid)))
            return True

        await self._platform.store.transact(work)
        await self._settle(Settlement(timer.key, timer.epoch))

    async def _hold(self, timer: ClaimedTimer, over: asyncio.Event) -> None:
        """Extend the lease until the deployment is over."""
        while not over.is_set():
            await self._platform.clock.sleep(_LEASE_SECONDS / 3)
            until = int((self._platform.clock.now() + _LEASE_SECONDS) * 1000)
            await self._platform.store.submit([ExtendTimers(DEPLOY, ((timer.key, timer.epoch),), until)])

    async def _settle(self, settlement: Settlement) -> None:
        await self._platform.store.submit([SettleTimers(DEPLOY, (settlement,))])
