"""From a definition's text to its diagnostics and, if no error is among them, to its machine."""

from dataclasses import dataclass
from typing import Any

from forebay.languages.asl.document import decode
from forebay.languages.asl.machine import Machine
from forebay.languages.asl.parser import compile_machine


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding, in the words of ValidateStateMachineDefinition."""

    code: str
    message: str
    location: str | None = None
    severity: str = "ERROR"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A definition that was read: its machine (None where an error was found) and every finding."""

    machine: Machine | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def invalid_definition_text(self) -> str:
        """What CreateStateMachine says of the errors."""
        errors = [one for one in self.diagnostics if one.severity == "ERROR"]
        return "Invalid State Machine Definition: '" + ", ".join(_described(one) for one in errors) + "'"


def _described(diagnostic: Diagnostic) -> str:
    where = "" if diagnostic.location is None else f" at {diagnostic.location}"
    return f"{diagnostic.code}: {diagnostic.message}{where}"


def parse(text: str, *, express: bool = False) -> Parsed:
    """Read a definition. `express`: the rules for Express state machines apply."""
    del express
    try:
        definition: Any = decode(text)
    except ValueError as error:
        return Parsed(None, (Diagnostic("INVALID_JSON_DESCRIPTION", str(error)),))
    return Parsed(compile_machine(definition))
