"""Generated state machines run alike in the interpreter alone, on a node, and with a crash after each commit."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay.languages.asl import contract as asl
from forebay.languages.asl import interpreter
from forebay.node import Node
from forebay.services.stepfunctions.address import ExecutionName, MachineName
from forebay.services.stepfunctions.definition import compile_definition
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution import Execution
from forebay.services.stepfunctions.execution_log import ExecutionLog
from forebay.services.stepfunctions.inbox import TIMER, Answered, Inbound, Refused, decode_owed, timer_key
from forebay.services.stepfunctions.machines import Compiled, Machines
from forebay.services.stepfunctions.measures import Measures
from forebay.services.stepfunctions.notices import Notices
from forebay.services.stepfunctions.rows import ExecutionRows, open_tables
from forebay.services.stepfunctions.state_machine import REVISION, Revision, revision_key
from forebay.services.stepfunctions.transition import Launch, decode_event
from forebay.store.commands import ListTimers, ReadLog
from tests.harness import RunningNode

_TASK = "arn:aws:lambda:us-east-1:000000000000:function:f"
_STEPS_MAX = 400


# --- state machines ---


@st.composite
def chains(draw: Any, depth: int = 2, prefix: str = "S") -> dict[str, Any]:
    """Chains of states, with branches inside up to a depth."""
    count = draw(st.integers(1, 3))
    names = [f"{prefix}{number}" for number in range(count)]
    states: dict[str, Any] = {}
    for number, name in enumerate(names):
        following = {"End": True} if number == count - 1 else {"Next": names[number + 1]}
        states[name] = {**draw(bodies(depth, name)), **following}
    return {"StartAt": names[0], "States": states}


@st.composite
def bodies(draw: Any, depth: int, name: str) -> dict[str, Any]:  # noqa: PLR0911 - one for each kind
    """The bodies of states that go on."""
    kinds = ["pass", "task", "flaky", "wait", "assign"] + (["parallel", "map"] if depth else [])
    match draw(st.sampled_from(kinds)):
        case "pass":
            return {"Type": "Pass", "Result": draw(st.integers(0, 9)), "ResultPath": f"$.{name}"}
        case "assign":
            return {"Type": "Pass", "Assign": {name: draw(st.integers(0, 9))}}
        case "task":
            return {"Type": "Task", "Resource": _TASK, "Parameters": {"say": name}, "ResultPath": f"$.{name}"}
        case "flaky":
            retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": draw(st.integers(0, 3))}]
            parameters = {"fail": draw(st.integers(0, 3)), "say": name}
            return {
                "Type": "Task", "Resource": _TASK, "Parameters": parameters, "Retry": retry, "TimeoutSeconds": 500,
                "ResultPath": f"$.{name}",
            }  # fmt: skip
        case "wait":
            return {"Type": "Wait", "Seconds": draw(st.integers(0, 5))}
        case "parallel":
            branches = [draw(chains(depth - 1, f"{name}_{number}_")) for number in range(draw(st.integers(1, 3)))]
            return {"Type": "Parallel", "Branches": branches, "ResultPath": f"$.{name}"}
        case _:
            return {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemSelector": {"items.$": "$.items", "item.$": "$$.Map.Item.Value"},
                "ItemProcessor": draw(chains(depth - 1, f"{name}_")),
                "MaxConcurrency": draw(st.integers(0, 2)),
                "ResultPath": f"$.{name}",
            }


INPUT = '{"items":[1,2]}'


class World:
    """What tasks answer: those that are to fail do, so many times."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}

    def answer(self, task: asl.StartTask) -> Inbound:
        arguments = json.loads(task.arguments)
        said = f"{arguments['say']}@{task.key.frame}"
        failed = self._failures.get(said, 0)
        if failed < arguments.get("fail", 0):
            self._failures[said] = failed + 1
            return Refused(task.key, "Flaky", said)
        self._failures[said] = 0
        return Answered(task.key, json.dumps(said))


# --- the interpreter alone ---


def run_alone(definition: str, ids: Any) -> tuple[str, str | None, list[str]]:
    """Return status, output and the interpreter's own events."""
    machine, world = compile_definition(definition), World()
    about = asl.ExecutionContext("id", "name", INPUT, "role", "t", "m", "m")
    now = 0.0
    step = interpreter.start(machine, INPUT, asl.Environment(now, about, ids))
    waiting: list[asl.StartTask] = []
    timers: list[asl.SetTimer] = []
    types: list[str] = []
    for _ in range(_STEPS_MAX):
        types += [event.type for event in step.history]
        waiting += [effect for effect in step.effects if isinstance(effect, asl.StartTask)]
        timers += [effect for effect in step.effects if isinstance(effect, asl.SetTimer)]
        ended = next((effect for effect in step.effects if isinstance(effect, asl.Completed | asl.Failed)), None)
        if ended is not None:
            output = ended.output if isinstance(ended, asl.Completed) else None
            return step.state.status, output, types
        event: asl.Event
        if any(isinstance(effect, asl.Proceed) for effect in step.effects):
            event = asl.Proceeded()
        elif waiting:
            task = waiting.pop(0)
            match world.answer(task):
                case Answered(key, output):
                    event = asl.TaskSucceeded(key, output)
                case Refused(key, error, cause):
                    event = asl.TaskFailed(key, error or "", cause)
                case _:
                    raise AssertionError
        else:
            timers.sort(key=lambda timer: (timer.due_at, timer_key("", timer.key, timer.kind)))
            timer = timers.pop(0)
            now = max(now, timer.due_at)
            event = asl.TimerFired(timer.key, timer.kind)
        step = interpreter.advance(machine, step.state, event, asl.Environment(now, about, ids))
    raise AssertionError("it does not end")


# --- on a node ---


class OnNode:
    """Runs one execution on a node; with `crashes`, nothing that is in memory outlives a commit."""

    def __init__(self, node: Node, rows: ExecutionRows, *, crashes: bool) -> None:
        self._node = node
        self._rows = rows
        self._crashes = crashes
        self._launches: list[Launch] = []
        self._engine = self._new_engine()

    def _new_engine(self) -> Engine:
        platform = self._node.platform
        notices = Notices(platform, ExecutionLog(platform), Measures(platform.store, platform.clock))
        engine = Engine(platform, self._rows, Machines(platform.store), notices)

        async def nothing() -> None:
            pass

        def call(_execution: Execution, launch: Launch) -> Coroutine[Any, Any, None]:
            # At once: in the order of the commit.
            self._launches.append(launch)
            return nothing()

        engine.outlets.call = call
        return engine

    async def run(self, definition: str, number: int) -> tuple[str, str | None, list[str]]:
        platform, world = self._node.platform, World()
        machine = MachineName("0", "r", f"m{number}")
        revision = Revision("R", definition, "role", "STANDARD", 0.0)
        key = revision_key(machine, "R")
        await platform.store.transact(lambda transaction: transaction.records.put(REVISION, key, revision))
        name = ExecutionName("0", "r", f"m{number}", f"e{self._crashes}")
        execution = Execution(name, machine, "R", "STANDARD", platform.clock.now(), INPUT, b"secret")
        assert await self._engine.start(execution, Compiled(revision, compile_definition(definition))) is None
        for _ in range(_STEPS_MAX):
            await asyncio.sleep(0)
            if self._crashes:
                self._engine = self._new_engine()
            shown = await self._engine.find(execution.key)
            assert shown is not None
            if shown.status != "RUNNING":
                await asyncio.sleep(0)
                return shown.status, shown.output, await self._types(shown)
            if self._launches:
                await self._engine.hand(execution.key, world.answer(self._launches.pop(0).task))
            else:
                await self._fire(execution.key)
        raise AssertionError("it does not end")

    async def _fire(self, key: str) -> None:
        store = self._node.platform.store
        query = ListTimers(TIMER, 1000, key)
        found = await store.view(lambda view: view.ask(query))
        mine = [timer for timer in found if timer.key.startswith(key)]
        clock = self._node.platform.clock
        for timer in sorted(mine, key=lambda timer: (timer.due_at_ms, timer.key)):
            clock.advance(max(0.0, timer.due_at_ms / 1000 - clock.now()))
            if await self._engine.hand(key, decode_owed(timer.data).event):
                return
        raise AssertionError("nothing is due")

    async def _types(self, execution: Execution) -> list[str]:
        entries = await self._node.platform.store.view(lambda view: view.ask(ReadLog(execution.stream, 10_000)))
        events = [decode_event(entry.data) for entry in entries]
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert all((event.previous_event_id or 0) < event.id for event in events)
        return [event.type for event in events]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(Path(tmp_path_factory.mktemp("executions")), store="memory:").start()
    # The node's own workers are not started: the test hands over what is due.
    running.clock.freeze(1_800_000_000.0)
    yield running
    running.stop()


_numbers = iter(range(1_000_000))


@given(chain=chains())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_executions_run_alike_wherever_and_whenever_a_node_crashes(node: RunningNode, chain: dict[str, Any]) -> None:
    definition, number = json.dumps(chain), next(_numbers)

    async def compare(running: Node) -> None:
        rows = ExecutionRows(await open_tables(running.store))
        alone = run_alone(definition, running.platform.ids)
        steady = await OnNode(running, rows, crashes=False).run(definition, number)
        crashed = await OnNode(running, rows, crashes=True).run(definition, number)
        assert steady == crashed
        own = [type_ for type_ in steady[2] if type_ != "ExecutionStarted" and not type_.startswith("LambdaFunction")]
        assert (steady[0], steady[1], sorted(own)) == (alone[0], alone[1], sorted(alone[2]))

    node.run(compare)
