"""Runs map runs: reads their items, begins children as many as may run, and ends them.

What happens to a map run comes as timers: its beginning, and each child's end in the commit that ends the child. A
batch of them is handled together: first the children that may begin are begun (each under a name that is always the
same, so that a repetition begins none twice), then one commit writes the counts and settles the timers.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import structlog
from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.languages.asl import contract as asl
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.map_runs import batches, item_inputs
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions import resource as resources
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution import Execution, Parent
from forebay.services.stepfunctions.express import ExpressRunner
from forebay.services.stepfunctions.inbox import Redriven
from forebay.services.stepfunctions.item_reader import ReadFailed, read_items
from forebay.services.stepfunctions.map_run import (
    MAP_RUN,
    Again,
    Begin,
    ChildEnded,
    ChildInput,
    Count,
    Look,
    MapRun,
    Notice,
    decode_child_input,
    decode_notice,
    encode,
)
from forebay.services.stepfunctions.result_writer import WriteFailed, write_results
from forebay.services.stepfunctions.rows import ExecutionRows, executions_of, position_of
from forebay.services.stepfunctions.transition import make_environment
from forebay.services.stepfunctions.workers import due_timers
from forebay.store.commands import (
    AppendLog,
    ClaimedTimer,
    Command,
    DropLog,
    LogEntry,
    PutTimers,
    ReadLog,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.items import Written

log = structlog.get_logger()

_APPENDED_AT_ONCE = 500
_PAGE = 200
_SECRET_BYTES = 16
_UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")


class MapRunner:
    """Runs map runs. A `Worker`."""

    name = "stepfunctions.map_runs"

    def __init__(self, platform: Platform, engine: Engine, express: ExpressRunner) -> None:
        self._platform = platform
        self._store = platform.store
        self._clock = platform.clock
        self._engine = engine
        self._rows: ExecutionRows = engine.rows
        self._express = express
        self._timers = due_timers(platform, MAP_RUN)
        # Express children that run on this node.
        self._live: set[str] = set()

    async def run_once(self) -> float:
        """Handle a batch of what has happened to map runs."""
        by_run: dict[str, list[tuple[ClaimedTimer, Notice]]] = {}
        for timer in await self._timers.claim():
            notice = decode_notice(timer.data)
            by_run.setdefault(notice.run.key(), []).append((timer, notice))
        async with asyncio.TaskGroup() as group:
            for notices in by_run.values():
                group.create_task(self._handle(notices))
        return await self._timers.seconds_until_next()

    async def abort(self, key: str) -> None:
        """End a map run whose Map state nobody waits for, and its children."""
        run = await self.find(key)
        if run is None or run.status != "RUNNING":
            return
        await self._write(replace(run, status="ABORTED", stopped_at=self._clock.now()), ())
        await self._stop_children(run)

    async def find(self, key: str) -> MapRun | None:
        """Return a map run."""
        return await self._store.view(lambda view: self._rows.find_map_run(view.ask, key))

    async def _handle(self, notices: Sequence[tuple[ClaimedTimer, Notice]]) -> None:
        try:
            settled = tuple(Settlement(timer.key, timer.epoch) for timer, _ in notices)
            await self._apply([notice for _, notice in notices], (SettleTimers(MAP_RUN, settled),))
        except Exception:
            # The claims lapse, and the batch is handled again.
            log.exception("map_run.failed", map_run=notices[0][1].run.arn())

    async def _apply(self, notices: Sequence[Notice], then: Sequence[Command[Any]]) -> None:
        run = await self.find(notices[0].run.key())
        begin = next((notice for notice in notices if isinstance(notice, Begin)), None)
        if run is None:
            if begin is None:
                await self._store.submit(then)
                return
            run = await self._begin(begin, then)
            if run is None:
                return
        for notice in notices:
            run = await self._after(run, notice)
        if run.status != "RUNNING":
            await self._hand_end(run, then)
        elif run.is_beyond_tolerance():
            await self._fail(run, then)
        else:
            await self._go_on(run, then)

    async def _after(self, run: MapRun, notice: Notice) -> MapRun:
        match notice:
            case ChildEnded() if run.status == "RUNNING":
                return run.after(notice)
            case Again(_, key):
                run = await self._again(run, key)
                await self._resume_lost(run)
            case Look() if run.status == "RUNNING":
                await self._resume_lost(run)
            case _:
                pass
        return run

    async def _go_on(self, run: MapRun, then: Sequence[Command[Any]]) -> None:
        run = await self._begin_children(run)
        if run.finished < run.total.executions:
            watch = self._watch(run) if run.type == "EXPRESS" else ()
            await self._write(run, (*then, *watch))
        else:
            await self._complete(run, then)

    async def _begin(self, begin: Begin, then: Sequence[Command[Any]]) -> MapRun | None:
        """Read the items and keep the children's inputs; return the map run, or None where it fails at once."""
        effect = begin.effect
        hot = await self._engine.find_whole(begin.execution)
        if hot is None or hot.execution.status != "RUNNING":
            await self._store.submit(then)
            return None
        run = MapRun(
            name=begin.run,
            execution=begin.execution,
            execution_arn=hot.execution.name.arn(),
            machine=hot.execution.machine.base(),
            key=effect.key,
            state_name=effect.state_name,
            type=effect.execution_type,
            started_at=self._clock.now(),
            total=Count(),
            max_concurrency=effect.max_concurrency,
            tolerated_failure_count=effect.tolerated_failure_count,
            tolerated_failure_percentage=effect.tolerated_failure_percentage,
            writer=effect.writer,
        )
        caller = self._caller(run, hot.compiled.revision.role)
        try:
            if effect.items is None:
                items = await read_items(self._platform.table, caller, effect.reader or "{}")
            else:
                items = msgspec.json.decode(effect.items)
            environment = make_environment(
                hot.execution, hot.compiled.revision.role, self._clock.now(), self._platform.ids
            )
            inputs = item_inputs(hot.compiled.machine, hot.progress.state, effect.key, items, environment)
        except ReadFailed as error:
            await self._end_failed(run, "States.ItemReaderFailed", str(error), then)
            return None
        except StateFailure as failure:
            await self._end_failed(run, failure.error, failure.cause, then)
            return None
        total = await self._keep_inputs(run, inputs, effect.batcher)
        return replace(run, total=total)

    async def _keep_inputs(self, run: MapRun, inputs: Sequence[str], batcher: str | None) -> Count:
        """Keep the children's inputs, each an entry; what an attempt that was cut short has kept goes first."""
        if batcher is None:
            children = [ChildInput(text, 1) for text in inputs]
        else:
            children = [ChildInput(text, len(msgspec.json.decode(text)["Items"])) for text in batches(inputs, batcher)]
        await self._store.submit((DropLog(run.stream),))
        at_ms = int(run.started_at * 1000)
        for start in range(0, len(children), _APPENDED_AT_ONCE):
            part = children[start : start + _APPENDED_AT_ONCE]
            entries = tuple(LogEntry(at_ms, encode(child)) for child in part)
            await self._store.submit((AppendLog(run.stream, entries),))
        return Count(len(children), len(inputs))

    async def _begin_children(self, run: MapRun) -> MapRun:
        count = run.may_begin()
        while count:
            inputs = await self._inputs(run, run.begun, min(count, _PAGE))
            async with asyncio.TaskGroup() as group:
                for index, given in enumerate(inputs, run.begun):
                    group.create_task(self._begin_child(run, index, given))
            items = sum(given.items for given in inputs)
            run = replace(run, begun=run.begun + len(inputs), begun_items=run.begun_items + items)
            count = run.may_begin()
        return run

    async def _begin_child(self, run: MapRun, index: int, given: ChildInput) -> None:
        parent_execution = await self._engine.find(run.execution)
        assert parent_execution is not None, "an execution outlives its map runs"
        name = run.child_name(index)
        child = Execution(
            name=name,
            machine=replace(run.machine, label=run.name.label),
            revision_id=parent_execution.revision_id,
            type=run.type,
            started_at=self._clock.now(),
            input=given.input,
            secret=self._platform.ids.bytes(_SECRET_BYTES),
            trace_header=parent_execution.trace_header,
            parent=Parent(map_run=run.name, index=index),
            map_run=run.name.arn(),
            item_count=given.items,
            processor=run.state_name,
        )
        compiled = await self._engine.machines.find(child)
        if run.type == "STANDARD":
            await self._engine.start(child, compiled)
        elif child.key not in self._live:
            self._live.add(child.key)
            self._platform.spawn(self._run_express(child))

    async def _run_express(self, child: Execution) -> None:
        """Run an Express child, and keep how it ended with the notice of it."""
        try:
            ended = await self._express.run(child, await self._engine.machines.find(child))
            assert ended.parent is not None
            assert ended.parent.map_run is not None
            notice = ChildEnded(ended.parent.map_run, ended.status, ended.item_count or 1)
            timer = Timer(
                MAP_RUN, f"{ended.parent.map_run.key()}\x1f{ended.key}", int(self._clock.now() * 1000), encode(notice)
            )
            await self._store.submit((self._rows.start(ended, None, (PutTimers((timer,)),)),))
        finally:
            self._live.discard(child.key)

    async def _resume_lost(self, run: MapRun) -> None:
        """Run Express children again that were lost with their node."""
        if run.type != "EXPRESS":
            return
        for start in range(0, run.begun, _PAGE):
            indexes = range(start, min(start + _PAGE, run.begun))
            keys = [run.child_name(index).key() for index in indexes]
            found = await self._store.view(lambda view, keys=keys: [view.ask(self._rows.read(key)) for key in keys])
            inputs = await self._inputs(run, start, len(keys))
            for index, (item,), given in zip(indexes, found, inputs, strict=True):
                if item is None:
                    await self._begin_child(run, index, given)

    async def _again(self, run: MapRun, key: asl.TaskKey) -> MapRun:
        """Let the children that did not succeed go on, or run again."""
        run = replace(
            run,
            key=key,
            status="RUNNING",
            stopped_at=None,
            redrive_count=run.redrive_count + 1,
            redriven_at=self._clock.now(),
            failed=Count(),
            timed_out=Count(),
            aborted=Count(),
        )
        for child in await self._children(run, _UNSUCCESSFUL):
            if run.type == "STANDARD":
                await self._engine.hand(child.key, Redriven())
            else:
                await self._store.submit((self._rows.delete(child, ()),))
        return run

    async def _complete(self, run: MapRun, then: Sequence[Command[Any]]) -> None:
        """End a map run whose children have all ended."""
        output: str | None = None
        if run.writer is not None:
            try:
                output = await self._write_results(run)
            except WriteFailed as error:
                await self._end_failed(run, "States.ResultWriterFailed", str(error), then)
                return
            run = replace(run, written=run.succeeded.plus(run.unsuccessful, run.failed.items))
        run = replace(run, status="SUCCEEDED", stopped_at=self._clock.now(), output=output)
        if await self._write(run, ()):
            await self._hand_end(run, then)

    async def _write_results(self, run: MapRun) -> str:
        children = {
            "SUCCEEDED": await self._children(run, ("SUCCEEDED",)),
            "FAILED": await self._children(run, _UNSUCCESSFUL),
        }
        execution = await self._engine.find_whole(run.execution)
        caller = self._caller(run, "" if execution is None else execution.compiled.revision.role)
        return await write_results(self._platform.table, caller, run, children, self._clock.now())

    async def _hand_end(self, run: MapRun, then: Sequence[Command[Any]]) -> None:
        """Hand the end of a map run to its execution; nothing changes where that has it already."""
        now = run.stopped_at or self._clock.now()
        match run.status:
            case "SUCCEEDED":
                output = run.output
                if output is None:
                    children = await self._children(run, ("SUCCEEDED",))
                    output = "[" + ",".join(child.output or "null" for child in children) + "]"
                entry = resources.event(now, "MapRunSucceeded")
                await self._engine.hand(run.execution, asl.TaskSucceeded(run.key, output, (entry,)), then)
            case "FAILED":
                details = api.MapRunFailedEventDetails(error=run.error, cause=run.cause)
                entry = resources.event(now, "MapRunFailed", map_run_failed_event_details=details)
                failure = asl.TaskFailed(run.key, run.error or "", run.cause, (entry,))
                await self._engine.hand(run.execution, failure, then)
            case _:
                await self._store.submit(then)

    async def _fail(self, run: MapRun, then: Sequence[Command[Any]]) -> None:
        """End a map run of which too much has failed; children that run are stopped."""
        error = "States.ExceedToleratedFailureThreshold"
        await self._end_failed(run, error, "The specified tolerated failure threshold was exceeded", then)
        await self._stop_children(run)

    async def _end_failed(self, run: MapRun, error: str, cause: str | None, then: Sequence[Command[Any]]) -> None:
        run = replace(run, status="FAILED", stopped_at=self._clock.now(), error=error, cause=cause)
        if await self._write(run, ()):
            await self._hand_end(run, then)

    async def _stop_children(self, run: MapRun) -> None:
        while children := await self._page(run, "RUNNING", None):
            for child in children:
                await self._engine.hand(child.key, asl.Stopped())

    async def _children(self, run: MapRun, statuses: Sequence[str]) -> list[Execution]:
        """Return the children of some statuses in order of their items."""
        found: list[Execution] = []
        for status in statuses:
            before: bytes | None = None
            while page := await self._page(run, status, before):
                found += page
                before = position_of(page[-1])
        return sorted(found, key=lambda child: 0 if child.parent is None else child.parent.index)

    async def _page(self, run: MapRun, status: str, before: bytes | None) -> list[Execution]:
        query = self._rows.listed(self._rows.of_map_run(run.name.arn()), status, _PAGE, before)
        return executions_of(await self._store.view(lambda view: view.ask(query)))

    async def _inputs(self, run: MapRun, first: int, count: int) -> list[ChildInput]:
        query = ReadLog(run.stream, count, after=first)
        entries = await self._store.view(lambda view: view.ask(query))
        return [decode_child_input(entry.data) for entry in entries]

    async def _write(self, run: MapRun, then: Sequence[Command[Any]]) -> bool:
        """Write a map run; False (and nothing is settled) where another has changed it meanwhile."""
        (written,) = cast("Sequence[Written]", await self._store.submit((self._rows.write_map_run(run, then),)))
        return written.is_written

    def _watch(self, run: MapRun) -> tuple[Command[Any], ...]:
        due_at_ms = int((self._clock.now() + limits.LEASE_SECONDS) * 1000)
        return (PutTimers((Timer(MAP_RUN, f"{run.name.key()}\x1flook", due_at_ms, encode(Look(run.name))),)),)

    def _caller(self, run: MapRun, role: str) -> Any:
        platform, name = self._platform, run.name
        caller = new_caller(name.region, name.account, platform.ids, platform.endpoint(), "stepfunctions")
        return replace(caller, principal=role)
