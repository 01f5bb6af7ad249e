"""Background duty of Pipes: bringing pipes to the state that is desired of them."""

from collections.abc import Awaitable, Callable
from typing import cast

from msgspec.structs import replace

from forebay.api import pipes as api
from forebay.background.due_timers import DueTimers
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.delivery.stream import forgetting
from forebay.services.pipes.pipe import PIPE, Pipe
from forebay.store.commands import ClaimedTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction

KIND = "pipes.transition"

_BATCH = 20
_FAILURES: dict[str, api.PipeState] = {
    "CREATING": "CREATE_FAILED",
    "UPDATING": "UPDATE_FAILED",
    "STARTING": "START_FAILED",
}


class Transitions:
    """Ends what operations begin: `CREATING` becomes `RUNNING`, and so on. A `Worker`."""

    name = "pipes.transition"

    def __init__(self, store: Store, clock: Clock, open_source: Callable[[Arn], Awaitable[object | None]]) -> None:
        self._store = store
        self._timers = DueTimers(store, clock, KIND, batch=_BATCH)
        self._open_source = open_source

    async def run_once(self) -> float:
        """Bring a batch of pipes on; return the seconds until there is more to do."""
        for timer in await self._timers.claim():
            await self._bring_on(timer)
        return await self._timers.seconds_until_next()

    async def _bring_on(self, timer: ClaimedTimer) -> None:
        pipe = await self._store.view(lambda view: view.records.find(PIPE, timer.key))
        reason = None if pipe is None else await self._find_problem(pipe)

        def settle(transaction: Transaction) -> None:
            (is_held,) = transaction.apply(SettleTimers(KIND, (Settlement(timer.key, timer.epoch),)))
            current = transaction.records.find(PIPE, timer.key)
            if not is_held or current is None:
                return
            if current.current_state == "DELETING":
                transaction.records.delete(PIPE, timer.key)
                if current.stream is not None:
                    transaction.apply(forgetting(current.reading_id, current.stream.lanes))
            else:
                transaction.records.put(PIPE, timer.key, _arrived(current, reason))

        await self._store.transact(settle)

    async def _find_problem(self, pipe: Pipe) -> str | None:
        if pipe.desired_state != "RUNNING" or await self._open_source(Arn.parse(pipe.source)) is not None:
            return None
        return f"The source {pipe.source} does not exist."


def _arrived(pipe: Pipe, reason: str | None) -> Pipe:
    failure = _FAILURES.get(pipe.current_state)
    if reason is not None and failure is not None:
        return replace(pipe, current_state=failure, state_reason=reason)
    return replace(pipe, current_state=cast("api.PipeState", pipe.desired_state), state_reason=None)
