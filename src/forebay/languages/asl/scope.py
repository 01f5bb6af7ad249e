"""What a field's expression can see: the document, the context object, the variables and, in JSONata, $states.

Context and variables are read only where an expression asks for them: most states ask for neither, and decoding an
execution's input at every transition would cost more than the transition.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from forebay.core.ids import Ids


class Absent(Enum):
    """Says that there is no value; unlike null, which is one."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class Scope:
    """The data around one field of one state. `document` is `$`; `states` holds $states without its context."""

    __slots__ = (
        "_context",
        "_read_context",
        "_read_variables",
        "_variables",
        "document",
        "ids",
        "now",
        "states",
        "trace",
    )

    def __init__(  # noqa: PLR0913  # one thing each that a field can see
        self,
        document: object,
        read_context: Callable[[], Mapping[str, object]],
        read_variables: Callable[[], Mapping[str, object]],
        ids: Ids,
        *,
        states: Mapping[str, object] | None = None,
        now: float = 0.0,
        trace: dict[str, object] | None = None,
    ) -> None:
        self.document = document
        self.states: Mapping[str, object] = {} if states is None else states
        self.ids = ids
        self.now = now
        self.trace = trace
        self._read_context = read_context
        self._read_variables = read_variables
        self._context: Mapping[str, object] | None = None
        self._variables: Mapping[str, object] | None = None

    @property
    def context(self) -> Mapping[str, object]:
        """The context object."""
        if self._context is None:
            self._context = self._read_context()
        return self._context

    @property
    def variables(self) -> Mapping[str, object]:
        """All variables that can be seen, inner scopes first."""
        if self._variables is None:
            self._variables = self._read_variables()
        return self._variables

    def note(self, stage: str, value: object) -> None:
        """Keep what a state's data were after a stage, where somebody wants to know (TestState)."""
        if self.trace is not None:
            self.trace[stage] = value

    def on(self, document: object) -> "Scope":
        """Return the same surroundings around another document."""
        other = Scope(document, self._read_context, self._read_variables, self.ids, states=self.states, now=self.now)
        other.trace = self.trace
        other._context = self._context
        other._variables = self._variables
        return other

    def in_context(self, members: Mapping[str, object]) -> "Scope":
        """Return the same surroundings with other top-level members of the context object."""
        other = self.on(self.document)
        read = self._read_context
        other._context = None  # noqa: SLF001  # of the same class
        other._read_context = lambda: {**read(), **members}  # noqa: SLF001
        return other

    def with_states(self, **members: object) -> "Scope":
        """Return the same surroundings with more members of $states."""
        other = self.on(self.document)
        other.states = {**self.states, **members}
        return other
