"""Starting executions, whoever asks: the API, a rule, a schedule, another execution, a map run."""

import msgspec

from forebay.api import stepfunctions as api
from forebay.operations.platform import Platform
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.address import ExecutionName, MachineName, check_name, unlabelled
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution import Execution, Parent
from forebay.services.stepfunctions.express import ExpressRunner
from forebay.services.stepfunctions.machines import Compiled, Machines
from forebay.services.stepfunctions.payload import read_json
from forebay.services.stepfunctions.state_machine import (
    ALIAS,
    STATE_MACHINE,
    VERSION,
    StateMachine,
    alias_key,
    no_machine,
    revision_key,
    version_key,
)
from forebay.store.commands import Command


class Order(msgspec.Struct, frozen=True):
    """What is to be started: the ARN of a state machine, a version or an alias, and with what."""

    arn: str
    name: str | None = None
    input: str | None = None
    trace_header: str | None = None
    parent: Parent | None = None


class Resolved(msgspec.Struct, frozen=True):
    """What an ARN leads to."""

    machine: StateMachine
    name: MachineName
    revision_id: str
    version: int | None = None
    alias: str | None = None


class Starter:
    """Makes executions and has them run."""

    def __init__(self, platform: Platform, engine: Engine, machines: Machines, express: ExpressRunner) -> None:
        self._platform = platform
        self._store = platform.store
        self._engine = engine
        self._machines = machines
        self._express = express

    async def start(self, order: Order, account: str, region: str) -> Execution:
        """Start an execution and return it, or the one that the same order started and that still runs.

        Raises:
            ExecutionAlreadyExists: there is one of that name that has ended, or has another input.
            ServiceError: the order cannot be taken; the answer says why.
        """
        execution, compiled = await self.prepare(order)
        del account, region
        if execution.type == "EXPRESS":
            self._platform.spawn(self._express.run_detached(execution, compiled))
            return execution
        existing = await self._engine.start(execution, compiled)
        if existing is None:
            return execution
        if existing.status != "RUNNING" or existing.input != execution.input:
            raise api.ExecutionAlreadyExists(f"Execution Already Exists: '{execution.name.arn()}'")
        return existing

    async def start_sync(self, order: Order) -> Execution:
        """Run an Express execution and return it as it has ended.

        Raises:
            StateMachineTypeNotSupported: the state machine is a Standard one.
        """
        execution, compiled = await self.prepare(order)
        if execution.type != "EXPRESS":
            raise api.StateMachineTypeNotSupported("This operation is not supported by this type of state machine")
        return await self._express.run(execution, compiled)

    async def commands(self, order: Order) -> list[Command[object]]:
        """Return the commands that start an execution of a Standard state machine in someone else's commit.

        Raises:
            ServiceError: the order cannot be taken.
        """
        execution, compiled = await self.prepare(order)
        return await self._engine.commands_to_start(execution, compiled)

    async def prepare(self, order: Order) -> tuple[Execution, Compiled]:
        """Return the execution that an order makes, not started yet, with what it runs.

        Raises:
            InvalidName, InvalidExecutionInput, StateMachineDoesNotExist, StateMachineDeleting, ValidationException
        """
        if order.name is not None:
            check_name(order.name)
        text = _checked_input(order.input)
        resolved = await self.resolve(unlabelled(order.arn))
        machine, ids = resolved.machine, self._platform.ids
        is_express = machine.type == "EXPRESS"
        base = machine.name
        name = ExecutionName(
            base.account, base.region, base.name, order.name or ids.uuid(), None, ids.uuid() if is_express else None
        )
        execution = Execution(
            name=name,
            machine=base,
            revision_id=resolved.revision_id,
            type=machine.type,
            started_at=self._platform.clock.now(),
            input=text,
            secret=bytes.fromhex(ids.uuid().replace("-", "")),
            version=resolved.version,
            alias=resolved.alias,
            trace_header=order.trace_header,
            parent=order.parent,
        )
        return execution, await self._machines.find_revision(revision_key(base, resolved.revision_id))

    async def resolve(self, name: MachineName) -> Resolved:
        """Return what a name leads to; an alias to one of its versions, by chance and weight.

        Raises:
            StateMachineDoesNotExist: there is none, or no such version or alias.
            StateMachineDeleting: it is being deleted.
        """
        machine = await self._store.find(STATE_MACHINE, name.base().key())
        if machine is None:
            raise no_machine(name)
        if machine.status == "DELETING":
            raise api.StateMachineDeleting(f"State Machine is being deleted: '{name.base().arn()}'")
        if name.qualifier is None:
            return Resolved(machine, name, machine.revision_id)
        number, alias_name = name.version, None
        if number is None:
            alias = await self._store.find(ALIAS, alias_key(name, name.qualifier))
            if alias is None:
                raise no_machine(name)
            alias_name = alias.name
            number = alias.choose(self._platform.ids.uniform(0.0, 100.0))
        version = await self._store.find(VERSION, version_key(name, number))
        if version is None:
            raise no_machine(name)
        return Resolved(machine, name, version.revision_id, number, alias_name)


def _checked_input(text: str | None) -> str:
    if text is None:
        return "{}"
    if len(text) > limits.PAYLOAD_BYTES_MAX or len(text.encode()) > limits.PAYLOAD_BYTES_MAX:
        raise api.ValidationException(
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have length less than or equal to {limits.PAYLOAD_BYTES_MAX}"
        )
    try:
        return read_json(text)
    except ValueError as error:
        raise api.InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from None
