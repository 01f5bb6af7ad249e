"""From a definition's text to its diagnostics and, if no error is among them, to its machine."""

from dataclasses import dataclass
from typing import Any

from forebay.languages.asl.diagnostics import Diagnostic, invalid_definition_text
from forebay.languages.asl.document import decode
from forebay.languages.asl.machine import Machine
from forebay.languages.asl.parser import compile_machine
from forebay.languages.asl.validation import TaskRules, validate
from forebay.languages.json_tokens import InvalidJson, scan


@dataclass(frozen=True, slots=True)
class Parsed:
    """A definition that was read: its machine (None where an error was found) and every finding."""

    machine: Machine | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def invalid_definition_text(self) -> str:
        """What CreateStateMachine says of the errors."""
        return invalid_definition_text(self.diagnostics)


def parse(text: str, *, express: bool = False, task_rules: TaskRules | None = None) -> Parsed:
    """Read a definition.

    `express`: the rules for Express state machines apply. `task_rules(resource, state's fields)` yields what the caller
    knows to be wrong with a task: (message, name of the field below the state, or "").
    """
    try:
        definition: Any = decode(text)
    except ValueError:
        return Parsed(None, (Diagnostic("INVALID_JSON_DESCRIPTION", _json_fault(text)),))
    try:
        diagnostics = tuple(validate(definition, express=express, task_rules=task_rules))
        if any(one.severity == "ERROR" for one in diagnostics):
            return Parsed(None, diagnostics)
        return Parsed(compile_machine(definition), diagnostics)
    except RecursionError:
        return Parsed(None, (Diagnostic("TOO_DEEPLY_NESTED", "The definition is nested too deeply."),))


def _json_fault(text: str) -> str:
    """Return what the parser that AWS uses says of a text that is no JSON."""
    try:
        for _ in scan(text):
            pass
    except InvalidJson as error:
        return str(error)
    return "The definition is not valid JSON"
