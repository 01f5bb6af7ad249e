import json

import pytest

from forebay.api import events as api
from forebay.core.errors import ServiceError
from forebay.services.events.policy import new_statement, parse_policy, with_statement, without_statement

BUS = "arn:aws:events:us-east-1:111122223333:event-bus/default"


def statement(sid, principal="*"):
    request = api.PutPermissionRequest(action="events:PutEvents", principal=principal, statement_id=sid)
    return new_statement(request, BUS)


def test_statement_with_the_same_id_is_replaced():
    policy = with_statement(with_statement(None, statement("a")), statement("a", "111122223333"))
    (kept,) = json.loads(policy)["Statement"]
    assert kept["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}


def test_last_statement_takes_the_policy_with_it():
    assert without_statement(with_statement(None, statement("a")), "a") is None


def test_policy_keeps_within_ten_kilobytes():
    policy = None
    for number in range(50):
        policy = with_statement(policy, statement(f"{number:04}"))
    with pytest.raises(api.PolicyLengthExceededException):
        with_statement(policy, {**statement("more"), "Resource": "x" * 4_000})


@pytest.mark.parametrize("absent", ["action", "principal", "statement_id"])
def test_every_part_of_a_statement_is_needed(absent):
    parts = {"action": "events:PutEvents", "principal": "*", "statement_id": "a", absent: None}
    with pytest.raises(ServiceError) as caught:
        new_statement(api.PutPermissionRequest(**parts), BUS)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"'])
def test_policy_that_is_none_is_refused(text):
    with pytest.raises(ServiceError, match="invalid Json"):
        parse_policy(text)
