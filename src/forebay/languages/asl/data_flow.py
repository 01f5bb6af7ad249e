"""What happens to the data of a state: from its raw input to its arguments, from its result to its output.

JSONPath: InputPath, Parameters, the work, ResultSelector, ResultPath, OutputPath. JSONata: Arguments, the work, Output.
Assign sees the same as Output; all fields of a state see the variables as they were on entry.
"""

from dataclasses import dataclass

from forebay.languages.asl.document import Document, encode
from forebay.languages.asl.machine import Catcher, Expression, Rule, State
from forebay.languages.asl.scope import Scope
from forebay.languages.json_kinds import is_object


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a state is left: with which output, which variables (name to JSON), to which state (None: the chain ends)."""

    output: Document
    assigned: dict[str, str] | None = None
    next: str | None = None


def effective_input(state: State, raw: Document, scope: Scope) -> Document:
    """Return the input after InputPath; in JSONata states the input itself."""
    document = raw if state.input_path is None else Document.of(state.input_path.evaluate(scope))
    if scope.trace is not None and state.query_language == "JSONPath":
        scope.note("afterInputPath", document.value)
    return document


def arguments_of(state: State, raw: Document, scope: Scope) -> Document:
    """Return what a state's work gets: the input after Parameters, or Arguments."""
    document = effective_input(state, raw, scope)
    if state.arguments is not None:
        document = Document.of(state.arguments.evaluate(scope if document is raw else scope.on(document.value)))
    if scope.trace is not None:
        scope.note("afterParameters" if state.query_language == "JSONPath" else "afterArguments", document.value)
    return document


def leave_with(state: State, raw: Document, result: Document, scope: Scope) -> Leaving:
    """Return how a state is left with the result of its work."""
    if scope.trace is not None:
        scope.note("result", result.value)
    if state.query_language == "JSONata":
        seeing = scope.with_states(result=result.value) if _reads_result(state) else scope
        output = result if state.output is None else Document.of(state.output.evaluate(seeing))
        return Leaving(output, assigned_by(state.assign, seeing), state.next)
    # "In Task, Map, and Parallel States, "$" refers to the result" (specification, "Using Assign").
    assigned = None if state.assign is None else assigned_by(state.assign, scope.on(result.value))
    if state.result_selector is not None:
        result = Document.of(state.result_selector.evaluate(scope.on(result.value)))
    if scope.trace is not None:
        scope.note("afterResultSelector", result.value)
    merged = result
    if state.result_path is not None:
        merged = Document.of(state.result_path.place(raw.value, result.value))
    if scope.trace is not None:
        scope.note("afterResultPath", merged.value)
    return Leaving(_output_path(state, merged, scope), assigned, state.next)


def _reads_result(state: State) -> bool:
    return state.output is not None or state.assign is not None


def pass_on(state: State, document: Document, scope: Scope, *, rule: Rule | None, next_state: str | None) -> Leaving:
    """Return how a state that does no work is left: Choice (by a rule or by default), Wait, Succeed."""
    seeing = scope if state.query_language == "JSONata" else scope.on(document.value)
    # A chosen rule's Assign and Output stand in for the state's own, which are for the default (specification,
    # "Choice State").
    output, assign = (state.output, state.assign) if rule is None else (rule.output, rule.assign)
    assigned = assigned_by(assign, seeing)
    if state.query_language == "JSONata":
        return Leaving(document if output is None else Document.of(output.evaluate(seeing)), assigned, next_state)
    return Leaving(_output_path(state, document, scope), assigned, next_state)


def caught(state: State, catcher: Catcher, raw: Document, error: Document, scope: Scope) -> Leaving:
    """Return how a state is left through a catcher."""
    if state.query_language == "JSONata":
        seeing = scope.with_states(errorOutput=error.value)
        output = error if catcher.output is None else Document.of(catcher.output.evaluate(seeing))
        return Leaving(output, assigned_by(catcher.assign, seeing), catcher.next)
    assigned = assigned_by(catcher.assign, scope.on(error.value))
    if catcher.result_path is not None:
        error = Document.of(catcher.result_path.place(raw.value, error.value))
    return Leaving(error, assigned, catcher.next)


def error_document(error: str, cause: str | None) -> Document:
    """Return the error output that catchers see."""
    return Document.of({"Error": error} if cause is None else {"Error": error, "Cause": cause})


def assigned_by(assign: Expression | None, scope: Scope) -> dict[str, str] | None:
    """Return the variables that an Assign sets, each as JSON."""
    if assign is None:
        return None
    values = assign.evaluate(scope)
    assert is_object(values)
    return {name: encode(value) for name, value in values.items()}


def _output_path(state: State, document: Document, scope: Scope) -> Document:
    if state.output_path is None:
        return document
    return Document.of(state.output_path.evaluate(scope.on(document.value)))
