"""Deploying a template to a node, as `deploy` and `up` do it: package, change set, execute, follow, outputs.

It uses CloudFormation's own operations, so what it does can be done with any other client too.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251 - the user's side of the wire, not the node's
from time import time as wall_time  # noqa: TID251 - the same
from typing import Any, cast

import click
import msgspec

from forebay.cli.addresses import local_address
from forebay.cli.client import Endpoint, answer
from forebay.cli.javascript_sdk import provide_sdk
from forebay.cli.package import package

ALLOW_IGNORED_TAG = "forebay:allow-ignored"

_BUCKET = "forebay-artifacts"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_POLL_SECONDS = 0.15
_MISSING_PARAMETERS = re.compile(r"Parameters: \[([^\]]+)\] must have values")
# After how long without news a deploy says what it waits for.
_QUIET_SECONDS = 10.0
_FAILED = ("FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_COMPLETE")

Report = Callable[[str], None]


class Deployed(msgspec.Struct, frozen=True):
    """What a deploy came to: whether anything changed, the stack's outputs, and what the user should know."""

    stack: str
    changed: bool
    outputs: Mapping[str, str]
    notices: Sequence[str]
    # The outputs whose addresses lead to AWS, with what answers here instead.
    local: Mapping[str, str] = {}

    @property
    def reachable(self) -> dict[str, str]:
        """The outputs with addresses that answer here."""
        return {**self.outputs, **self.local}


class Order(msgspec.Struct, frozen=True):
    """What to deploy, and how."""

    template: Path
    stack: str
    parameters: Mapping[str, str] = {}
    allow_ignored: bool = False
    # Where the node looks for the AWS SDK for JavaScript, if it is ours to install into.
    sdk_folder: Path | None = None


def find_template(path: Path) -> Path:
    """Return the template file that a file or folder stands for.

    Raises:
        click.ClickException: there is none.
    """
    if path.is_file():
        return path
    for name in ("template.yaml", "template.yml", "template.json"):
        if (path / name).is_file():
            return path / name
    raise click.ClickException(f"There is no template in {path}: no template.yaml, template.yml or template.json.")


def stack_name(template: Path) -> str:
    """Return the name that a template's stack has by default: its folder's, in CloudFormation's characters."""
    name = "".join(letter if letter.isalnum() else "-" for letter in template.resolve().parent.name).strip("-")
    return name if name[:1].isalpha() else f"stack-{name}"


def deploy_template(endpoint: Endpoint, order: Order, report: Report) -> Deployed:
    """Deploy a template and return when the stack is complete; `report` gets a line for each step on the way.

    Raises:
        click.ClickException: the deploy failed; the text says which resource and why.
    """
    storage = endpoint.client("s3")
    answer(lambda: storage.create_bucket(Bucket=_BUCKET))
    packaged = package(
        order.template,
        lambda key, data: cast("None", answer(lambda: storage.put_object(Bucket=_BUCKET, Key=key, Body=data))),
        bucket=_BUCKET,
        report=report,
        any_type=order.allow_ignored,
    )
    client = endpoint.client("cloudformation")
    key = f"templates/{order.stack}.json"
    answer(lambda: storage.put_object(Bucket=_BUCKET, Key=key, Body=packaged.template.encode()))
    try:
        change_set = _create_change_set(client, order, packaged.template, f"{endpoint.url}/{_BUCKET}/{key}")
    except click.ClickException as failure:
        raise _explain(failure) from None
    advice = provide_sdk(packaged.sdk_packages, order.sdk_folder, report)
    notices = [*packaged.notices, *([advice] if advice else [])]
    if change_set is None:
        stack = _describe(client, order.stack)
        return _deployed(endpoint, stack, notices, changed=False)
    seen = _event_ids(client, order.stack)
    answer(lambda: client.execute_change_set(ChangeSetName=change_set))
    stack = _follow(client, order.stack, seen, report, notices)
    return _deployed(endpoint, stack, notices, changed=True)


def _deployed(endpoint: Endpoint, stack: Mapping[str, Any], notices: list[str], *, changed: bool) -> Deployed:
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    local = {
        name: address for name, value in outputs.items() if (address := local_address(value, endpoint.url)) != value
    }
    return Deployed(stack["StackName"], changed, outputs, notices, local)


def _create_change_set(client: Any, order: Order, template: str, template_url: str) -> str | None:
    """Create the change set; return its id, or None where nothing would change."""
    stack = _find(client, order.stack)
    creates = stack is None or stack["StackStatus"] in ("REVIEW_IN_PROGRESS", *_FAILED)
    if stack is not None and stack["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        # A stack that never came up cannot be updated (CloudFormation's rule); it is made anew.
        answer(lambda: client.delete_stack(StackName=order.stack))
        answer(
            lambda: client.get_waiter("stack_delete_complete").wait(StackName=order.stack, WaiterConfig={"Delay": 1})
        )
    tags = [{"Key": ALLOW_IGNORED_TAG, "Value": "true"}] if order.allow_ignored else []
    parameters = _parameters(order, template, stack if not creates else None)
    created = answer(
        lambda: client.create_change_set(
            StackName=order.stack,
            ChangeSetName=f"deploy-{int(wall_time() * 1000)}",
            ChangeSetType="CREATE" if creates else "UPDATE",
            TemplateURL=template_url,
            Parameters=parameters,
            Capabilities=_CAPABILITIES,
            Tags=tags,
        )
    )["Id"]
    while True:
        found = answer(lambda: client.describe_change_set(ChangeSetName=created))
        if found["Status"] == "CREATE_COMPLETE":
            return created
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates" in reason:
                answer(lambda: client.delete_change_set(ChangeSetName=created))
                return None
            raise click.ClickException(f"The template does not deploy: {reason}")
        sleep(_POLL_SECONDS)


def _parameters(order: Order, template: str, stack: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a change set's parameters: those given, and for those that have no default what the stack has."""
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in order.parameters.items()]
    declared: Mapping[str, Any] = json.loads(template).get("Parameters") or {}
    known = {item["ParameterKey"] for item in (stack or {}).get("Parameters", [])}
    kept = [
        {"ParameterKey": name, "UsePreviousValue": True}
        for name, declaration in declared.items()
        if name in known and name not in order.parameters and "Default" not in declaration
    ]
    return given + kept


def _explain(failure: click.ClickException) -> click.ClickException:
    """Return a failure with what to do about it."""
    missing = _MISSING_PARAMETERS.search(failure.message)
    if missing is None:
        return failure
    options = " ".join(f"--parameter {name}=..." for name in missing[1].split(", "))
    return click.ClickException(f"{failure.message}. Give them as {options}")


def _follow(client: Any, stack: str, seen: set[str], report: Report, notices: list[str]) -> Mapping[str, Any]:
    """Report the stack's events until it is complete; return its description."""
    failures: list[str] = []
    waiting: dict[str, str] = {}
    heard_at = monotonic()
    while True:
        found = _describe(client, stack)
        for event in reversed(_events(client, stack)):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                heard_at = monotonic()
                _note_waiting(event, waiting)
                _report_event(event, report, failures, notices)
        status: str = found["StackStatus"]
        if not status.endswith("_IN_PROGRESS"):
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return found
            reasons = "; ".join(dict.fromkeys(failures)) or found.get("StackStatusReason", "")
            raise click.ClickException(f"Stack {stack} is {status}: {reasons}")
        if waiting and monotonic() - heard_at >= _QUIET_SECONDS:
            heard_at = monotonic()
            report(f"still waiting for {', '.join(waiting.values())}")
        sleep(_POLL_SECONDS)


def _note_waiting(event: Mapping[str, Any], waiting: dict[str, str]) -> None:
    """Keep of which resources an end is still to come."""
    name: str = event["LogicalResourceId"]
    if _is_of_stack(event):
        return
    if event.get("ResourceStatus", "").endswith("_IN_PROGRESS"):
        waiting[name] = f"{name} ({event['ResourceType']})"
    else:
        waiting.pop(name, None)


def _report_event(event: Mapping[str, Any], report: Report, failures: list[str], notices: list[str]) -> None:
    status: str = event.get("ResourceStatus", "")
    reason: str = event.get("ResourceStatusReason", "")
    name: str = event["LogicalResourceId"]
    if _is_of_stack(event):
        # What is no resource's fault (an output, an export) is told of the stack only.
        if reason and "ROLLBACK_IN_PROGRESS" in status and not failures:
            failures.append(reason)
        return
    if reason and status.endswith("FAILED") and "cancelled" not in reason:
        failures.append(f"{name} ({event['ResourceType']}): {reason}")
    if reason and status.endswith("_COMPLETE") and reason not in notices:
        notices.append(f"{name}: {reason}")
    if not status.endswith("_IN_PROGRESS") or "ROLLBACK" in status:
        report(f"{status:<28} {name} ({event['ResourceType']}){': ' + reason if reason else ''}")


def _is_of_stack(event: Mapping[str, Any]) -> bool:
    """Return whether an event is of the stack itself; those of nested stacks are of resources."""
    return event.get("PhysicalResourceId") == event["StackId"]


def _find(client: Any, stack: str) -> Mapping[str, Any] | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise click.ClickException(str(error)) from None


def _describe(client: Any, stack: str) -> Mapping[str, Any]:
    return answer(lambda: client.describe_stacks(StackName=stack))["Stacks"][0]


def _events(client: Any, stack: str) -> list[Mapping[str, Any]]:
    return answer(lambda: client.describe_stack_events(StackName=stack))["StackEvents"]


def _event_ids(client: Any, stack: str) -> set[str]:
    return {event["EventId"] for event in _events(client, stack)}
