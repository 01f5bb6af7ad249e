"""Compiles a definition that passed validation into a `Machine`."""

from collections.abc import Iterator, Mapping
from typing import Any

from forebay.languages.asl.choice_rules import compile_rule
from forebay.languages.asl.machine import (
    Body,
    Catcher,
    ChoiceBody,
    Expression,
    FailBody,
    Machine,
    MapBody,
    ParallelBody,
    PassBody,
    Processor,
    QueryLanguage,
    ResultPath,
    Retrier,
    Rule,
    State,
    SucceedBody,
    TaskBody,
    WaitBody,
)
from forebay.languages.asl.paths import parse_path
from forebay.languages.asl.templates import (
    Discard,
    EmptyObject,
    ReferenceResultPath,
    Static,
    compile_path,
    compile_template,
)

Fields = Mapping[str, Any]


def compile_machine(definition: Fields) -> Machine:
    """Compile a definition, already known to be valid."""
    language: QueryLanguage = definition.get("QueryLanguage", "JSONPath")
    states = dict(_states(definition, language))
    return Machine(
        definition["StartAt"],
        states,
        language,
        definition.get("Comment"),
        definition.get("TimeoutSeconds"),
        definition.get("Version", "1.0"),
    )


def _states(chain: Fields, language: QueryLanguage) -> Iterator[tuple[str, State]]:
    for name, fields in chain["States"].items():
        own: QueryLanguage = fields.get("QueryLanguage", language)
        yield name, _state(name, fields, own)
        for inner in inner_chains(fields):
            yield from _states(inner, language)


def inner_chains(fields: Fields) -> list[Fields]:
    """Return the chains of states inside a state: branches, or the item processor."""
    match fields.get("Type"):
        case "Parallel":
            return [branch for branch in fields.get("Branches", ()) if isinstance(branch, Mapping)]
        case "Map":
            processor = fields.get("ItemProcessor", fields.get("Iterator"))
            return [processor] if isinstance(processor, Mapping) else []
        case _:
            return []


def _state(name: str, fields: Fields, language: QueryLanguage) -> State:
    return State(
        name=name,
        type=fields["Type"],
        query_language=language,
        body=_body(name, fields, language),
        next=fields.get("Next"),
        input_path=_document_path(fields, "InputPath"),
        arguments=_dynamic(fields, "Parameters" if language == "JSONPath" else "Arguments", language),
        result_selector=_dynamic(fields, "ResultSelector", language),
        result_path=_result_path(fields),
        output_path=_document_path(fields, "OutputPath"),
        output=_dynamic(fields, "Output", language),
        assign=_dynamic(fields, "Assign", language),
        retry=tuple(_retrier(one) for one in fields.get("Retry", ())),
        catch=tuple(_catcher(one, language) for one in fields.get("Catch", ())),
    )


def _document_path(fields: Fields, name: str) -> Expression | None:
    path = fields.get(name, "$")
    if path is None:
        return EmptyObject()
    return None if path == "$" else compile_path(path, name)


def _result_path(fields: Fields) -> ResultPath | None:
    path = fields.get("ResultPath", "$")
    if path is None:
        return Discard()
    return None if path == "$" else ReferenceResultPath(path, parse_path(path).keys or ())


def _dynamic(fields: Fields, name: str, language: QueryLanguage) -> Expression | None:
    if name not in fields:
        return None
    return compile_template(fields[name])


def _field_or_path(fields: Fields, name: str, language: QueryLanguage) -> Expression | None:
    """Return a field that JSONPath states may give as `<name>Path`."""
    if name + "Path" in fields:
        return compile_path(fields[name + "Path"], name + "Path")
    if name not in fields:
        return None
    return Static(fields[name])


def _retrier(fields: Fields) -> Retrier:
    return Retrier(
        errors=tuple(fields["ErrorEquals"]),
        interval_seconds=fields.get("IntervalSeconds", 1),
        max_attempts=fields.get("MaxAttempts", 3),
        backoff_rate=fields.get("BackoffRate", 2.0),
        max_delay_seconds=fields.get("MaxDelaySeconds"),
        full_jitter=fields.get("JitterStrategy") == "FULL",
    )


def _catcher(fields: Fields, language: QueryLanguage) -> Catcher:
    return Catcher(
        errors=tuple(fields["ErrorEquals"]),
        next=fields["Next"],
        result_path=_result_path(fields),
        output=_dynamic(fields, "Output", language),
        assign=_dynamic(fields, "Assign", language),
    )


def _body(name: str, fields: Fields, language: QueryLanguage) -> Body:
    match fields["Type"]:
        case "Pass":
            return PassBody(Static(fields["Result"]) if "Result" in fields else None)
        case "Succeed":
            return SucceedBody()
        case "Fail":
            return FailBody(_field_or_path(fields, "Error", language), _field_or_path(fields, "Cause", language))
        case "Choice":
            rules = tuple(_rule(rule, language) for rule in fields["Choices"])
            return ChoiceBody(rules, fields.get("Default"))
        case "Wait":
            return WaitBody(_field_or_path(fields, "Seconds", language), _field_or_path(fields, "Timestamp", language))
        case "Task":
            return TaskBody(
                fields["Resource"],
                _field_or_path(fields, "TimeoutSeconds", language),
                _field_or_path(fields, "HeartbeatSeconds", language),
                _dynamic(fields, "Credentials", language),
            )
        case "Parallel":
            return ParallelBody(tuple(Processor(branch["StartAt"]) for branch in fields["Branches"]))
        case _:
            return _map_body(name, fields, language)


def _rule(fields: Fields, language: QueryLanguage) -> Rule:
    return Rule(
        compile_rule(fields),
        fields["Next"],
        _dynamic(fields, "Output", language),
        _dynamic(fields, "Assign", language),
    )


def _map_body(name: str, fields: Fields, language: QueryLanguage) -> MapBody:
    raise NotImplementedError
