"""Operations on permissions: statements in a queue's policy that are added and removed by their label."""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from forebay.api import sqs as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sqs import limits
from forebay.services.sqs.address import load_queue
from forebay.services.sqs.errors import invalid_value, missing_parameter
from forebay.services.sqs.queue import QUEUE, Queue

# Those that a policy statement of AddPermission may name (API reference, AddPermission).
_ACTIONS = frozenset(
    {
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    }
)
_ACCOUNT_DIGITS = 12
_LABEL = re.compile("[A-Za-z0-9_-]{1,80}")


@operation
def add_permission(call: Call, request: api.AddPermissionRequest) -> None:
    """Allow accounts some actions on a queue, by a statement of its policy that bears the label.

    Policies are kept and shown; they are not enforced.
    """
    key, queue = load_queue(call, request.queue_url)
    _check(request)
    policy = _policy(queue)
    statements: list[dict[str, Any]] = policy["Statement"]
    if any(statement.get("Sid") == request.label for statement in statements):
        raise invalid_value(request.label, "Label", "Already exists.")
    principals = [f"arn:aws:iam::{account}:root" for account in request.aws_account_ids]
    statement = {
        "Sid": request.label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all(principals)},
        "Action": _one_or_all([f"SQS:{action}" for action in request.actions]),
        "Resource": queue.arn(),
    }
    _put_policy(call, key, queue, {**policy, "Statement": [*statements, statement]})


@operation
def remove_permission(call: Call, request: api.RemovePermissionRequest) -> None:
    """Remove the statement that bears the label from a queue's policy."""
    key, queue = load_queue(call, request.queue_url)
    policy = _policy(queue)
    statements: list[dict[str, Any]] = policy["Statement"]
    rest = [statement for statement in statements if statement.get("Sid") != request.label]
    if len(rest) == len(statements):
        raise invalid_value(request.label, "Label", "can't find label on existing policy.")
    _put_policy(call, key, queue, {**policy, "Statement": rest} if rest else None)


def _check(request: api.AddPermissionRequest) -> None:
    given = {"Label": request.label, "Actions": request.actions, "AWSAccountIds": request.aws_account_ids}
    for name, value in given.items():
        if not value:
            raise missing_parameter(name)
    _check_label(request.label)
    if len(request.actions) > limits.PERMISSION_ACTIONS_MAX:
        raise api.OverLimit(f"{len(request.actions)} Actions were found, maximum allowed is 7.")
    for action in request.actions:
        if action not in _ACTIONS:
            reason = "Please refer to the appropriate WSDL for a list of valid actions."
            raise invalid_value(f"SQS:{action}", "ActionName", reason)
    for account in request.aws_account_ids:
        if not (account.isdecimal() and len(account) == _ACCOUNT_DIGITS):
            raise invalid_value(f"[{account}]", "PrincipalId", "Unable to verify principal.")


def _check_label(label: str) -> None:
    if _LABEL.fullmatch(label) is None:
        # The rule is documented (AddPermission, API reference), the text is not.
        reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        raise invalid_value(label, "Label", reason)


def _policy(queue: Queue) -> dict[str, Any]:
    if queue.policy is None:
        return {"Version": "2008-10-17", "Id": f"{queue.arn()}/SQSDefaultPolicy", "Statement": []}
    policy: dict[str, Any] = json.loads(queue.policy)
    statements = policy.get("Statement", [])
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _put_policy(call: Call, key: str, queue: Queue, policy: dict[str, Any] | None) -> None:
    text = None if policy is None else json.dumps(policy, separators=(",", ":"))
    call.records.put(QUEUE, key, msgspec.structs.replace(queue, policy=text, modified_at=int(call.now)))


def _one_or_all(values: Sequence[str]) -> str | Sequence[str]:
    return values[0] if len(values) == 1 else values
