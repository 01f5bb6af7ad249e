"""Operations on permissions: statements in a topic's policy that are added and removed by their label.

Policies are kept and shown; they are not enforced.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from forebay.api import sns as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sns.errors import invalid_parameter
from forebay.services.sns.topic import TOPIC, Topic, TopicAddress, check_policy, load_topic

# Those that a topic's policy may name ("Amazon SNS access control", actions).
_ACTIONS = frozenset({
    "AddPermission", "DeleteTopic", "GetDataProtectionPolicy", "GetTopicAttributes", "ListSubscriptionsByTopic",
    "ListTagsForResource", "Publish", "PutDataProtectionPolicy", "Receive", "RemovePermission", "SetTopicAttributes",
    "Subscribe",
})  # fmt: skip
_ACCOUNT = re.compile(r"[0-9]{12}")


@operation
def add_permission(call: Call, request: api.AddPermissionInput) -> None:
    """Allow accounts some actions on a topic, by a statement of its policy that bears the label."""
    _check_given(request)
    topic = load_topic(call, TopicAddress.of(call, request.topic_arn))
    policy = check_policy(topic.policy())
    statements: list[dict[str, Any]] = policy["Statement"]
    if any(statement.get("Sid") == request.label for statement in statements):
        raise invalid_parameter("Statement already exists")
    if any(action not in _ACTIONS for action in request.action_name):
        raise invalid_parameter("Policy statement action out of service scope!")
    principals = [_principal(account) for account in request.aws_account_id]
    statement = {
        "Sid": request.label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all(principals)},
        "Action": _one_or_all([f"SNS:{action}" for action in request.action_name]),
        "Resource": topic.address().arn(),
    }
    _put_policy(call, topic, {**policy, "Statement": [*statements, statement]})


@operation
def remove_permission(call: Call, request: api.RemovePermissionInput) -> None:
    """Remove the statement that bears the label from a topic's policy; one that is not there is no error."""
    topic = load_topic(call, TopicAddress.of(call, request.topic_arn))
    policy = check_policy(topic.policy())
    kept = [statement for statement in policy["Statement"] if statement.get("Sid") != request.label]
    _put_policy(call, topic, {**policy, "Statement": kept})


def _put_policy(call: Call, topic: Topic, policy: dict[str, Any]) -> None:
    text = json.dumps(policy, separators=(",", ":"))
    call.records.put(TOPIC, topic.address().key(), replace(topic, attributes={**topic.attributes, "Policy": text}))


def _check_given(request: api.AddPermissionInput) -> None:
    given = {"Label": request.label, "AWSAccountId": request.aws_account_id, "ActionName": request.action_name}
    for name, value in given.items():
        if not value:
            # That each is needed is the model's; the text is not known.
            raise invalid_parameter(name)


def _principal(account: str) -> str:
    """Return an account as policies name it; everyone, and an ARN, are names already."""
    if account == "*" or account.startswith("arn:"):
        return account
    if _ACCOUNT.fullmatch(account) is None:
        raise invalid_parameter("Policy Error: PrincipalNotFound")
    return f"arn:aws:iam::{account}:root"


def _one_or_all(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
