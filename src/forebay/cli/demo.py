"""`forebay up --demo`: send an example's requests (`demo.yaml` beside its template) and tell where each one went."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251 - the user's side of the wire, not the node's
from typing import Any, cast

import click
import msgspec
import yaml

from forebay.cli.client import Endpoint, answer
from forebay.cli.events import path_lines

Report = Callable[[str], None]

_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.1
# A delivery comes to one of these in the end.
_ENDS = frozenset({"delivered", "rejected", "exhausted"})


class DemoRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request: `to` is an output of the stack and a path behind it, `json` the body.

    Instead of `to`, `publish` is an output that is a topic's ARN, with `attributes` (texts) and a message `group`.
    """

    json: Any
    to: str = ""
    method: str = "POST"
    publish: str = ""
    attributes: Mapping[str, str] = {}
    group: str | None = None


class Demo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a `demo.yaml`."""

    requests: Sequence[DemoRequest]


def load_demo(template: Path) -> Demo:
    """Read the `demo.yaml` beside a template.

    Raises:
        click.ClickException: there is none, or it does not fit.
    """
    path = template.parent / "demo.yaml"
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), Demo)
    except OSError:
        raise click.ClickException(f"{template.parent} has no demo.yaml, so there is nothing to demonstrate.") from None
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise click.ClickException(f"{path} does not fit: {error}") from None


def run_demo(node: Endpoint, demo: Demo, outputs: Mapping[str, str], report: Report) -> None:
    """Send the requests one by one; report each answer and the path of what it set off.

    Raises:
        click.ClickException: a request was not accepted.
    """
    for request in demo.requests:
        body = json.dumps(request.json)
        what = f"publish on {request.publish}" if request.publish else f"{request.method} {request.to}"
        report("")
        report(f"{click.style(what, bold=True)}  {body}")
        if request.publish:
            event_ids = [_publish(node, request, _output(request.publish, outputs), body)]
        else:
            event_ids = _ids(_send(request, _address(request.to, outputs), body.encode()))
        for event_id in event_ids:
            for line in path_lines(_path(node, event_id)):
                report(f"  {line}")


def _address(to: str, outputs: Mapping[str, str]) -> str:
    name, _, path = to.partition("/")
    return f"{_output(name, outputs).rstrip('/')}/{path}"


def _output(name: str, outputs: Mapping[str, str]) -> str:
    if name not in outputs:
        raise click.ClickException(f"demo.yaml sends to {name}, which is no output of the stack.")
    return outputs[name]


def _publish(node: Endpoint, request: DemoRequest, topic: str, message: str) -> str:
    values = {name: {"DataType": "String", "StringValue": value} for name, value in request.attributes.items()}
    group = {} if request.group is None else {"MessageGroupId": request.group}
    client = node.client("sns")
    published = answer(lambda: client.publish(TopicArn=topic, Message=message, MessageAttributes=values, **group))
    return str(published["MessageId"])


def _send(request: DemoRequest, url: str, body: bytes) -> str:
    headers = {"Content-Type": "application/json"}
    sent = urllib.request.Request(url, data=body, headers=headers, method=request.method)  # noqa: S310
    try:
        with urllib.request.urlopen(sent, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")
        raise click.ClickException(f"{request.method} {url} was answered {error.code}: {text}") from None
    except OSError as error:
        raise click.ClickException(f"{request.method} {url} failed: {error}") from None


def _ids(answered: str) -> list[str]:
    """Return the ids in an answer of PutEvents or SendMessage, in JSON or in XML."""
    try:
        found = json.loads(answered)
    except ValueError:
        _, separator, rest = answered.partition("<MessageId>")
        return [rest.partition("</MessageId>")[0]] if separator else []
    if isinstance(found, dict):
        answer = cast("dict[str, Any]", found)
        if "Entries" in answer:
            return [entry["EventId"] for entry in answer["Entries"] if "EventId" in entry]
        response = answer.get("SendMessageResponse", answer)
        result = response.get("SendMessageResult", response)
        return [result["MessageId"]] if "MessageId" in result else []
    return []


def _path(node: Endpoint, event_id: str) -> Sequence[Mapping[str, Any]]:
    """Wait until the path of an event is complete, or patience ends, and return it."""
    deadline = monotonic() + _PATIENCE_SECONDS
    steps: Sequence[Mapping[str, Any]] = []
    while monotonic() < deadline:
        try:
            steps = node.control("trace", {"id": event_id})["steps"]
        except click.ClickException:
            steps = []
        if steps and _is_complete(steps):
            break
        sleep(_POLL_SECONDS)
    return steps


def _is_complete(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether everything that the path began has come to an end."""
    ended = [step for step in steps if step["what"] in _ENDS]
    # A rule that matched hands over to its targets; a function that took an event from a rule runs it next.
    awaited = {step.get("source", "") for step in steps if step["what"] == "matched"}
    awaited |= {step.get("target", "") for step in steps if step["what"] == "deferred"}
    awaited |= {
        step.get("target", "")
        for step in ended
        if _is_function(step.get("target", "")) and _is_rule(step.get("source", ""))
    }
    reached = {step.get("source", "") for step in ended}
    return awaited <= reached


def _is_function(arn: str) -> bool:
    return arn.startswith("arn:") and arn.split(":")[2] == "lambda"


def _is_rule(arn: str) -> bool:
    return arn.startswith("arn:") and arn.split(":")[2] == "events"
