"""The Amazon States Language: definitions, their validation, and the pure interpreter that runs them.

Reading order: `contract.py` (what goes in and comes out), `machine.py` (a compiled definition), `definition.py`,
`validation.py` and `parser.py` (text to diagnostics or machine), `interpreter.py`, `transitions.py`,
`simple_states.py`, `fan_out.py` and `map_items.py` (running it), `data_flow.py` (a state's fields in order), then the
expressions: `templates.py`, `paths.py`, `path_filters.py`, `intrinsics.py`, `choice_rules.py` for JSONPath,
`jsonata_fields.py` for JSONata. `inspection.py` runs one state for TestState, `map_runs.py` serves map runs.
"""

from forebay.languages.asl.contract import (
    Aborted,
    CancelTask,
    Completed,
    Effect,
    Environment,
    Event,
    ExecutionContext,
    ExecutionState,
    Failed,
    Proceed,
    Proceeded,
    SetTimer,
    StartMapRun,
    StartTask,
    Step,
    Stopped,
    TaskFailed,
    TaskKey,
    TaskSucceeded,
    TimedOut,
    TimerFired,
    TimerKind,
    decode_state,
    encode_state,
)
from forebay.languages.asl.definition import Parsed, parse
from forebay.languages.asl.diagnostics import Diagnostic
from forebay.languages.asl.failures import ErrorName
from forebay.languages.asl.inspection import Answer, Given, Inspection, inspect_state
from forebay.languages.asl.interpreter import advance, record, redrive, start
from forebay.languages.asl.machine import Machine
from forebay.languages.asl.map_runs import batches, item_inputs

__all__ = [
    "Aborted",
    "Answer",
    "CancelTask",
    "Completed",
    "Diagnostic",
    "Effect",
    "Environment",
    "ErrorName",
    "Event",
    "ExecutionContext",
    "ExecutionState",
    "Failed",
    "Given",
    "Inspection",
    "Machine",
    "Parsed",
    "Proceed",
    "Proceeded",
    "SetTimer",
    "StartMapRun",
    "StartTask",
    "Step",
    "Stopped",
    "TaskFailed",
    "TaskKey",
    "TaskSucceeded",
    "TimedOut",
    "TimerFired",
    "TimerKind",
    "advance",
    "batches",
    "decode_state",
    "encode_state",
    "inspect_state",
    "item_inputs",
    "parse",
    "record",
    "redrive",
    "start",
]
