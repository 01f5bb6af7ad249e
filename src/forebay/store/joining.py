"""Commands that are plural, made as plural as they can be: what a commit does to one queue or log is one command."""

from collections.abc import Iterable
from typing import Any

from forebay.store.commands import AppendLog, Command, LogEntry, NewMessage, SendMessages


def join(commands: Iterable[Command[Any]]) -> list[Command[Any]]:
    """Return commands of one submit with all messages to a queue in one, and all entries of a log.

    Messages and entries keep their order; sends come first, then entries, as in a commit (`store/plan.py`), then all
    other commands as they stand. For callers that ask for no results.
    """
    messages: dict[tuple[int, bool], list[NewMessage]] = {}
    entries: dict[str, list[LogEntry]] = {}
    others: list[Command[Any]] = []
    for command in commands:
        if isinstance(command, SendMessages):
            messages.setdefault((command.queue, command.is_fifo), []).extend(command.messages)
        elif isinstance(command, AppendLog):
            entries.setdefault(command.stream, []).extend(command.entries)
        else:
            others.append(command)
    return [
        *(SendMessages(queue, tuple(sent), is_fifo) for (queue, is_fifo), sent in messages.items()),
        *(AppendLog(stream, tuple(appended)) for stream, appended in entries.items()),
        *others,
    ]
