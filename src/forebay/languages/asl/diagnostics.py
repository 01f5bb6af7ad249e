"""What validation finds, in the words of ValidateStateMachineDefinition and CreateStateMachine."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["ERROR", "WARNING"]

SCHEMA = "SCHEMA_VALIDATION_FAILED"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding."""

    code: str
    message: str
    location: str | None = None
    severity: Severity = "ERROR"


class Findings:
    """Collects diagnostics in the order in which they are found."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    @property
    def has_errors(self) -> bool:
        """Whether one of them forbids the definition."""
        return any(one.severity == "ERROR" for one in self.found)

    def schema(self, message: str, location: str) -> None:
        """Add a violation of the schema."""
        self.found.append(Diagnostic(SCHEMA, message, location))

    def add(self, code: str, message: str, location: str | None) -> None:
        """Add an error."""
        self.found.append(Diagnostic(code, message, location))

    def warn(self, code: str, message: str, location: str) -> None:
        """Add a warning."""
        self.found.append(Diagnostic(code, message, location, "WARNING"))


def invalid_definition_text(diagnostics: Iterable[Diagnostic]) -> str:
    """Return what CreateStateMachine and UpdateStateMachine say of a definition with errors."""
    errors = (one for one in diagnostics if one.severity == "ERROR")
    return "Invalid State Machine Definition: '" + ", ".join(_described(one) for one in errors) + "'"


def _described(diagnostic: Diagnostic) -> str:
    # Seen on AWS: "MISSING_END_STATE: Workflow has no terminal state at null".
    return f"{diagnostic.code}: {diagnostic.message} at {diagnostic.location or 'null'}"
