"""Runs executions: hands events to them one commit after the other, and begins what a commit has made due.

Each execution has a mailbox on the node where something happens to it. Whatever arrives while a commit runs goes into
the next one, so that a hundred branches that end together share a commit. Another node may handle the same execution at
the same time: the number of the last change tells them apart, and who was late reads again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from forebay.config import Config
from forebay.languages.asl import contract as asl
from forebay.operations.platform import Platform
from forebay.services.stepfunctions.execution import (
    Execution,
    Pending,
    decode_execution,
    decode_progress,
    encode_progress,
)
from forebay.services.stepfunctions.hot import Hot, HotExecutions
from forebay.services.stepfunctions.inbox import Inbound, Redriven
from forebay.services.stepfunctions.machines import Compiled, Machines
from forebay.services.stepfunctions.notices import Notices
from forebay.services.stepfunctions.rows import ExecutionRows
from forebay.services.stepfunctions.transition import Launch, Surroundings, Transition
from forebay.store.commands import Command
from forebay.store.items import WriteItems, Written

_FIRST_VERSION = 1


class Handed:
    """An event in a mailbox: what is committed with it, and where to say whether it changed anything."""

    __slots__ = ("done", "event", "then")

    def __init__(self, event: Inbound, then: Sequence[Command[Any]]) -> None:
        self.event = event
        self.then = then
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def answer(self, *, is_changed: bool) -> None:
        """Tell whoever waits."""
        if not self.done.done():
            self.done.set_result(is_changed)

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits that it could not be done."""
        if not self.done.done():
            self.done.set_exception(error)
            # Whoever handed it may not be waiting any more.
            self.done.exception()


class Outlets:
    """What the engine begins after a commit: calls of tasks, and their ends. Set as the node is built."""

    def __init__(self) -> None:
        self.call: Callable[[Execution, Launch], Coroutine[Any, Any, None]] | None = None
        self.cancel: Callable[[Execution, asl.TaskKey, Pending], Coroutine[Any, Any, None]] | None = None


class Engine:
    """Runs the executions of Standard state machines."""

    def __init__(self, platform: Platform, rows: ExecutionRows, machines: Machines, notices: Notices) -> None:
        self._platform = platform
        self._store = platform.store
        self.rows = rows
        self.machines = machines
        self._notices = notices
        self._hot = HotExecutions()
        self._mailboxes: dict[str, list[Handed]] = {}
        # Where other nodes share the store, what this one remembers may be old: good enough to write by, not to show.
        self._is_alone = is_embedded(platform.config)
        self.outlets = Outlets()

    async def start(self, execution: Execution, compiled: Compiled) -> Execution | None:
        """Start an execution as far as it goes by itself, in one commit; return the one that has its name already."""
        transition, command = await self._begin(execution, compiled, is_ours=True)
        (written,) = cast("Sequence[Written]", await self._store.submit((command,)))
        if not written.is_written:
            return decode_execution(written.answers[0])
        self._follow(transition, compiled, _FIRST_VERSION)
        return None

    async def commands_to_start(self, execution: Execution, compiled: Compiled) -> list[Command[Any]]:
        """Return the commands that start an execution in someone else's commit; what it calls is seen by its leases."""
        _, command = await self._begin(execution, compiled, is_ours=False)
        return [command]

    async def hand(self, key: str, event: Inbound, then: Sequence[Command[Any]] = ()) -> bool:
        """Hand an event to an execution; return whether it changed anything, once that is durable.

        `then` is committed with it, also where it changes nothing.
        """
        handed = Handed(event, then)
        mailbox = self._mailboxes.get(key)
        if mailbox is None:
            self._mailboxes[key] = [handed]
            self._platform.spawn(self._empty(key))
        else:
            mailbox.append(handed)
        return await handed.done

    def forget(self) -> None:
        """Forget all executions: the store was wiped."""
        self._hot.clear()

    async def find(self, key: str) -> Execution | None:
        """Return an execution."""
        hot = self._hot.find(key) if self._is_alone else None
        if hot is not None:
            return hot.execution
        (item,) = await self._store.view(lambda view: view.ask(self.rows.read(key)))
        return None if item is None else decode_execution(item.data)

    async def find_whole(self, key: str) -> Hot | None:
        """Return an execution with its progress."""
        return (self._hot.find(key) if self._is_alone else None) or await self._load(key)

    async def _begin(self, execution: Execution, compiled: Compiled, *, is_ours: bool) -> tuple[Transition, WriteItems]:
        transition = Transition(execution, None, self._around(compiled, is_ours=is_ours))
        transition.start()
        progress = transition.progress
        is_over = transition.execution.status == "SUCCEEDED"
        data = None if is_over else encode_progress(progress, _FIRST_VERSION)
        then = [*transition.commands(), *await self._notices.commands(None, transition.execution, compiled.revision)]
        return transition, self.rows.start(transition.execution, data, then)

    async def _empty(self, key: str) -> None:
        """Hand over what is in a mailbox and what comes meanwhile."""
        mailbox = self._mailboxes[key]
        batch: list[Handed] = []
        try:
            while mailbox:
                batch = mailbox.copy()
                mailbox.clear()
                await self._transit(key, batch)
        except BaseException as error:
            for handed in (*batch, *mailbox):
                handed.fail(error)
            raise
        finally:
            del self._mailboxes[key]

    async def _transit(self, key: str, batch: Sequence[Handed]) -> None:
        then = [command for handed in batch for command in handed.then]
        while True:
            kept = self._hot.find(key)
            hot = kept or await self._load(key)
            changes = [False] * len(batch)
            if hot is not None:
                transition = Transition(hot.execution, hot.progress, self._around(hot.compiled))
                changes = [_hand(transition, handed.event) for handed in batch]
                if any(changes) and await self._commit(hot, transition, then):
                    break
            if not any(changes) and (kept is None or self._is_alone):
                await self._settle(then)
                break
            # Another node has changed it: at least, nothing fits what this one remembers.
            self._hot.drop(key)
        for handed, is_changed in zip(batch, changes, strict=True):
            handed.answer(is_changed=is_changed)

    async def _commit(self, hot: Hot, transition: Transition, then: Sequence[Command[Any]]) -> bool:
        before, after = hot.execution, transition.execution
        version = hot.version + 1
        data = encode_progress(transition.progress, version)
        notices = [] if after is before else await self._notices.commands(before, after, hot.compiled.revision)
        command = self.rows.advance(
            before.key,
            hot.version,
            data,
            [*then, *transition.commands(), *notices],
            None if after is before else after,
        )
        (written,) = cast("Sequence[Written]", await self._store.submit((command,)))
        if written.is_written:
            self._follow(transition, hot.compiled, version, len(data))
        return written.is_written

    def _follow(self, transition: Transition, compiled: Compiled, version: int, size: int = 0) -> None:
        """Begin what a commit has made due."""
        execution = transition.execution
        if transition.has_ended:
            self._hot.drop(execution.key)
        else:
            size += len(execution.input)
            self._hot.keep(Hot(execution, transition.progress, version, compiled, size))
        self._notices.tell(execution, compiled.revision, transition.history)
        self._launch(transition)

    def _launch(self, transition: Transition) -> None:
        execution, outlets, spawn = transition.execution, self.outlets, self._platform.spawn
        if outlets.cancel is not None:
            for key, pending in transition.cancelled:
                spawn(outlets.cancel(execution, key, pending))
        if transition.has_more:
            spawn(self._proceed(execution.key))
        if outlets.call is not None and not transition.has_ended:
            for launch in transition.launches:
                spawn(outlets.call(execution, launch))

    async def _proceed(self, key: str) -> None:
        await self.hand(key, asl.Proceeded())

    async def _settle(self, then: Sequence[Command[Any]]) -> None:
        if then:
            await self._store.submit(then)

    async def _load(self, key: str) -> Hot | None:
        header, progress = await self._store.view(lambda view: view.ask(self.rows.read_both(key)))
        if header is None or progress is None:
            return None
        execution = decode_execution(header.data)
        kept, version = decode_progress(progress.data)
        size = len(header.data) + len(progress.data)
        return Hot(execution, kept, version, await self.machines.find(execution), size)

    def _around(self, compiled: Compiled, *, is_ours: bool = True) -> Surroundings:
        return Surroundings(
            compiled.machine, compiled.revision.role, self._platform.clock.now(), self._platform.ids, is_ours
        )


def is_embedded(config: Config) -> bool:
    """Tell whether a node's store is its own, so that no other node can have changed what is in it."""
    return config.store is None or config.store.startswith(("sqlite:", "memory:"))


def _hand(transition: Transition, event: Inbound) -> bool:
    is_running = transition.execution.status == "RUNNING"
    if is_running == isinstance(event, Redriven):
        return False
    return transition.hand(event)
