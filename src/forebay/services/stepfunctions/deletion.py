"""How a state machine goes: at once, or once its executions have ended."""

from msgspec.structs import replace

from forebay.operations.call import Call
from forebay.services.stepfunctions.rows import ExecutionRows, has_any
from forebay.services.stepfunctions.state_machine import ALIAS, STATE_MACHINE, VERSION, StateMachine
from forebay.store.commands import ClaimedTimer, PutTimers, Settlement, SettleTimers, Timer
from forebay.store.contract import Transaction

DELETE = "stepfunctions.delete"
"""Timers of state machines that are being deleted."""


def begin_deletion(call: Call, machine: StateMachine) -> None:
    """Delete a state machine, or have it deleted when its executions have ended. Their revisions stay with them."""
    rows = call.part(ExecutionRows)
    if not has_any(call.ask, rows, rows.of_machine(machine.name), "RUNNING"):
        _delete(call, machine)
    elif machine.status != "DELETING":
        call.records.put(STATE_MACHINE, machine.name.key(), replace(machine, status="DELETING"))
        call.apply(PutTimers((Timer(DELETE, machine.name.key(), call.now_ms, b""),)))


def finish_deletion(transaction: Transaction, rows: ExecutionRows, timer: ClaimedTimer) -> None:
    """Delete a state machine whose executions have ended; if one has been started meanwhile, look again later."""
    machine = transaction.records.find(STATE_MACHINE, timer.key)
    is_there = machine is not None and machine.status == "DELETING"
    if machine is not None and is_there and has_any(transaction.apply, rows, rows.of_machine(machine.name), "RUNNING"):
        return
    (is_held,) = transaction.apply(SettleTimers(DELETE, (Settlement(timer.key, timer.epoch),)))
    if is_held and machine is not None and is_there:
        _delete(transaction, machine)


def _delete(within: Call | Transaction, machine: StateMachine) -> None:
    records, name = within.records, machine.name
    for key, _ in records.list(VERSION, name.prefix()):
        records.delete(VERSION, key)
    for key, _ in records.list(ALIAS, name.prefix()):
        records.delete(ALIAS, key)
    records.delete(STATE_MACHINE, name.key())
