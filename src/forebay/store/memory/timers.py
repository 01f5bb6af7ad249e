"""Timers, by the book."""

from forebay.store.commands import (
    ClaimedTimer,
    ClaimTimers,
    CountTimers,
    DeleteTimers,
    ExtendTimers,
    ListTimers,
    NextTimer,
    PutTimers,
    SettleTimers,
    Timer,
)
from forebay.store.memory.state import State, TimerRow


def put_timers(state: State, command: PutTimers) -> tuple[bool, ...]:
    """Create timers, or replace them."""
    results: list[bool] = []
    for timer in command.timers:
        is_put = not (command.only_new and (timer.kind, timer.key) in state.timers)
        results.append(is_put)
        if is_put:
            state.timers[timer.kind, timer.key] = TimerRow(timer, timer.due_at_ms)
        state.topics["timers", timer.kind] = None
    return tuple(results)


def _of_kind(state: State, kind: str) -> list[TimerRow]:
    return [stored for stored in state.timers.values() if stored.timer.kind == kind]


def claim(state: State, command: ClaimTimers) -> tuple[ClaimedTimer, ...]:
    """Take due timers."""
    due = [stored for stored in _of_kind(state, command.kind) if stored.ready_at_ms <= command.now_ms]
    due.sort(key=lambda stored: (stored.ready_at_ms, stored.timer.key))
    epoch = state.take_position()
    claimed = due[: command.limit]
    for stored in claimed:
        name = (stored.timer.kind, stored.timer.key)
        state.timers[name] = TimerRow(stored.timer, command.lease_until_ms, epoch)
    return tuple(ClaimedTimer(stored.timer.key, stored.timer.due_at_ms, stored.timer.data, epoch) for stored in claimed)


def extend(state: State, command: ExtendTimers) -> tuple[bool, ...]:
    """Extend the leases of claimed timers."""
    results: list[bool] = []
    for key, epoch in command.held:
        stored = state.timers.get((command.kind, key))
        is_held = stored is not None and stored.epoch == epoch > 0
        results.append(is_held)
        if stored is not None and is_held:
            state.timers[command.kind, key] = TimerRow(stored.timer, command.lease_until_ms, epoch)
    return tuple(results)


def settle(state: State, command: SettleTimers) -> tuple[bool, ...]:
    """Settle claimed timers."""
    results: list[bool] = []
    for settlement in command.settlements:
        name = (command.kind, settlement.key)
        stored = state.timers.get(name)
        if stored is None or not stored.epoch == settlement.epoch > 0:
            results.append(False)
            continue
        results.append(True)
        if settlement.due_at_ms is None:
            del state.timers[name]
            continue
        data = stored.timer.data if settlement.data is None else settlement.data
        timer = Timer(command.kind, settlement.key, settlement.due_at_ms, data)
        state.timers[name] = TimerRow(timer, settlement.due_at_ms)
        state.topics["timers", command.kind] = None
    return tuple(results)


def delete_timers(state: State, command: DeleteTimers) -> tuple[bool, ...]:
    """Delete timers."""
    return tuple(state.timers.pop((command.kind, key), None) is not None for key in command.keys)


def next_timer(state: State, query: NextTimer) -> int | None:
    """Return when the earliest timer of a kind is due."""
    return min((stored.ready_at_ms for stored in _of_kind(state, query.kind)), default=None)


def count_timers(state: State, query: CountTimers) -> int:
    """Return how many timers of a kind exist."""
    return len(_of_kind(state, query.kind))


def list_timers(state: State, query: ListTimers) -> tuple[ClaimedTimer, ...]:
    """Read timers of a kind in order of their keys."""
    timers = [stored for stored in _of_kind(state, query.kind) if stored.timer.key > query.after_key]
    timers.sort(key=lambda stored: stored.timer.key)
    return tuple(
        ClaimedTimer(stored.timer.key, stored.timer.due_at_ms, stored.timer.data, stored.epoch)
        for stored in timers[: query.limit]
    )
