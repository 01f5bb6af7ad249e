"""Checks the resource of a Task state and what its integration asks for."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from forebay.languages.asl import schema
from forebay.languages.asl.diagnostics import Findings
from forebay.languages.asl.jsonata_fields import is_expression
from forebay.languages.json_kinds import is_object

Fields = Mapping[str, Any]

_ACTIVITY = re.compile(r"arn:[^:]+:states:[^:]+:[^:]+:activity:.+")
_INTEGRATION = re.compile(r"arn:[^:]+:states:[^:]*:[^:]*:(?P<service>[^:]+):(?P<action>[^.]+)(?P<pattern>\..+)?")
_AWS_SDK = "aws-sdk"
_PATTERNS = (".sync", ".sync:2", ".waitForTaskToken")


class Rules(Protocol):
    """What is known about the definition."""

    findings: Findings
    is_express: bool
    task_rules: Callable[[str, Fields], Iterator[tuple[str, str]]] | None


def check_task(rules: Rules, fields: Fields, language: str, here: str) -> None:
    """Check a Task state's resource, request and credentials."""
    resource: str = fields["Resource"]
    findings = rules.findings
    where = f"{here}/Resource"
    if not resource.startswith("arn:"):
        findings.schema("Value is not a valid resource ARN", where)
        return
    if _ACTIVITY.fullmatch(resource):
        _check_activity(rules, fields, here)
    elif (integration := _INTEGRATION.fullmatch(resource)) is not None:
        _check_integration(rules, fields, language, integration, here)
    credentials = fields.get("Credentials")
    if is_object(credentials) and not {"RoleArn", "RoleArn.$"} & credentials.keys():
        findings.schema("The field 'RoleArn' is required but was missing", f"{here}/Credentials")
    if rules.task_rules is not None and not findings.has_errors:
        for message, field in rules.task_rules(resource, fields):
            findings.schema(message, f"{here}/{field}" if field else here)


def _check_activity(rules: Rules, fields: Fields, here: str) -> None:
    if rules.is_express:
        rules.findings.schema("Express state machine does not support Activity ARN", f"{here}/Resource")
    if "Credentials" in fields:
        rules.findings.schema("The field 'Credentials' is not supported for activities", f"{here}/Credentials")


def _check_integration(rules: Rules, fields: Fields, language: str, found: re.Match[str], here: str) -> None:
    findings, resource = rules.findings, found[0]
    service, pattern = found["service"], found["pattern"] or ""
    if service == _AWS_SDK:
        pattern = next((one for one in _PATTERNS if resource.endswith(one)), "")
    if _is_unknown(service, pattern):
        message = (
            f"The resource provided {resource} is not recognized. The value is not a valid resource ARN, "
            "or the resource is not available in this region."
        )
        findings.schema(message, f"{here}/Resource")
        return
    if rules.is_express and pattern:
        kind = ".waitForTaskToken" if pattern == ".waitForTaskToken" else ".sync"
        message = f"Express state machine does not support '{kind}' service integration"
        findings.schema(message, f"{here}/Resource")
    name = "Parameters" if language == "JSONPath" else "Arguments"
    if name not in fields:
        findings.schema(f"{name} field is required for resource ARN: {resource}", here)
        return
    request = fields[name]
    if is_expression(request) or not is_object(request):
        return
    for field in schema.INTEGRATION_REQUIRED.get(f"{service}:{found['action']}", ()):
        if field not in request and f"{field}.$" not in request:
            findings.schema(f"The field '{field}' is required but was missing", f"{here}/{name}")


def _is_unknown(service: str, pattern: str) -> bool:
    if pattern and pattern not in _PATTERNS:
        return True
    if pattern == ".sync:2":
        return service != "states"
    if pattern == ".sync":
        return service in schema.WITHOUT_SYNC
    return pattern == ".waitForTaskToken" and service in schema.WITHOUT_TOKEN
