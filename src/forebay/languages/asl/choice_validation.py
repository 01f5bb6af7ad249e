"""Checks the rules of Choice states."""

from collections.abc import Mapping
from typing import Any

from forebay.languages.asl.choice_rules import KINDS, OPERATORS, PRESENCE
from forebay.languages.asl.diagnostics import Findings
from forebay.languages.asl.timestamps import parse_timestamp
from forebay.languages.asl.value_rules import (
    check_choice_path,
    check_fields,
    check_jsonata,
    check_required,
    check_template,
    check_type,
    check_variables,
    listed,
    wrong_language,
)
from forebay.languages.json_kinds import is_array, is_object

Fields = Mapping[str, Any]

_SELECTORS = ("And", "Or", "Not", "Variable", "Condition")
_RULE_FIELDS = ("Next", "Output", "Assign", "Comment")


def check_rules(findings: Findings, fields: Fields, language: str, here: str) -> None:
    """Check a Choice state's rules."""
    rules = fields.get("Choices")
    for at, rule in enumerate(rules if is_array(rules) else ()):
        where = f"{here}/Choices[{at}]"
        if not is_object(rule):
            findings.schema("Expected value of type Object", where)
            continue
        entry: Fields = rule
        check_required(findings, entry, ("Next",), where)
        check_type(findings, entry, "Next", str, where)
        check_fields(findings, entry, (*_SELECTORS, *OPERATORS, *_RULE_FIELDS), where)
        check_type(findings, entry, "Assign", dict, where)
        check_variables(findings, entry.get("Assign"), f"{where}/Assign")
        _check_condition(findings, entry, language, where)
        for name in ("Output", "Assign"):
            if language == "JSONata":
                check_jsonata(findings, entry.get(name), f"{where}/{name}")
            else:
                check_template(findings, entry.get(name), f"{where}/{name}")


def _check_condition(findings: Findings, rule: Fields, language: str, where: str) -> None:
    chosen = [name for name in _SELECTORS if name in rule]
    foreign = "Variable" if language == "JSONata" else "Condition"
    if foreign in rule:
        other = "JSONPath" if language == "JSONata" else "JSONata"
        message = wrong_language(language, foreign, other)
        findings.schema(message, where)
        return
    if len(chosen) != 1:
        findings.schema(f"The object must have only one of the following fields, {listed(_SELECTORS)}", where)
        return
    match chosen[0]:
        case "Condition":
            _check_jsonata_condition(findings, rule["Condition"], f"{where}/Condition")
        case "Variable":
            _check_comparison(findings, rule, where)
        case "Not":
            _check_inner(findings, rule["Not"], language, f"{where}/Not")
        case combined:
            _check_combined(findings, rule[combined], language, f"{where}/{combined}")


def _check_jsonata_condition(findings: Findings, condition: object, where: str) -> None:
    if isinstance(condition, str) and not condition.startswith("{%"):
        findings.schema("JSONata string must start with {% and end with %}", where)
    elif not isinstance(condition, str | bool):
        findings.schema("Expected value of type Boolean", where)
    else:
        check_jsonata(findings, condition, where)


def _check_combined(findings: Findings, parts: object, language: str, where: str) -> None:
    if not is_array(parts):
        findings.schema("Expected value of type Array", where)
    elif not parts:
        findings.schema("Value cannot be empty", where)
    else:
        elements: list[object] = parts
        for at, part in enumerate(elements):
            _check_inner(findings, part, language, f"{where}[{at}]")


def _check_inner(findings: Findings, part: object, language: str, where: str) -> None:
    if not is_object(part):
        findings.schema("Expected value of type Object", where)
        return
    rule: Fields = part
    check_fields(findings, rule, (*_SELECTORS, *OPERATORS, "Comment"), where)
    _check_condition(findings, rule, language, where)


def _check_comparison(findings: Findings, rule: Fields, where: str) -> None:
    check_choice_path(findings, rule["Variable"], f"{where}/Variable")
    used = [name for name in rule if name in OPERATORS]
    if len(used) != 1:
        sentence = "There should only be one of" if used else "This object should have only one of"
        findings.schema(f"{sentence} the following fields: {listed(used or OPERATORS)}", where)
        return
    operator = used[0]
    operand, here = rule[operator], f"{where}/{operator}"
    if operator.endswith("Path"):
        check_choice_path(findings, operand, here)
        return
    wanted = _operand_type(operator)
    if wanted == "Timestamp":
        if not isinstance(operand, str) or parse_timestamp(operand) is None:
            findings.schema("String does not match RFC3339 timestamp", here)
    elif not _is_of(operand, wanted):
        findings.schema(f"Expected value of type {wanted}", here)


def _operand_type(operator: str) -> str:
    if operator in KINDS or operator == PRESENCE or operator.startswith("Boolean"):
        return "Boolean"
    if operator.startswith("Numeric"):
        return "Number"
    return "Timestamp" if operator.startswith("Timestamp") else "String"


def _is_of(operand: object, wanted: str) -> bool:
    if wanted == "Boolean":
        return isinstance(operand, bool)
    if wanted == "Number":
        return isinstance(operand, int | float) and not isinstance(operand, bool)
    return isinstance(operand, str)
