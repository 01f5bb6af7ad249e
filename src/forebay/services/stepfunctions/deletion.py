"""How a state machine goes, at once or once its executions have ended, and how revisions that nothing refers to go."""

from msgspec.structs import replace

from forebay.operations.call import Call
from forebay.services.stepfunctions.address import MachineName
from forebay.services.stepfunctions.rows import ExecutionRows, has_any, has_executions
from forebay.services.stepfunctions.state_machine import ALIAS, REVISION, STATE_MACHINE, VERSION, StateMachine
from forebay.store.commands import ClaimedTimer, Command, PutTimers, Settlement, SettleTimers, Timer
from forebay.store.contract import Transaction
from forebay.store.records import Records, key_parts

DELETE = "stepfunctions.delete"
"""Timers of state machines that are being deleted, or that have revisions which may be forgotten."""

# An execution that is just being started may still be about to refer to a revision.
_FORGET_AFTER_MS = 60_000


def begin_deletion(call: Call, machine: StateMachine) -> None:
    """Delete a state machine, or have it deleted when its executions have ended."""
    rows = call.part(ExecutionRows)
    if not has_any(call.ask, rows, rows.of_machine(machine.name), "RUNNING"):
        _delete(call.records, machine)
        call.apply(forget_later(machine.name, call.now_ms))
    elif machine.status != "DELETING":
        call.records.put(STATE_MACHINE, machine.name.key(), replace(machine, status="DELETING"))
        call.apply(PutTimers((Timer(DELETE, machine.name.key(), call.now_ms, b""),)))


def forget_later(machine: MachineName, now_ms: int) -> Command[tuple[bool, ...]]:
    """Return the command that has revisions of a state machine forgotten after a while, if nothing refers to them."""
    return PutTimers((Timer(DELETE, machine.base().key(), now_ms + _FORGET_AFTER_MS, b""),))


def finish_deletion(transaction: Transaction, rows: ExecutionRows, timer: ClaimedTimer, now_ms: int) -> None:
    """Delete a state machine whose executions have ended, or forget what nothing refers to.

    If an execution has been started meanwhile, nothing is done, and the claim lapses.
    """
    machine = transaction.records.find(STATE_MACHINE, timer.key)
    is_going = machine is not None and machine.status == "DELETING"
    if machine is not None and is_going and has_any(transaction.apply, rows, rows.of_machine(machine.name), "RUNNING"):
        return
    (is_held,) = transaction.apply(SettleTimers(DELETE, (Settlement(timer.key, timer.epoch),)))
    if not is_held:
        return
    if machine is not None and is_going:
        _delete(transaction.records, machine)
        transaction.apply(forget_later(machine.name, now_ms))
    else:
        _forget(transaction, rows, MachineName(*key_parts(timer.key)), machine)


def _delete(records: Records, machine: StateMachine) -> None:
    name = machine.name
    for key, _ in records.list(VERSION, name.prefix()):
        records.delete(VERSION, key)
    for key, _ in records.list(ALIAS, name.prefix()):
        records.delete(ALIAS, key)
    records.delete(STATE_MACHINE, name.key())


def _forget(transaction: Transaction, rows: ExecutionRows, name: MachineName, machine: StateMachine | None) -> None:
    """Delete the revisions of a state machine that it and its versions do not have, if it has no executions."""
    if has_executions(transaction.apply, rows, name):
        return
    records = transaction.records
    kept = {version.revision_id for _, version in records.list(VERSION, name.prefix())}
    kept |= set() if machine is None else {machine.revision_id}
    for key, revision in records.list(REVISION, name.prefix()):
        if revision.revision_id not in kept:
            records.delete(REVISION, key)
