"""Commands that are joined do the same as apart."""

from forebay.store.commands import AppendLog, LogEntry, NewMessage, PutTimers, SendMessages, Timer
from forebay.store.joining import join


def message(name):
    return NewMessage(name, "body", b"", 0, 0, 9)


def test_messages_of_a_queue_and_entries_of_a_log_are_one_command_in_their_order():
    first, second, third = (LogEntry(number, b"") for number in range(3))
    timers = PutTimers((Timer("k", "1", 0, b""),))
    joined = join(
        [
            SendMessages(1, (message("a"),)),
            AppendLog("log", (first,)),
            timers,
            SendMessages(2, (message("b"),), is_fifo=True),
            SendMessages(1, (message("c"), message("d"))),
            AppendLog("other", (second,)),
            AppendLog("log", (third,)),
        ]
    )
    assert joined == [
        SendMessages(1, (message("a"), message("c"), message("d"))),
        SendMessages(2, (message("b"),), is_fifo=True),
        AppendLog("log", (first, third)),
        AppendLog("other", (second,)),
        timers,
    ]


def test_nothing_stays_nothing():
    assert join([]) == []
