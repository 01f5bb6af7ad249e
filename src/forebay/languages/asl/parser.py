"""Compiles a definition that passed validation into a `Machine`."""

from collections.abc import Iterator, Mapping
from typing import Any

from forebay.languages.asl.choice_rules import compile_rule
from forebay.languages.asl.jsonata_fields import JsonataCondition, compile_jsonata_value
from forebay.languages.asl.machine import (
    Body,
    Catcher,
    ChoiceBody,
    Condition,
    DistributedMode,
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
from forebay.languages.asl.references import references_of
from forebay.languages.asl.templates import (
    Discard,
    DocumentField,
    EmptyObject,
    InputField,
    PlaceField,
    ReferenceResultPath,
    Static,
    compile_path,
    compile_template,
)
from forebay.languages.json_kinds import is_object

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
        dict(_references(definition, language)),
    )


def _references(chain: Fields, language: QueryLanguage) -> Iterator[tuple[str, tuple[str, ...]]]:
    language = chain.get("QueryLanguage", language)
    for name, fields in chain["States"].items():
        found = references_of(fields, fields.get("QueryLanguage", language))
        if found:
            yield name, found
        for inner in inner_chains(fields):
            yield from _references(inner, language)


def _states(chain: Fields, language: QueryLanguage) -> Iterator[tuple[str, State]]:
    language = chain.get("QueryLanguage", language)
    for name, fields in chain["States"].items():
        own: QueryLanguage = fields.get("QueryLanguage", language)
        yield name, _state(name, fields, own)
        for inner in inner_chains(fields):
            yield from _states(inner, language)


def inner_chains(fields: Fields) -> list[Fields]:
    """Return the chains of states inside a state: branches, or the item processor."""
    match fields.get("Type"):
        case "Parallel":
            return fields["Branches"]
        case "Map":
            return [fields.get("ItemProcessor", fields.get("Iterator"))]
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
        catch=tuple(_catcher(one, language, f"Catch[{at}]") for at, one in enumerate(fields.get("Catch", ()))),
    )


def _document_path(fields: Fields, name: str) -> Expression | None:
    path = fields.get(name, "$")
    if path is None:
        return EmptyObject()
    return None if path == "$" else DocumentField(parse_path(path))


def _result_path(fields: Fields) -> ResultPath | None:
    path = fields.get("ResultPath", "$")
    if path is None:
        return Discard()
    return None if path == "$" else ReferenceResultPath(path, parse_path(path).keys or ())


def _dynamic(fields: Fields, name: str, language: QueryLanguage, where: str = "") -> Expression | None:
    if name not in fields:
        return None
    if language == "JSONata":
        return compile_jsonata_value(fields[name], name if not where else f"{where}/{name}")
    return compile_template(fields[name])


def _field_or_path(fields: Fields, name: str, language: QueryLanguage) -> Expression | None:
    """Return a field that JSONPath states may give as `<name>Path`."""
    path = fields.get(name + "Path")
    if path is not None:
        is_text = name in {"Error", "Cause"}
        return compile_path(path, name + "Path") if is_text else InputField(parse_path(path), name + "Path")
    if name not in fields:
        return None
    if language == "JSONata":
        return compile_jsonata_value(fields[name], name)
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


def _catcher(fields: Fields, language: QueryLanguage, where: str) -> Catcher:
    return Catcher(
        errors=tuple(fields["ErrorEquals"]),
        next=fields["Next"],
        result_path=_result_path(fields),
        output=_dynamic(fields, "Output", language, where),
        assign=_dynamic(fields, "Assign", language, where),
    )


def _body(name: str, fields: Fields, language: QueryLanguage) -> Body:  # noqa: PLR0911  # a table of the state types
    match fields["Type"]:
        case "Pass":
            return PassBody(Static(fields["Result"]) if "Result" in fields else None)
        case "Succeed":
            return SucceedBody()
        case "Fail":
            return FailBody(_field_or_path(fields, "Error", language), _field_or_path(fields, "Cause", language))
        case "Choice":
            rules = tuple(_rule(rule, language, f"Choices[{at}]") for at, rule in enumerate(fields["Choices"]))
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


def _rule(fields: Fields, language: QueryLanguage, where: str) -> Rule:
    if language == "JSONata":
        condition: Condition = JsonataCondition(compile_jsonata_value(fields["Condition"], f"{where}/Condition"))
    else:
        condition = compile_rule(fields)
    output = _dynamic(fields, "Output", language, where)
    return Rule(condition, fields["Next"], output, _dynamic(fields, "Assign", language, where))


def _map_body(name: str, fields: Fields, language: QueryLanguage) -> MapBody:
    processor = fields.get("ItemProcessor", fields.get("Iterator"))
    assert processor is not None
    selector = "ItemSelector" if "ItemSelector" in fields else "Parameters"
    items = _items(fields, language)
    return MapBody(
        processor=Processor(processor["StartAt"]),
        items=items,
        selector=_dynamic(fields, selector, language),
        max_concurrency=_field_or_path(fields, "MaxConcurrency", language),
        tolerated_failure_count=_field_or_path(fields, "ToleratedFailureCount", language),
        tolerated_failure_percentage=_field_or_path(fields, "ToleratedFailurePercentage", language),
        distributed=_distributed(name, fields, processor.get("ProcessorConfig", {}), language),
    )


def _items(fields: Fields, language: QueryLanguage) -> Expression | None:
    if language == "JSONata":
        return _dynamic(fields, "Items", language)
    path = fields.get("ItemsPath", "$")
    return None if path == "$" else PlaceField(parse_path(path))


def _distributed(name: str, fields: Fields, config: Fields, language: QueryLanguage) -> DistributedMode | None:
    if config.get("Mode") != "DISTRIBUTED":
        return None
    return DistributedMode(
        label=fields.get("Label", name),
        execution_type=config.get("ExecutionType", "STANDARD"),
        reader=_settings(fields, "ItemReader", language),
        writer=_settings(fields, "ResultWriter", language),
        batcher=_settings(fields, "ItemBatcher", language),
    )


def _settings(fields: Fields, name: str, language: QueryLanguage) -> Expression | None:
    """Compile an object some of whose numbers may be given by paths (`MaxItemsPath` for `MaxItems`)."""
    if name not in fields:
        return None
    if language == "JSONata":
        return compile_jsonata_value(fields[name], name)
    return compile_template(_paths_as_templates(fields[name]))


def _paths_as_templates(value: Any) -> Any:
    if not is_object(value):
        return value
    return {
        (key.removesuffix("Path") + ".$" if key.startswith("Max") and key.endswith("Path") else key): (
            inner if key in {"Parameters", "BatchInput"} else _paths_as_templates(inner)
        )
        for key, inner in value.items()
    }
