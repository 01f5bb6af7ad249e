"""In which order the commands of one commit run: what SQL engines share.

Commands of concurrent submits have no order that anyone could rely on, so a commit runs them sorted by kind: all sends
in one statement, then all deletes, then the receives. Within a kind, and within one submit, order is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from forebay.store.commands import Command, PutTimers

S = TypeVar("S")

Handler = Callable[[S, Sequence[Any]], Sequence[Any]]
"""Runs commands of one type together in an engine's session, and answers each."""


def either(standard: Handler[S], fifo: Handler[S]) -> Handler[S]:
    """Return a handler that gives commands on FIFO queues to one, all others to the other."""

    def handle(session: S, commands: Sequence[Any]) -> Sequence[Any]:
        of_fifo = [command for command in commands if command.is_fifo]
        if not of_fifo:
            return standard(session, commands)
        of_standard = [command for command in commands if not command.is_fifo]
        answers = iter(standard(session, of_standard) if of_standard else ())
        fifo_answers = iter(fifo(session, of_fifo))
        return [next(fifo_answers if command.is_fifo else answers) for command in commands]

    return handle


class Handlers(Generic[S]):
    """An engine's handlers by type of command, in the order in which a commit runs them.

    From `PutTimers` on, commands run where they stand: nothing that was submitted earlier runs later, nor the reverse.
    """

    def __init__(self, handlers: Mapping[type[Command[Any]], Handler[S]]) -> None:
        self._handlers = handlers
        self.ranks = {command: rank for rank, command in enumerate(handlers)}
        self.first_in_place = self.ranks[PutTimers]
        self.count = len(handlers)

    def __getitem__(self, command_type: type[Command[Any]]) -> Handler[S]:
        return self._handlers[command_type]


class CommandGroup(Generic[S]):
    """Commands of one type that run together, and where the result of each goes."""

    __slots__ = ("commands", "handler", "slots")

    def __init__(self, handler: Handler[S]) -> None:
        self.handler = handler
        self.commands: list[Command[Any]] = []
        self.slots: list[tuple[list[object], int]] = []

    def run(self, session: S) -> None:
        """Run the commands and hand out their results."""
        for (results, index), result in zip(self.slots, self.handler(session, self.commands), strict=True):
            results[index] = result


class Plan(Generic[S]):
    """Sorts the commands of concurrent submits into groups, which run in the order of their places."""

    def __init__(self, handlers: Handlers[S]) -> None:
        self._handlers = handlers
        # A place is a rank in a round: the first round's places are the ranks, those of the next follow, and so on.
        # All that is added from now on comes at or behind `_floor`.
        self._groups: dict[int, CommandGroup[S]] = {}
        self._floor = 0
        self._top = 0

    def add(self, commands: Sequence[Command[Any]]) -> list[object]:
        """Add a submit's commands; the list that is returned holds their results once the groups have run."""
        handlers, groups = self._handlers, self._groups
        results: list[object] = [None] * len(commands)
        place = self._floor
        for index, command in enumerate(commands):
            rank = handlers.ranks[type(command)]
            is_in_place = rank >= handlers.first_in_place
            if is_in_place:
                place = max(place, self._top)
            # The first place of that rank from here on.
            place += (rank - place) % handlers.count
            if is_in_place:
                self._floor = place
            self._top = max(self._top, place)
            group = groups.get(place)
            if group is None:
                group = groups[place] = CommandGroup(handlers[type(command)])
            group.commands.append(command)
            group.slots.append((results, index))
        return results

    def groups(self) -> list[CommandGroup[S]]:
        """Return the groups in the order in which they run."""
        return [self._groups[place] for place in sorted(self._groups)]
