"""Definitions: checked as AWS checks them, and compiled for the interpreter."""

from typing import Any

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl import Machine, parse
from forebay.languages.asl.parser import compile_machine
from forebay.services.stepfunctions.payload import as_list, as_object
from forebay.services.stepfunctions.task_rules import task_rules


def check_definition(text: str, type_: api.StateMachineType) -> Machine:
    """Return a definition, compiled.

    Raises:
        InvalidDefinition: it has faults; the text names each with its place.
    """
    parsed = parse(text, express=type_ == "EXPRESS", task_rules=task_rules)
    if parsed.machine is None:
        raise api.InvalidDefinition(parsed.invalid_definition_text)
    return parsed.machine


def compile_definition(text: str) -> Machine:
    """Return a definition that was checked when it was kept, compiled; later rules do not touch it."""
    return compile_machine(msgspec.json.decode(text, type=dict[str, Any]))


def part_of(text: str, label: str) -> str | None:
    """Return the definition that the children of a distributed Map state run, or None where none has that label."""
    found = _find_label(msgspec.json.decode(text, type=dict[str, Any]), label)
    return None if found is None else msgspec.json.encode(found).decode()


def references_of(text: str) -> dict[str, list[str]] | None:
    """Return the variables that each state refers to, of states that refer to any; None where none does."""
    machine = compile_definition(text)
    references = {name: sorted(names) for name, names in machine.variable_references.items() if names}
    return references or None


def _find_label(chain: dict[str, Any], label: str) -> dict[str, Any] | None:
    for name, fields in as_object(chain.get("States")).items():
        state = as_object(fields)
        processor = as_object(state.get("ItemProcessor"))
        if processor and _label_of(name, state) == label:
            return processor
        for each in (processor, state.get("Iterator"), *as_list(state.get("Branches"))):
            found = _find_label(as_object(each), label)
            if found is not None:
                return found
    return None


def _label_of(name: str, state: dict[str, Any]) -> str:
    return str(state.get("Label") or name)
