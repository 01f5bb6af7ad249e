"""Checks one state of a definition: its fields, their values, and what belongs together."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forebay.languages.asl import schema
from forebay.languages.asl.choice_validation import check_rules
from forebay.languages.asl.diagnostics import Findings
from forebay.languages.asl.jsonata_fields import is_expression
from forebay.languages.asl.map_validation import check_map
from forebay.languages.asl.resource_rules import check_task
from forebay.languages.asl.timestamps import parse_timestamp
from forebay.languages.asl.value_rules import (
    check_exclusive,
    check_fields,
    check_jsonata,
    check_number,
    check_one_of,
    check_path,
    check_required,
    check_template,
    check_type,
    check_variables,
    language_of,
    listed,
    wrong_language,
)
from forebay.languages.json_kinds import is_array, is_object

Fields = Mapping[str, Any]
TaskRules = Callable[[str, Fields], Iterator[tuple[str, str]]]

_WITHOUT_END = ("Choice", "Succeed", "Fail")
_WITH_RESULT = ("Task", "Parallel", "Map")
_CHECKED_ELSEWHERE = (
    "Branches",
    "ItemProcessor",
    "Iterator",
    "Choices",
    "Retry",
    "Catch",
    "Comment",
    "Type",
    "Resource",
)
_MAY_BE_EMPTY = ("Retry", "Catch")
ALL_ERRORS = "States.ALL"


class StateRules:
    """The rules of one definition: its query language and kind of state machine."""

    def __init__(self, findings: Findings, language: str, *, express: bool, task_rules: TaskRules | None) -> None:
        self.findings = findings
        self.language = language
        self.is_express = express
        self.task_rules = task_rules

    def check(self, fields: Fields, here: str, chain_language: str) -> None:
        """Check a state of a chain in a language."""
        findings = self.findings
        if "Type" not in fields:
            findings.schema("These fields are required: [Type]", here)
            return
        kind = fields["Type"]
        allowed = schema.STATE_FIELDS.get(kind) if isinstance(kind, str) else None
        if allowed is None:
            findings.schema(f"Value should be one of the following: {listed(schema.STATE_FIELDS)}", f"{here}/Type")
            return
        language = self._language(fields, here, chain_language)
        check_fields(findings, fields, allowed, here)
        check_required(findings, fields, schema.REQUIRED.get(kind, ()), here)
        self._check_language(fields, language, here)
        self._check_values(fields, language, here)
        self._check_groups(fields, kind, here)
        check_handlers(findings, fields, language, here)
        branches = fields.get("Branches")
        for at, branch in enumerate(branches if is_array(branches) else ()):
            if not is_object(branch):
                findings.schema("Expected value of type Object", f"{here}/Branches[{at}]")
        if kind == "Choice":
            check_rules(findings, fields, language, here)
        elif kind == "Map":
            check_map(findings, fields, is_express=self.is_express, here=here)
        elif kind == "Task" and isinstance(fields.get("Resource"), str):
            check_task(self, fields, language, here)

    def _language(self, fields: Fields, here: str, chain_language: str) -> str:
        language = language_of(self.findings, fields, chain_language, here)
        if language == "JSONPath" and self.language == "JSONata":
            message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
            self.findings.schema(message, here)
        return language

    def _check_language(self, fields: Fields, language: str, here: str) -> None:
        other = "JSONata" if language == "JSONPath" else "JSONPath"
        foreign = schema.JSONATA_ONLY if language == "JSONPath" else schema.JSONPATH_ONLY
        for name in fields:
            if name in foreign:
                self.findings.schema(wrong_language(language, name, other), here)

    def _check_values(self, fields: Fields, language: str, here: str) -> None:
        findings = self.findings
        check_types(findings, fields, here)
        for name, limits in schema.NUMBERS.items():
            if not (language == "JSONata" and is_expression(fields.get(name))):
                check_number(findings, fields, name, limits, here)
        timestamp = fields.get("Timestamp")
        if isinstance(timestamp, str) and not is_expression(timestamp) and parse_timestamp(timestamp) is None:
            findings.schema("String does not match RFC3339 timestamp", f"{here}/Timestamp")
        check_variables(findings, fields.get("Assign"), f"{here}/Assign")
        if language == "JSONata":
            _check_expressions(findings, fields, here)
        else:
            check_paths(findings, fields, here)

    def _check_groups(self, fields: Fields, kind: str, here: str) -> None:
        findings = self.findings
        for names in schema.EXCLUSIVE:
            check_exclusive(findings, fields, names, here)
        for names in schema.ONE_OF.get(kind, ()):
            if not any(name in fields for name in names):
                findings.schema(f"This object should have only one of the following fields: {listed(names)}", here)
        timeout, heartbeat = fields.get("TimeoutSeconds"), fields.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            # "HeartbeatSeconds must be smaller than TimeoutSeconds" (Task state); AWS's sentence is unverified.
            findings.schema("HeartbeatSeconds must be smaller than TimeoutSeconds", f"{here}/HeartbeatSeconds")
        if kind in _WITHOUT_END:
            return
        ends = fields.get("End") is True
        if "Next" in fields and ends:
            findings.schema("There should only be one of the following fields: [Next, End]", here)
        elif "Next" not in fields and not ends:
            findings.schema("This object should have only one of the following fields: [Next, End]", here)


def _check_expressions(findings: Findings, fields: Fields, here: str) -> None:
    has_result = fields["Type"] in _WITH_RESULT
    for name, value in fields.items():
        if name not in _CHECKED_ELSEWHERE:
            offered = "result" if has_result and name in {"Output", "Assign"} else ""
            check_jsonata(findings, value, f"{here}/{name}", offered=offered)


def check_types(findings: Findings, fields: Fields, here: str) -> None:
    """Refuse values of another type than their fields have."""
    for name in schema.STRINGS:
        check_type(findings, fields, name, str, here)
    for name in schema.ARRAYS:
        if check_type(findings, fields, name, list, here) and fields.get(name) == [] and name not in _MAY_BE_EMPTY:
            findings.schema("Value cannot be empty", f"{here}/{name}")
    for name in schema.OBJECTS:
        check_type(findings, fields, name, dict, here)
    check_type(findings, fields, "End", bool, here)


def check_paths(findings: Findings, fields: Fields, here: str) -> None:
    """Check the paths and payload templates of a JSONPath state."""
    for name in (*schema.PATHS, *schema.REFERENCE_PATHS):
        if name in fields and not (fields[name] is None and name in schema.NULLABLE):
            check_path(findings, fields[name], f"{here}/{name}", is_reference=name in schema.REFERENCE_PATHS)
    for name in schema.TEMPLATES:
        if name in fields:
            is_settings = name in {"ItemReader", "ResultWriter", "ItemBatcher"}
            check_template(findings, fields[name], f"{here}/{name}", may_path=is_settings)
    for name in ("Error", "Cause"):
        if isinstance(fields.get(name), str) and fields[name].startswith(("$.", "$[")):
            message = "Field value looks like a path, but field name does not end with 'Path'."
            findings.warn("NO_PATH", message, f"{here}/{name}")
    if "Result" in fields:
        _warn_of_dynamic(findings, fields["Result"], f"{here}/Result")


def _warn_of_dynamic(findings: Findings, value: object, location: str) -> None:
    if is_object(value):
        members: Fields = value
        for name, one in members.items():
            if name.endswith(".$"):
                message = "Attempt to use a path in the result of a pass state."
                findings.warn("PASS_RESULT_IS_STATIC", message, f"{location}/{name}")
            _warn_of_dynamic(findings, one, f"{location}/{name}")


def check_handlers(findings: Findings, fields: Fields, language: str, here: str) -> None:
    """Check Retry and Catch."""
    for field in ("Retry", "Catch"):
        entries = fields.get(field)
        if not is_array(entries):
            continue
        checked: list[Any] = entries
        for at, entry in enumerate(checked):
            where = f"{here}/{field}[{at}]"
            if not is_object(entry):
                findings.schema("Expected value of type Object", where)
            elif field == "Retry":
                _check_retrier(findings, entry, where, is_last=at == len(checked) - 1)
            else:
                _check_catcher(findings, entry, language, where, is_last=at == len(checked) - 1)


def _check_errors(findings: Findings, entry: Fields, where: str, *, is_last: bool) -> None:
    if "ErrorEquals" not in entry:
        return
    errors = entry["ErrorEquals"]
    here = f"{where}/ErrorEquals"
    if not is_array(errors):
        findings.schema("Expected value of type Array", here)
    elif not errors:
        findings.schema("Value cannot be empty", here)
    elif not all(isinstance(error, str) for error in errors):
        findings.schema("Expected value of type String", here)
    elif ALL_ERRORS in errors and (len(errors) > 1 or not is_last):
        findings.schema("States.ALL must appear alone and at end of list", here)


def _check_retrier(findings: Findings, entry: Fields, where: str, *, is_last: bool) -> None:
    check_fields(findings, entry, schema.RETRY_FIELDS, where)
    check_required(findings, entry, ("ErrorEquals",), where)
    _check_errors(findings, entry, where, is_last=is_last)
    for name, limits in schema.RETRY_NUMBERS.items():
        check_number(findings, entry, name, limits, where)
    check_one_of(findings, entry.get("JitterStrategy", "NONE"), ("NONE", "FULL"), f"{where}/JitterStrategy")


def _check_catcher(findings: Findings, entry: Fields, language: str, where: str, *, is_last: bool) -> None:
    check_fields(findings, entry, schema.CATCH_FIELDS, where)
    missing = tuple(name for name in ("ErrorEquals", "Next") if name not in entry)
    check_required(findings, entry, missing, where)
    check_type(findings, entry, "Next", str, where)
    _check_errors(findings, entry, where, is_last=is_last)
    other = "JSONata" if language == "JSONPath" else "JSONPath"
    foreign = "Output" if language == "JSONPath" else "ResultPath"
    if foreign in entry:
        findings.schema(wrong_language(language, foreign, other), where)
    check_type(findings, entry, "Assign", dict, where)
    check_variables(findings, entry.get("Assign"), f"{where}/Assign")
    if language == "JSONata":
        for name in ("Output", "Assign"):
            check_jsonata(findings, entry.get(name), f"{where}/{name}", offered="errorOutput")
        return
    check_template(findings, entry.get("Assign"), f"{where}/Assign")
    if entry.get("ResultPath") is not None:
        check_path(findings, entry["ResultPath"], f"{where}/ResultPath", is_reference=True)
