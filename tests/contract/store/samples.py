"""Short ways to say what the store tests send and ask."""

from forebay.store.commands import (
    CountMessages,
    DeadLetterRule,
    MessageCounts,
    NewMessage,
    Receipt,
    ReceiveMessages,
    SendMessages,
)

DAY_MS = 86_400_000


def message(name, *, sent_at=0, visible_at=None, expires_at=DAY_MS, body=None, **more):
    return NewMessage(
        message_id=name,
        body=f"body of {name}" if body is None else body,
        attributes=b"\x00attributes",
        sent_at_ms=sent_at,
        visible_at_ms=sent_at if visible_at is None else visible_at,
        expires_at_ms=expires_at,
        **more,
    )


async def run(store, command):
    (result,) = await store.submit((command,))
    return result


async def send(store, queue, *names, **options):
    return await run(store, SendMessages(queue, tuple(message(name, **options) for name in names)))


async def receive(store, queue, *, now=0, hidden=30_000, limit=10, **options):
    return await run(store, ReceiveMessages(queue, now, now + hidden, limit, **options))


async def receive_ids(store, queue, **options):
    return [received.message_id for received in (await receive(store, queue, **options)).messages]


async def counts(store, queue, now=0):
    found = await run(store, CountMessages(queue, now))
    assert isinstance(found, MessageCounts)
    return found.visible, found.in_flight, found.delayed


def receipt(received):
    return Receipt(received.position, received.receive_count)


def rule(queue, receives_max, retention=DAY_MS):
    return DeadLetterRule(queue, receives_max, retention)
