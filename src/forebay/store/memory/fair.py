"""Fair queues, by the book: which tenants are noisy, and in which order a standard queue's messages come."""

from collections.abc import Iterable, Iterator, Mapping

from forebay.store.commands import NOISY_IN_FLIGHT_MIN, NOISY_SHARE_PERCENT, QUIET_AFTER_MS, CallNoisy
from forebay.store.memory.state import State, StoredMessage


def fair_order(queue: Mapping[int, StoredMessage], noisy: frozenset[str]) -> Iterator[int]:
    """Yield ready messages: quiet tenants' by order, then those of the noisy tenant with the fewest in flight.

    Each must have left the state "ready" before the next is asked for.
    """
    while ready := [position for position, message in queue.items() if message.state == "ready"]:
        quiet = [position for position in ready if queue[position].new.group not in noisy]
        if not quiet:
            groups = {queue[position].new.group or "" for position in ready}
            chosen = min(groups, key=lambda group: (_in_flight(queue, group), group))
            quiet = [position for position in ready if queue[position].new.group == chosen]
        yield min(quiet, key=lambda position: queue[position].order)


def still_noisy(state: State, number: int, now_ms: int) -> frozenset[str]:
    """Return the noisy tenants that have sent something of late; the others are quiet from now on."""
    noisy = state.noisy.get(number, frozenset())
    state.noisy[number] = frozenset(
        tenant for tenant in noisy if now_ms - state.tenants_sent_at[number, tenant] < QUIET_AFTER_MS
    )
    return state.noisy[number]


def judge(state: State, number: int, received: Iterable[str | None]) -> None:
    """Call noisy those whose messages were just received, if they hold too many."""
    queue = state.queue(number)
    total = sum(message.state == "in flight" for message in queue.values())
    for tenant in {tenant for tenant in received if tenant is not None}:
        held = _in_flight(queue, tenant)
        if held >= NOISY_IN_FLIGHT_MIN and held * 100 > total * NOISY_SHARE_PERCENT:
            state.noisy[number] = state.noisy.get(number, frozenset()) | {tenant}


def call_noisy(state: State, command: CallNoisy) -> None:
    """Call tenants noisy, those of whom something waits."""
    waiting = {message.new.group for message in state.queue(command.queue).values() if message.state != "in flight"}
    named = {tenant for tenant in command.tenants if tenant in waiting}
    state.noisy[command.queue] = state.noisy.get(command.queue, frozenset()) | named


def calm(state: State, number: int) -> None:
    """Call quiet the tenants of whom nothing waits."""
    waiting = {message.new.group for message in state.queue(number).values() if message.state != "in flight"}
    state.noisy[number] = frozenset(tenant for tenant in state.noisy.get(number, ()) if tenant in waiting)


def _in_flight(queue: Mapping[int, StoredMessage], tenant: str) -> int:
    return sum(message.state == "in flight" and message.new.group == tenant for message in queue.values())
