"""A map run as it is kept: what a distributed Map state has asked for, and how far its children have come."""

import hashlib
from typing import Literal

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import StartMapRun, TaskKey
from forebay.services.stepfunctions.address import ExecutionName, MachineName, MapRunName

MAP_RUN = "stepfunctions.map_run"
"""Timers that tell map runs of their beginning, their children's ends, and lost children."""

CHILDREN_MAX = 1_000
"""Children of one map run that run at once, where AWS has 10,000."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """A Map state has started a map run."""

    run: MapRunName
    execution: str
    effect: StartMapRun


class Again(msgspec.Struct, frozen=True, tag=True):
    """A map run that has failed goes on: its execution was redriven."""

    run: MapRunName
    key: TaskKey


class ChildEnded(msgspec.Struct, frozen=True, tag=True):
    """A child has ended."""

    run: MapRunName
    status: str
    items: int


class Look(msgspec.Struct, frozen=True, tag=True):
    """It is time to see whether Express children were lost with their node."""

    run: MapRunName


Notice = Begin | Again | ChildEnded | Look


class Count(msgspec.Struct, frozen=True, array_like=True):
    """How many executions, and the items in them."""

    executions: int = 0
    items: int = 0

    def plus(self, executions: int, items: int) -> "Count":
        """Return the sum."""
        return Count(self.executions + executions, self.items + items)


class MapRun(msgspec.Struct, frozen=True, array_like=True):
    """A map run. `change` counts its writes: whoever writes must have seen the last one."""

    name: MapRunName
    execution: str
    execution_arn: str
    machine: MachineName
    key: TaskKey
    state_name: str
    type: api.StateMachineType
    started_at: float
    total: Count
    max_concurrency: int
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    writer: str | None = None
    status: Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"] = "RUNNING"
    stopped_at: float | None = None
    begun: int = 0
    begun_items: int = 0
    succeeded: Count = Count()
    failed: Count = Count()
    timed_out: Count = Count()
    aborted: Count = Count()
    written: Count = Count()
    redrive_count: int = 0
    redriven_at: float | None = None
    change: int = 0
    # How it ended: the output of a writer, or the failure.
    output: str | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def finished(self) -> int:
        """Children that have ended."""
        return self.succeeded.executions + self.unsuccessful

    @property
    def unsuccessful(self) -> int:
        """Children that have ended without success."""
        return self.failed.executions + self.timed_out.executions + self.aborted.executions

    @property
    def running(self) -> int:
        """Children that run."""
        return self.begun - self.finished

    def may_begin(self) -> int:
        """Return how many children more may run now."""
        most = min(self.max_concurrency or CHILDREN_MAX, CHILDREN_MAX)
        return max(0, min(most - self.running, self.total.executions - self.begun))

    def is_beyond_tolerance(self) -> bool:
        """Tell whether more items have failed than the state tolerates (neither given: none)."""
        items = self.failed.items + self.timed_out.items + self.aborted.items
        count, percentage = self.tolerated_failure_count, self.tolerated_failure_percentage
        if count is None and percentage is None:
            return items > 0
        if count is not None and items > count:
            return True
        return percentage is not None and items * 100 > percentage * max(self.total.items, 1)

    def after(self, ended: ChildEnded) -> "MapRun":
        """Return the map run once a child has ended."""
        field = {"SUCCEEDED": "succeeded", "TIMED_OUT": "timed_out", "ABORTED": "aborted"}.get(ended.status, "failed")
        return msgspec.structs.replace(self, **{field: getattr(self, field).plus(1, ended.items)})

    def child_name(self, index: int) -> ExecutionName:
        """Return the name of a child: always the same, so that none is begun twice."""
        digest = hashlib.sha256(f"{self.name.key()}\x1f{index}".encode()).hexdigest()
        name = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
        express_id = digest[32:] if self.type == "EXPRESS" else None
        run = self.name
        return ExecutionName(run.account, run.region, run.machine, name, run.label, express_id)

    @property
    def stream(self) -> str:
        """The log stream of its children's inputs."""
        return f"states-items/{self.name.key()}"


class ChildInput(msgspec.Struct, frozen=True, array_like=True):
    """A child's input, JSON, and the items in it."""

    input: str
    items: int


encode = msgspec.msgpack.Encoder().encode
decode_notice = msgspec.msgpack.Decoder(Notice).decode
decode_map_run = msgspec.msgpack.Decoder(MapRun).decode
decode_child_input = msgspec.msgpack.Decoder(ChildInput).decode
