"""Policy documents: what one may say. Pure checks in the words of IAM; whether a policy allows anything is not judged.

The rules are those of the IAM user guide's "Grammar of the IAM JSON policy language".
"""

import re
from typing import Any, cast
from urllib.parse import quote

import msgspec

from forebay.api import iam as api

_VERSIONS = ("2012-10-17", "2008-10-17")
_SID = re.compile(r"[0-9A-Za-z]*")
_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")
_STATEMENT_KEYS = frozenset(
    {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
        "Condition",
    }
)
_TRUST_ACTION_PREFIXES = ("sts:", "sts-")

Statement = dict[str, Any]


def encode_document(document: str) -> str:
    """Return a document as IAM's answers carry it: percent-encoded by RFC 3986."""
    return quote(document, safe="")


def count_characters(document: str) -> int:
    """Return the size that quotas count: characters that are not white space."""
    return len("".join(document.split()))


def check_permissions_document(document: str) -> None:
    """Check the document of an identity's policy.

    Raises:
        MalformedPolicyDocumentException: it breaks the grammar; the text is IAM's.
    """
    for statement in _statements(document, "Syntax errors in policy."):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise _malformed("Policy document should not specify a principal.")
        _check_actions(statement)
        resources = statement.get("Resource", statement.get("NotResource"))
        if not resources:
            raise _malformed("Policy statement must contain resources.")
        for resource in _texts(resources):
            if resource != "*" and not resource.startswith(("arn:", "${", "*")):
                raise _malformed(f'Resource {resource} must be in ARN format or "*".')


def check_trust_document(document: str) -> None:
    """Check a role's trust policy.

    Raises:
        MalformedPolicyDocumentException: it breaks the grammar; the text is IAM's.
    """
    for statement in _statements(document, "This policy contains invalid Json"):
        for prohibited in ("Resource", "NotResource"):
            if prohibited in statement:
                raise _malformed(f"Has prohibited field {prohibited}")
        if not statement.get("Principal") and not statement.get("NotPrincipal"):
            raise _malformed("Missing required field Principal")
        _check_actions(statement)
        for action in _texts(statement.get("Action", statement.get("NotAction"))):
            if not action.lower().startswith(_TRUST_ACTION_PREFIXES):
                raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")


def _statements(document: str, not_json: str) -> list[Statement]:
    try:
        policy: object = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError):
        raise _malformed(not_json) from None
    if not isinstance(policy, dict):
        raise _malformed("Syntax errors in policy.")
    policy = cast("dict[str, Any]", policy)
    if not policy.keys() <= {"Version", "Id", "Statement"}:
        raise _malformed("Syntax errors in policy.")
    if policy.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    given: object = policy.get("Statement")
    statements = cast("list[object]", given) if isinstance(given, list) else [given]
    if given is None or not statements:
        raise _malformed(
            "Could not parse the policy: Statement is empty!"
            if given is not None
            else "Missing required field Statement"
        )
    checked = [_statement(statement) for statement in statements]
    _check_statement_ids(checked)
    return checked


def _statement(statement: object) -> Statement:
    if not isinstance(statement, dict):
        raise _malformed("Syntax errors in policy.")
    statement = cast("Statement", statement)
    if not statement.keys() <= _STATEMENT_KEYS:
        raise _malformed("Syntax errors in policy.")
    effect = statement.get("Effect")
    if not effect:
        raise _malformed("Missing required field Effect")
    if effect not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {effect}")
    if "Condition" in statement and not isinstance(statement["Condition"], dict):
        raise _malformed("Syntax errors in policy.")
    return statement


def _check_statement_ids(statements: list[Statement]) -> None:
    sids = [str(statement["Sid"]) for statement in statements if statement.get("Sid")]
    for sid in sids:
        if _SID.fullmatch(sid) is None:
            raise _malformed(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
                "[0-9A-Za-z]*"
            )
    if len(set(sids)) != len(sids):
        raise _malformed("Statement IDs (SID) in a single policy must be unique.")


def _check_actions(statement: Statement) -> None:
    actions = statement.get("Action", statement.get("NotAction"))
    if actions is None:
        raise _malformed("Missing required field Action")
    if not actions:
        raise _malformed("Missing required field Action cannot be empty!")
    for action in _texts(actions):
        if _ACTION.fullmatch(action) is None:
            raise _malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")


def _texts(value: object) -> list[str]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str)]
    if len(texts) != len(values):
        raise _malformed("Syntax errors in policy.")
    return texts


def _malformed(text: str) -> api.MalformedPolicyDocumentException:
    return api.MalformedPolicyDocumentException(text)
