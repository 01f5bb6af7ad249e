"""Queues, by the book: the messages of a queue are a dict by position, and every question is a look at all of them."""

from collections.abc import Iterator, Mapping

import msgspec

from forebay.store.commands import (
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    CountGroup,
    CountMessages,
    DeleteMessages,
    ExpireMessages,
    ForgetDuplicates,
    MessageCounts,
    NewMessage,
    PeekMessages,
    PurgeQueue,
    Receipt,
    Received,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    SentMessage,
)
from forebay.store.memory.fair import calm, fair_order, judge, still_noisy
from forebay.store.memory.state import State, StoredMessage

_RECEIVES_IN_FRONT = 3


def send(state: State, command: SendMessages) -> tuple[SentMessage, ...]:
    """Put messages on a queue."""
    sent: list[SentMessage] = []
    for new in command.messages:
        known = _find_duplicate(state, command.queue, new)
        if known is not None:
            sent.append(msgspec.structs.replace(known, is_duplicate=True))
            continue
        position = state.take_position()
        where = "delayed" if new.visible_at_ms > new.sent_at_ms else "ready"
        state.queue(command.queue)[position] = StoredMessage(new, position, where, new.visible_at_ms)
        sent.append(SentMessage(position, new.message_id))
        if new.group is not None:
            state.tenants_sent_at[command.queue, new.group] = new.sent_at_ms
        if new.deduplication_key is not None:
            state.duplicates[command.queue, new.deduplication_key] = sent[-1], new.deduplication_until_ms
    state.topics["queue", command.queue] = None
    return tuple(sent)


def _find_duplicate(state: State, queue: int, new: NewMessage) -> SentMessage | None:
    if new.deduplication_key is None:
        return None
    first, until_ms = state.duplicates.get((queue, new.deduplication_key), (None, 0))
    return first if until_ms > new.sent_at_ms else None


def receive(state: State, command: ReceiveMessages) -> Received:
    """Receive messages."""
    _promote(state, command.queue, command.now_ms)
    again = _repeat(state, command)
    if again is not None:
        return again
    queue = state.queue(command.queue)
    limit = command.limit
    if command.in_flight_max is not None:
        limit = min(limit, command.in_flight_max - _count_state(queue, "in flight"))
        if limit <= 0 and not command.is_fifo:
            return Received((), is_over_limit=True)
    noisy = still_noisy(state, command.queue, command.now_ms)
    ready = _fifo_order(queue) if command.is_fifo else fair_order(queue, noisy)
    taken: list[ReceivedMessage] = []
    dead_lettered = 0
    while len(taken) < limit and (position := next(ready, None)) is not None:
        message = queue[position]
        rule = command.dead_letter
        if message.new.expires_at_ms <= command.now_ms:
            del queue[position]
        elif rule is not None and message.receive_count >= rule.receives_max:
            del queue[position]
            _bury(state, message, command)
            dead_lettered += 1
        else:
            queue[position] = _take(state, message, command)
            taken.append(_as_received(position, queue[position]))
    if not command.is_fifo:
        judge(state, command.queue, [message.group for message in taken])
        calm(state, command.queue)
    hidden = [message.visible_at_ms for message in queue.values() if message.state != "ready"]
    _remember(state, command, taken)
    return Received(tuple(taken), min(hidden) if hidden and not taken else None, dead_lettered)


def _promote(state: State, number: int, now_ms: int) -> None:
    for position, message in state.queue(number).items():
        if message.state != "ready" and message.visible_at_ms <= now_ms:
            state.queue(number)[position] = msgspec.structs.replace(message, state="ready")


def _fifo_order(queue: Mapping[int, StoredMessage]) -> Iterator[int]:
    """Yield the ready messages of open groups: all of one group, then of the next; older first in both."""
    closed = {message.new.group for message in queue.values() if message.state == "in flight"}
    groups: dict[str | None, list[int]] = {}
    for position, message in sorted(queue.items()):
        if message.state == "ready" and message.new.group not in closed:
            groups.setdefault(message.new.group, []).append(position)
    return iter([position for positions in groups.values() for position in positions])


def _take(state: State, message: StoredMessage, command: ReceiveMessages) -> StoredMessage:
    receive_count = message.receive_count + 1
    first = message.first_received_at_ms
    goes_back = receive_count >= _RECEIVES_IN_FRONT and not command.is_fifo
    return msgspec.structs.replace(
        message,
        state="in flight",
        visible_at_ms=command.visible_until_ms,
        receive_count=receive_count,
        first_received_at_ms=command.now_ms if first is None else first,
        order=state.take_position() if goes_back else message.order,
    )


def _bury(state: State, message: StoredMessage, command: ReceiveMessages) -> None:
    rule = command.dead_letter
    assert rule is not None
    position = state.take_position()
    sent_at_ms = command.now_ms if command.is_fifo else message.new.sent_at_ms
    new = msgspec.structs.replace(message.new, sent_at_ms=sent_at_ms, expires_at_ms=sent_at_ms + rule.retention_ms)
    if command.is_fifo:
        new = msgspec.structs.replace(new, deduplication=new.message_id)
    dead = StoredMessage(new, position, "ready", command.now_ms, dead_letter_source=command.queue)
    state.queue(rule.queue)[position] = dead
    if new.group is not None:
        state.tenants_sent_at[rule.queue, new.group] = command.now_ms
    state.topics["queue", rule.queue] = None


def _repeat(state: State, command: ReceiveMessages) -> Received | None:
    """Return the answer to an earlier receive with the same attempt, if it still stands."""
    known = None if command.attempt is None else state.attempts.get((command.queue, command.attempt))
    if known is None or known[2] <= command.now_ms:
        return None
    receipts, received_at_ms, _ = known
    queue = state.queue(command.queue)
    if not all(_is_held(queue.get(receipt.position), receipt) for receipt in receipts):
        return None
    for receipt in receipts:
        message = queue[receipt.position]
        queue[receipt.position] = msgspec.structs.replace(message, visible_at_ms=command.visible_until_ms)
    messages = tuple(_as_received(receipt.position, queue[receipt.position]) for receipt in receipts)
    return Received(messages, repeats_ms=received_at_ms)


def _remember(state: State, command: ReceiveMessages, taken: list[ReceivedMessage]) -> None:
    if command.attempt is not None and taken:
        receipts = tuple(Receipt(message.position, message.receive_count) for message in taken)
        state.attempts[command.queue, command.attempt] = receipts, command.now_ms, command.attempt_until_ms


def _is_held(message: StoredMessage | None, receipt: Receipt) -> bool:
    """Return whether a message is in flight by the very receive that the receipt is of."""
    return message is not None and message.state == "in flight" and message.receive_count == receipt.receive_count


def _as_received(position: int, message: StoredMessage) -> ReceivedMessage:
    new = message.new
    return ReceivedMessage(
        position=position,
        message_id=new.message_id,
        body=new.body,
        attributes=new.attributes,
        sent_at_ms=new.sent_at_ms,
        visible_at_ms=message.visible_at_ms,
        expires_at_ms=new.expires_at_ms,
        first_received_at_ms=message.first_received_at_ms,
        receive_count=message.receive_count,
        group=new.group,
        deduplication=new.deduplication,
        dead_letter_source=message.dead_letter_source,
    )


def delete(state: State, command: DeleteMessages) -> tuple[bool, ...]:
    """Delete messages by their receipts."""
    queue = state.queue(command.queue)
    results: list[bool] = []
    for receipt in command.receipts:
        message = queue.get(receipt.position)
        is_there = message is not None
        if message is not None and command.is_fifo:
            is_there = _is_held(message, receipt) and message.visible_at_ms > command.now_ms
        results.append(is_there)
        if is_there:
            del queue[receipt.position]
            if command.is_fifo:
                state.topics["queue", command.queue] = None
    calm(state, command.queue)
    return tuple(results)


def change_visibility(state: State, command: ChangeVisibility) -> tuple[bool, ...]:
    """Change when messages in flight become visible again."""
    queue = state.queue(command.queue)
    results: list[bool] = []
    for change in command.changes:
        message = queue.get(change.receipt.position)
        is_in_flight = message is not None and message.state == "in flight" and message.visible_at_ms > command.now_ms
        if command.is_fifo:
            is_in_flight = is_in_flight and _is_held(message, change.receipt)
        results.append(is_in_flight)
        if message is not None and is_in_flight:
            queue[change.receipt.position] = msgspec.structs.replace(message, visible_at_ms=change.visible_at_ms)
            if change.visible_at_ms <= command.now_ms:
                state.topics["queue", command.queue] = None
    return tuple(results)


def purge(state: State, command: PurgeQueue) -> int:
    """Empty a queue."""
    state.noisy.pop(command.queue, None)
    return len(state.queues.pop(command.queue, {}))


def count(state: State, command: CountMessages) -> MessageCounts:
    """Count the messages of a queue."""
    _promote(state, command.queue, command.now_ms)
    queue = state.queue(command.queue)
    return MessageCounts(
        visible=_count_state(queue, "ready"),
        in_flight=_count_state(queue, "in flight"),
        delayed=_count_state(queue, "delayed"),
    )


def _count_state(queue: Mapping[int, StoredMessage], state: str) -> int:
    return sum(message.state == state for message in queue.values())


def count_group(state: State, query: CountGroup) -> MessageCounts:
    """Count the messages of a group or tenant."""
    queue = state.queues.get(query.queue, {})
    of_group = {position: message for position, message in queue.items() if message.new.group == query.group}
    return MessageCounts(
        visible=_count_state(of_group, "ready"),
        in_flight=_count_state(of_group, "in flight"),
        delayed=_count_state(of_group, "delayed"),
    )


def peek(state: State, query: PeekMessages) -> tuple[ReceivedMessage, ...]:
    """Read messages in order of position."""
    queue = state.queues.get(query.queue, {})
    positions = sorted(position for position in queue if position > query.after)
    return tuple(_as_received(position, queue[position]) for position in positions[: query.limit])


def expire(state: State, command: ExpireMessages) -> int:
    """Delete messages whose retention is over."""
    expired = sorted(
        (message.new.expires_at_ms, number, position)
        for number, queue in state.queues.items()
        for position, message in queue.items()
        if message.new.expires_at_ms <= command.now_ms
    )[: command.limit]
    for _, number, position in expired:
        del state.queues[number][position]
        calm(state, number)
    return len(expired)


def change_retention(state: State, command: ChangeRetention) -> int | None:
    """Change when messages expire."""
    queue = state.queue(command.queue)
    positions = sorted(position for position in queue if position > command.after)
    for position in positions[: command.limit]:
        message = queue[position]
        new = msgspec.structs.replace(message.new, expires_at_ms=message.new.sent_at_ms + command.retention_ms)
        queue[position] = msgspec.structs.replace(message, new=new)
    return positions[command.limit - 1] if len(positions) > command.limit else None


def change_delay(state: State, command: ChangeDelay) -> None:
    """Change when delayed messages become visible."""
    queue = state.queue(command.queue)
    for position, message in queue.items():
        if message.state == "delayed":
            visible_at_ms = message.new.sent_at_ms + command.delay_ms
            queue[position] = msgspec.structs.replace(message, visible_at_ms=visible_at_ms)
    state.topics["queue", command.queue] = None


def forget_duplicates(state: State, command: ForgetDuplicates) -> int:
    """Delete memories that have ended."""
    ended = [name for name, (_, until_ms) in state.duplicates.items() if until_ms <= command.now_ms]
    for name in ended[: command.limit]:
        del state.duplicates[name]
    lapsed = [name for name, known in state.attempts.items() if known[2] <= command.now_ms]
    lapsed = lapsed[: max(command.limit - len(ended), 0)]
    for name in lapsed:
        del state.attempts[name]
    return min(len(ended), command.limit) + len(lapsed)
