"""Step Functions: state machines, their executions, activities.

Reading order: `address` (names and ARNs), `state_machine`, `configuration`, `definition` and `activity` (what is kept
of them), `state_machines`, `versions`, `aliases`, `activities`, `tags`, `definitions` (operations); then executions:
`execution` and `rows` (what is kept, and where), `inbox` (what is handed to one), `transition` (what that leads to: the
interpreter in `languages.asl` does the thinking), `engine` (one commit after the other), `calls` and `integrations`
(calling tasks), `map_run` and `map_runner` (distributed Map states), `express` (without rows, in memory), `starting`,
`executions`, `history`, `tasks`, `map_runs`, `test_states` (operations), `notices`, `execution_log` and `measures` (who
is told), `workers` (what is due), `target` (rules start executions).

Left out, and answered with an error that says so: tasks of services that this node has not. Kept and shown, but without
effect: roles (IAM is not enforced), KMS keys, and tracing.
"""

from forebay.api import stepfunctions as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.stepfunctions import (
    activities,
    aliases,
    definitions,
    executions,
    history,
    map_runs,
    state_machines,
    tags,
    tasks,
    test_states,
    versions,
)
from forebay.services.stepfunctions.activity_room import ActivityRoom
from forebay.services.stepfunctions.calls import Calls
from forebay.services.stepfunctions.deletion import DELETE
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution_log import ExecutionLog
from forebay.services.stepfunctions.express import ExpressRunner
from forebay.services.stepfunctions.inbox import LEASE, TIMER
from forebay.services.stepfunctions.integrations.dispatch import Integrations
from forebay.services.stepfunctions.integrations.executions import start_child
from forebay.services.stepfunctions.integrations.http import HttpTasks
from forebay.services.stepfunctions.machines import Machines
from forebay.services.stepfunctions.map_run import MAP_RUN
from forebay.services.stepfunctions.map_runner import MapRunner
from forebay.services.stepfunctions.measures import Measures
from forebay.services.stepfunctions.notices import Notices
from forebay.services.stepfunctions.rows import TABLES, ExecutionRows, Tables, keep_tables, open_tables
from forebay.services.stepfunctions.starting import Starter
from forebay.services.stepfunctions.target import StateMachineTarget
from forebay.services.stepfunctions.workers import Deletion, DueEvents, Expiry


async def _build(platform: Platform) -> Parts:
    store, clock = platform.store, platform.clock
    rows = ExecutionRows(await open_tables(store))
    machines, http = Machines(store), HttpTasks(platform)
    execution_log, measures = ExecutionLog(platform), Measures(store, clock)
    engine = Engine(platform, rows, machines, Notices(platform, execution_log, measures))
    integrations = Integrations(platform, http)
    express = ExpressRunner(platform, integrations, execution_log, measures)
    starter = Starter(platform, engine, machines, express)
    runner = MapRunner(platform, engine, express)
    calls = Calls(platform, engine, integrations, runner)
    room = ActivityRoom(store, clock, engine)
    integrations.start_child = lambda task: start_child(platform, starter, task)
    engine.outlets.call = calls.call
    engine.outlets.cancel = calls.cancel
    _outlast_wipes(platform, engine)
    execution_log.duty = platform.start_worker(execution_log)
    return Parts(
        target=StateMachineTarget(starter),
        duties=[
            Duty(DueEvents(platform, engine), [("timers", TIMER)]),
            Duty(calls, [("timers", LEASE)]),
            Duty(runner, [("timers", MAP_RUN)]),
            Duty(Deletion(platform, rows, engine), [("timers", DELETE)]),
            Duty(Expiry(platform, rows)),
            Duty(measures),
        ],
        shared=[engine, rows, starter, room, integrations],
        drain=[room.drain],
        close=[execution_log.ship, measures.flush, http.close],
    )


def _outlast_wipes(platform: Platform, engine: Engine) -> None:
    """Have what is in memory follow when the whole store is wiped (`/_forebay/reset`)."""
    tables = engine.rows.tables

    def on_tables(_key: str, value: Tables | None) -> None:
        if value is None:
            engine.forget()
            engine.machines.forget()
            platform.spawn(keep_tables(platform.store, tables))

    platform.store.watch(TABLES, on_tables)


SERVICE = Service(
    name="stepfunctions",
    model=api.MODEL,
    operations=[
        state_machines,
        versions,
        aliases,
        activities,
        tags,
        definitions,
        executions,
        history,
        map_runs,
        tasks,
        test_states,
    ],
    build=_build,
)
