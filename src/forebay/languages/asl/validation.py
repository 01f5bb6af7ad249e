"""Checks a definition: the machine, its chains of states, and where states lead.

First the schema of everything; only where nothing is wrong with that, the transitions. `state_rules.py` checks one
state, `value_rules.py` paths, templates and expressions.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forebay.languages.asl import schema
from forebay.languages.asl.diagnostics import Diagnostic, Findings
from forebay.languages.asl.state_rules import StateRules
from forebay.languages.asl.value_rules import (
    check_fields,
    check_number,
    check_one_of,
    check_required,
    check_type,
    language_of,
)
from forebay.languages.json_kinds import is_array, is_object

Fields = Mapping[str, Any]
# What a service knows about tasks: gives (message, field under the state or "") for a resource and its request.
TaskRules = Callable[[str, Fields], Iterator[tuple[str, str]]]


def validate(definition: object, *, express: bool = False, task_rules: TaskRules | None = None) -> list[Diagnostic]:
    """Return all findings about a definition."""
    findings = Findings()
    if not is_object(definition):
        findings.schema("Expected value of type Object", "/")
        return findings.found
    fields: Fields = definition
    check_fields(findings, fields, schema.TOP_FIELDS, "")
    check_required(findings, fields, ("StartAt", "States"), "")
    check_number(findings, fields, "TimeoutSeconds", (0, 99_999_999), "")
    check_one_of(findings, fields.get("Version", "1.0"), ("1.0",), "/Version")
    language = language_of(findings, fields, "JSONPath", "")
    rules = StateRules(findings, language, express=express, task_rules=task_rules)
    _check_chain(rules, fields, "", 1)
    if not findings.has_errors:
        _check_names(findings, fields)
        _check_transitions(findings, fields, "")
    return findings.found


def _check_chain(rules: StateRules, chain: Fields, location: str, depth: int) -> None:
    """Check the states of a chain and of the chains inside them."""
    findings = rules.findings
    if not check_type(findings, chain, "StartAt", str, location):
        return
    if not check_type(findings, chain, "States", dict, location) or "States" not in chain:
        return
    if depth > schema.NESTING_MAX:
        findings.add("TOO_DEEPLY_NESTED", "The states are too deeply nested.", f"{location}/States")
        return
    if not chain["States"]:
        findings.schema("Value cannot be empty", f"{location}/States")
    language = language_of(findings, chain, rules.language, location) if location else rules.language
    for name, fields in chain["States"].items():
        here = f"{location}/States/{name}"
        if not is_object(fields):
            findings.schema("Expected value of type Object", here)
            continue
        rules.check(fields, here, language)
        for inner, where in _inner(fields, here):
            allowed = schema.BRANCH_FIELDS if fields.get("Type") == "Parallel" else schema.PROCESSOR_FIELDS
            check_fields(findings, inner, allowed, where)
            check_required(findings, inner, ("StartAt", "States"), where)
            _check_chain(rules, inner, where, depth + 1)


def _inner(fields: Fields, location: str) -> Iterator[tuple[Fields, str]]:
    """Yield the chains of states inside a state, and where they stand."""
    kind = fields.get("Type")
    branches = fields.get("Branches")
    if kind == "Parallel" and is_array(branches):
        yield from ((one, f"{location}/Branches[{at}]") for at, one in enumerate(branches) if is_object(one))
    elif kind == "Map":
        name = "ItemProcessor" if "ItemProcessor" in fields else "Iterator"
        processor = fields.get(name)
        if is_object(processor):
            yield processor, f"{location}/{name}"


def _check_names(findings: Findings, definition: Fields) -> None:
    """Check that names and labels are short enough and no two are the same."""
    names: set[str] = set()
    labels: set[str] = set()
    for name, fields, here in _all_states(definition, ""):
        if len(name) > schema.STATE_NAME_CHARACTERS_MAX:
            findings.add(
                "INVALID_STATE_NAME", f"State name '{name}' exceeds the 80-character limit allowed by the service", here
            )
        if name in names:
            findings.add("DUPLICATE_STATE_NAME", f"Duplicate State name: {name}", here)
        names.add(name)
        label = fields.get("Label")
        if label is None:
            continue
        if len(label) > schema.LABEL_CHARACTERS_MAX:
            message = f"Label name '{label}' exceeds the 40-character limit allowed by the service"
            findings.add("INVALID_LABEL_NAME", message, f"{here}/Label")
        if label in labels:
            findings.add("DUPLICATE_LABEL_NAME", f"Duplicate Label name: {label}", f"{here}/Label")
        labels.add(label)


def _all_states(chain: Fields, location: str) -> Iterator[tuple[str, Fields, str]]:
    for name, fields in chain["States"].items():
        here = f"{location}/States/{name}"
        yield name, fields, here
        for inner, where in _inner(fields, here):
            yield from _all_states(inner, where)


def _check_transitions(findings: Findings, chain: Fields, location: str) -> None:
    """Check that every transition leads to a state of its chain, and that every state can be reached and left."""
    states: Fields = chain["States"]
    if chain["StartAt"] not in states:
        findings.add("MISSING_TRANSITION_TARGET", f"Missing 'Next' target: {chain['StartAt']}", f"{location}/StartAt")
    edges: dict[str, set[str]] = {}
    for name, fields in states.items():
        edges[name] = set()
        for target, where in _targets(fields, f"{location}/States/{name}"):
            edges[name].add(target)
            if target not in states:
                findings.add("MISSING_TRANSITION_TARGET", f"Missing 'Next' target: {target}", where)
    _check_ways(findings, chain, edges, location)
    for name, fields in states.items():
        for inner, where in _inner(fields, f"{location}/States/{name}"):
            _check_transitions(findings, inner, where)


def _check_ways(findings: Findings, chain: Fields, edges: Mapping[str, set[str]], location: str) -> None:
    """Check that every state can be reached, and that the chain ends somewhere."""
    states: Fields = chain["States"]
    if not any(fields.get("End") or fields["Type"] in {"Succeed", "Fail"} for fields in states.values()):
        # Of a chain without an end AWS says nothing else (the location inside of states is unverified).
        findings.add("MISSING_END_STATE", "Workflow has no terminal state", location or None)
        return
    reached = _reachable(chain["StartAt"], edges)
    for name in states:
        if name not in reached:
            message = f'State "{name}" is not reachable.'
            findings.add("MISSING_TRANSITION_TARGET", message, f"{location}/States/{name}")


def _targets(fields: Fields, location: str) -> Iterator[tuple[str, str]]:
    for field in ("Next", "Default"):
        if field in fields:
            yield fields[field], f"{location}/{field}"
    for field in ("Choices", "Catch"):
        for at, entry in enumerate(fields.get(field, ())):
            yield entry["Next"], f"{location}/{field}[{at}]/Next"


def _reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    pending = [start]
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending.extend(edges.get(name, ()))
    return reached
