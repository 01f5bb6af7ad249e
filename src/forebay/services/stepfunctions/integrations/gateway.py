"""API Gateway as a task (`apigateway:invoke`): a request to an API, of this node or elsewhere.

Source: developer guide, "Create API Gateway REST APIs with Step Functions".
"""

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from forebay.operations.platform import Platform
from forebay.services.stepfunctions.execution import task_token
from forebay.services.stepfunctions.integrations.http import HttpRequest, HttpTasks, NoAnswer, answer_text
from forebay.services.stepfunctions.integrations.outcome import Begun, Done, Failed, Outcome, Task
from forebay.services.stepfunctions.integrations.sdk import unusable
from forebay.services.stepfunctions.payload import as_list, as_object
from forebay.services.stepfunctions.resource import TOKEN

_MEMBERS = frozenset({
    "ApiEndpoint", "Method", "Headers", "Stage", "Path", "QueryParameters", "RequestBody", "AllowNullValues",
    "AuthType",
})  # fmt: skip


async def invoke_api(http: HttpTasks, platform: Platform, task: Task) -> Outcome:
    """Send a request to an API; its answer is the output, if its status says that it succeeded."""
    arguments = msgspec.json.decode(task.arguments)
    given = as_object(arguments)
    faults = [f'The field "{name}" is not supported by Step Functions' for name in given if name not in _MEMBERS]
    faults += [
        f"The field '{name}' is required but was missing" for name in ("ApiEndpoint", "Method") if name not in given
    ]
    if faults or task.resource.operation != "invoke":
        return Failed("States.Runtime", unusable(task.arguments, faults), is_submit=True)
    is_submit = bool(task.resource.pattern)
    try:
        answer = await http.send(_request(platform, task, given))
    except NoAnswer as error:
        return Failed("ApiGateway.SdkClientException", str(error), is_submit)
    if answer.status >= 300:
        return Failed(f"ApiGateway.{answer.status}", answer.body.decode(errors="replace"), is_submit)
    output = answer_text(answer)
    return Begun(output) if is_submit else Done(output)


def _request(platform: Platform, task: Task, given: dict[str, Any]) -> HttpRequest:
    host = str(given["ApiEndpoint"]).removeprefix("https://").removeprefix("http://").rstrip("/")
    stage = str(given.get("Stage") or "").strip("/")
    path = str(given.get("Path") or "").strip("/")
    parts = [part for part in (stage, path) if part]
    query = [
        (name, str(item))
        for name, items in as_object(given.get("QueryParameters")).items()
        for item in (as_list(items) or [items])
    ]
    headers = {
        name: ",".join(map(str, as_list(value) or [value])) for name, value in as_object(given.get("Headers")).items()
    }
    headers["User-Agent"] = "Amazon|StepFunctions|ApiGateway"
    if task.resource.pattern == TOKEN and not any(name.lower() == "task-token" for name in headers):
        headers["Task-Token"] = task_token(task.execution, task.key)
    base = f"https://{host}"
    if ".execute-api." in host:
        # APIs of this node are told apart by their host's name.
        base, headers["Host"] = platform.endpoint(), host
    body = b""
    if "RequestBody" in given:
        body = msgspec.json.encode(given["RequestBody"])
        headers.setdefault("Content-Type", "application/json")
    url = f"{base}/{'/'.join(quote(part, safe='/%') for part in parts)}"
    if query:
        url += "?" + urlencode(query, quote_via=quote)
    return HttpRequest(str(given["Method"]), url, headers, body)
