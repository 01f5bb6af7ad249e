"""The resource policy of a bus: statements that PutPermission adds and RemovePermission takes away. Pure."""

import json
from typing import Any, cast

from forebay.api import events as api
from forebay.services.events import limits
from forebay.services.events.errors import validation_error

Statement = dict[str, Any]

_ACTION = "events:PutEvents"


def parse_policy(text: str) -> str:
    """Return a whole policy that a caller gave, in the form in which it is kept.

    Raises:
        ValidationException: the text is no JSON object with statements.
        PolicyLengthExceededException: it is longer than AWS takes.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "Statement" not in document:
        raise validation_error("This policy contains invalid Json.")
    members = cast("dict[str, Any]", document)
    statements = members["Statement"]
    return _format([*statements] if isinstance(statements, list) else [statements], members.get("Version"))


def new_statement(request: api.PutPermissionRequest, bus_arn: str) -> Statement:
    """Return the statement that a request without a whole policy stands for.

    Raises:
        ValidationException: a member is absent, the action is not `events:PutEvents`, or the condition is not that the
            caller is of an organization.
    """
    for name, value in (
        ("Action", request.action),
        ("Principal", request.principal),
        ("StatementId", request.statement_id),
    ):
        if value is None:
            raise validation_error(f"Parameter {name} must be specified.")
    if request.action != _ACTION:
        raise validation_error("Provided value in parameter 'action' is not supported.")
    _check_condition(request)
    account = request.principal
    statement: Statement = {
        "Sid": request.statement_id,
        "Effect": "Allow",
        "Principal": "*" if account == "*" else {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": _ACTION,
        "Resource": bus_arn,
    }
    if request.condition is not None:
        condition = request.condition
        statement["Condition"] = {condition.type: {condition.key: condition.value}}
    return statement


def _check_condition(request: api.PutPermissionRequest) -> None:
    """Check a condition: "Currently the only supported value is ..." (Condition). The wording is ours."""
    condition = request.condition
    if condition is None:
        return
    for name, value, expected in (
        ("Condition.Type", condition.type, "StringEquals"),
        ("Condition.Key", condition.key, "aws:PrincipalOrgID"),
        ("Principal", request.principal, "*"),
    ):
        if value != expected:
            raise validation_error(
                f"Parameter {name} is not valid. Reason: With a condition, the only supported value is {expected}."
            )


def with_statement(policy: str | None, statement: Statement) -> str:
    """Return a policy with a statement in it, in place of one with the same id.

    Raises:
        PolicyLengthExceededException: the policy would be longer than AWS takes.
    """
    kept = [known for known in _statements(policy) if known.get("Sid") != statement["Sid"]]
    return _format([*kept, statement])


def without_statement(policy: str | None, statement_id: str) -> str | None:
    """Return a policy without a statement; None where it was the last.

    Raises:
        ResourceNotFoundException: there is no policy, or no such statement in it.
    """
    if policy is None:
        raise api.ResourceNotFoundException("EventBus does not have a policy.")
    statements = _statements(policy)
    kept = [known for known in statements if known.get("Sid") != statement_id]
    if len(kept) == len(statements):
        raise api.ResourceNotFoundException("Statement with the provided id does not exist.")
    return _format(kept) if kept else None


def _statements(policy: str | None) -> list[Statement]:
    return [] if policy is None else json.loads(policy)["Statement"]


def _format(statements: list[Statement], version: str | None = None) -> str:
    text = json.dumps({"Version": version or "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(text.encode()) > limits.POLICY_BYTES_MAX:
        raise api.PolicyLengthExceededException("The event bus policy cannot exceed 10 KB in size.")
    return text
