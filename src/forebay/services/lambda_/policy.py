"""Resource policies of functions and layers: kept and shown exactly, not enforced."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn, partition_of
from forebay.store.records import Kind

_ACCOUNT = re.compile(r"\d{12}")


class Policy(msgspec.Struct, frozen=True):
    """The statements of one resource's policy, each the JSON text that AddPermission answered."""

    statements: tuple["Statement", ...]
    revision: str

    def document(self) -> str:
        """Return the policy document."""
        texts = ",".join(statement.text for statement in self.statements)
        return f'{{"Version":"2012-10-17","Id":"default","Statement":[{texts}]}}'

    def has(self, statement_id: str) -> bool:
        """Tell whether there is a statement of that id."""
        return any(statement.statement_id == statement_id for statement in self.statements)

    def without(self, statement_id: str, revision: str) -> "Policy | None":
        """Return the policy without a statement, or None where nothing is left of it."""
        rest = tuple(statement for statement in self.statements if statement.statement_id != statement_id)
        return Policy(rest, revision) if rest else None


class Statement(msgspec.Struct, frozen=True):
    """One statement and its id."""

    statement_id: str
    text: str


POLICY = Kind("lambda.policy", Policy)
"""Policies of functions, under the function's key and the qualifier (`$LATEST` for the function itself)."""

LAYER_POLICY = Kind("lambda.layer_policy", Policy)


def permission_statement(request: api.AddPermissionRequest, resource: str) -> Statement:
    """Return the statement that AddPermission adds to a function's policy."""
    equals = {
        "AWS:SourceAccount": request.source_account,
        "lambda:EventSourceToken": request.event_source_token,
        "lambda:FunctionUrlAuthType": request.function_url_auth_type,
        "aws:PrincipalOrgID": request.principal_org_id,
    }
    condition: dict[str, Any] = {}
    if given := {name: value for name, value in equals.items() if value}:
        condition["StringEquals"] = given
    if request.source_arn:
        condition["ArnLike"] = {"AWS:SourceArn": request.source_arn}
    if request.invoked_via_function_url:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": "true"}
    return make_statement(
        request.statement_id, _principal(request.principal, resource), request.action, resource, condition
    )


def layer_statement(request: api.AddLayerVersionPermissionRequest, resource: str) -> Statement:
    """Return the statement that AddLayerVersionPermission adds to a layer version's policy."""
    organization = request.organization_id
    condition = {"StringEquals": {"aws:PrincipalOrgID": organization}} if organization else {}
    principal = _principal(request.principal, resource)
    return make_statement(request.statement_id, principal, request.action, resource, condition)


def make_statement(
    statement_id: str, principal: object, action: str, resource: str, condition: dict[str, Any]
) -> Statement:
    """Return a statement with its members in AWS's order."""
    members: dict[str, Any] = {
        "Sid": statement_id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": action,
        "Resource": resource,
    }
    if condition:
        members["Condition"] = condition
    return Statement(statement_id, msgspec.json.encode(members).decode())


def with_statement(policy: Policy | None, statement: Statement, revision: str) -> Policy:
    """Return the policy with one statement more."""
    statements: Sequence[Statement] = () if policy is None else policy.statements
    return Policy((*statements, statement), revision)


def _principal(principal: str, resource: str) -> object:
    if principal == "*":
        return "*"
    if _ACCOUNT.fullmatch(principal):
        partition = partition_of(Arn.parse(resource).region)
        return {"AWS": f"arn:{partition}:iam::{principal}:root"}
    return {"AWS": principal} if principal.startswith("arn:") else {"Service": principal}
