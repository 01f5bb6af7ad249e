"""A state machine's definition once it is parsed: every state with its fields compiled.

State names are unique in the whole definition (AWS refuses others), so one table holds the states of all levels and a
frame finds its state by name alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from forebay.languages.asl.scope import Scope

QueryLanguage = Literal["JSONPath", "JSONata"]
StateType = Literal["Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"]


class Expression(Protocol):
    """A field whose value depends on the data: a path, a payload template or a JSONata value."""

    def evaluate(self, scope: Scope) -> object:
        """Return the value, JSON-like and not to be changed.

        Raises:
            StateFailure: the data does not fit.
        """
        ...


class Condition(Protocol):
    """What a Choice rule asks."""

    def holds(self, scope: Scope) -> bool:
        """Return whether the rule applies.

        Raises:
            StateFailure: the data does not fit.
        """
        ...


class ResultPath(Protocol):
    """Where a result goes in the state's input."""

    def place(self, document: object, result: object) -> object:
        """Return a document with the result in its place.

        Raises:
            StateFailure: the document has something else in the way.
        """
        ...


@dataclass(frozen=True, slots=True)
class Retrier:
    """One entry of Retry."""

    errors: tuple[str, ...]
    interval_seconds: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    full_jitter: bool = False


@dataclass(frozen=True, slots=True)
class Catcher:
    """One entry of Catch."""

    errors: tuple[str, ...]
    next: str
    result_path: ResultPath | None = None
    output: Expression | None = None
    assign: Expression | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of Choices."""

    condition: Condition
    next: str
    output: Expression | None = None
    assign: Expression | None = None


@dataclass(frozen=True, slots=True)
class PassBody:
    """What only a Pass state has."""

    result: Expression | None = None


@dataclass(frozen=True, slots=True)
class SucceedBody:
    """A Succeed state has nothing of its own."""


@dataclass(frozen=True, slots=True)
class FailBody:
    """What only a Fail state has; absent parts stay absent in the execution."""

    error: Expression | None = None
    cause: Expression | None = None


@dataclass(frozen=True, slots=True)
class ChoiceBody:
    """What only a Choice state has."""

    rules: tuple[Rule, ...]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class WaitBody:
    """What only a Wait state has: one of the two."""

    seconds: Expression | None = None
    timestamp: Expression | None = None


@dataclass(frozen=True, slots=True)
class TaskBody:
    """What only a Task state has."""

    resource: str
    timeout_seconds: Expression | None = None
    heartbeat_seconds: Expression | None = None
    credentials: Expression | None = None


@dataclass(frozen=True, slots=True)
class Processor:
    """A chain of states inside a state: where it starts."""

    start_at: str


@dataclass(frozen=True, slots=True)
class ParallelBody:
    """What only a Parallel state has."""

    branches: tuple[Processor, ...]


@dataclass(frozen=True, slots=True)
class DistributedMode:
    """What only a Map state in distributed mode has."""

    label: str
    execution_type: Literal["STANDARD", "EXPRESS"]
    reader: Expression | None = None
    writer: Expression | None = None
    batcher: Expression | None = None


@dataclass(frozen=True, slots=True)
class MapBody:
    """What only a Map state has."""

    processor: Processor
    items: Expression | None = None
    selector: Expression | None = None
    max_concurrency: Expression | None = None
    tolerated_failure_count: Expression | None = None
    tolerated_failure_percentage: Expression | None = None
    distributed: DistributedMode | None = None


Body = PassBody | SucceedBody | FailBody | ChoiceBody | WaitBody | TaskBody | ParallelBody | MapBody


@dataclass(frozen=True, slots=True)
class State:
    """A state. In JSONPath states `arguments` stands for Parameters; None means that the field does nothing."""

    name: str
    type: StateType
    query_language: QueryLanguage
    body: Body
    next: str | None = None
    input_path: Expression | None = None
    arguments: Expression | None = None
    result_selector: Expression | None = None
    result_path: ResultPath | None = None
    output_path: Expression | None = None
    output: Expression | None = None
    assign: Expression | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A compiled definition; safe to keep and share, it never changes."""

    start_at: str
    states: Mapping[str, State]
    query_language: QueryLanguage = "JSONPath"
    comment: str | None = None
    timeout_seconds: int | None = None
    version: str = "1.0"
    # Variables that each state refers to, as DescribeStateMachine's variableReferences; states without are left out.
    variable_references: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def processor_of(self, state_name: str) -> "Machine":
        """Return the machine that runs each item of a distributed Map state."""
        body = self.states[state_name].body
        assert isinstance(body, MapBody)
        return Machine(body.processor.start_at, self.states, self.query_language)
