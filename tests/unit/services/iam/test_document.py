import json
from typing import Any

import pytest

from forebay.api import iam as api
from forebay.services.iam.document import (
    check_permissions_document,
    check_trust_document,
    count_characters,
    encode_document,
)

STATEMENT: dict[str, Any] = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ({**STATEMENT, "Principal": "*"}, "Policy document should not specify a principal."),
        ({"Effect": "Allow", "Action": "sqs:*"}, "Policy statement must contain resources."),
        ({"Action": "sqs:*", "Resource": "*"}, "Missing required field Effect"),
        ({**STATEMENT, "Effect": "Maybe"}, "Invalid effect: Maybe"),
        ({"Effect": "Allow", "Resource": "*"}, "Missing required field Action"),
        ({**STATEMENT, "Action": []}, "Missing required field Action cannot be empty!"),
        ({**STATEMENT, "Action": "send"}, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        ({**STATEMENT, "Resource": "orders"}, 'Resource orders must be in ARN format or "*".'),
        ({**STATEMENT, "Other": 1}, "Syntax errors in policy."),
        ({**STATEMENT, "Action": {"Ref": "x"}}, "Syntax errors in policy."),
    ],
)
def test_permissions_document_is_refused_in_iams_words(statement: dict[str, Any], text: str) -> None:
    with pytest.raises(api.MalformedPolicyDocumentException) as raised:
        check_permissions_document(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert raised.value.message == text


def test_statement_ids_are_unique() -> None:
    statements = [{**STATEMENT, "Sid": "one"}, {**STATEMENT, "Sid": "one"}]
    with pytest.raises(api.MalformedPolicyDocumentException, match="must be unique"):
        check_permissions_document(json.dumps({"Statement": statements}))


def test_single_statement_needs_no_list() -> None:
    check_permissions_document(json.dumps({"Statement": STATEMENT}))


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("not json", "This policy contains invalid Json"),
        (json.dumps({"Statement": [{**STATEMENT, "Principal": "*"}]}), "Has prohibited field Resource"),
        (
            json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*"}]}),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (json.dumps({"Statement": []}), "Could not parse the policy: Statement is empty!"),
        (json.dumps({"Version": "2020-01-01", "Statement": []}), "The policy must contain a valid version string"),
    ],
)
def test_trust_document_is_refused_in_iams_words(document: str, text: str) -> None:
    with pytest.raises(api.MalformedPolicyDocumentException) as raised:
        check_trust_document(document)
    assert raised.value.message == text


def test_quota_leaves_out_white_space() -> None:
    assert count_characters('{ "a":\n 1 }') == len('{"a":1}')


def test_encoded_document_has_no_reserved_characters() -> None:
    assert encode_document('{"a": "b/c*"}') == "%7B%22a%22%3A%20%22b%2Fc%2A%22%7D"
