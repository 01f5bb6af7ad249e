"""AWS::CloudFormation::*: nested stacks, custom resources, wait conditions.

What answers from outside (a custom resource's function, a wait condition's signal) puts a JSON document at a presigned
URL of a bucket on this node, as on AWS; the steps here look for it.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.answers import open_answer_url, read_answer
from forebay.services.cloudformation.resources.calls import key_values, run_if_there, tag_map, wait_until
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site, keep
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.template.functions import text_of

_CUSTOM_TIMEOUT_SECONDS = 3600
_WAIT_TIMEOUT_SECONDS = 43200

# --- AWS::CloudFormation::CustomResource and Custom::* ---


async def _ask(site: Site, kind: str, properties: Properties, further: Mapping[str, Any]) -> Made:
    """Ask the function behind a custom resource and wait for what it answers.

    Raises:
        ServiceError: it answered FAILED, or not in time.
    """
    place = site.place
    key = f"custom/{place.token}/{place.logical_id}-{kind}"
    request = {
        "RequestType": kind,
        "ServiceToken": properties["ServiceToken"],
        "ResponseURL": await open_answer_url(site, key),
        "StackId": place.stack_id,
        "RequestId": place.token,
        "LogicalResourceId": place.logical_id,
        "ResourceType": place.type,
        "ResourceProperties": _texts(dict(properties)),
        **further,
    }
    payload = json.dumps(request).encode()
    if await read_answer(site, key) is None:
        params = {"FunctionName": properties["ServiceToken"], "InvocationType": "Event", "Payload": payload}
        await site.run("lambda", "Invoke", params)
    answer = await _wait_for_answer(site, key, float(properties.get("ServiceTimeout") or _CUSTOM_TIMEOUT_SECONDS))
    if answer.get("Status") != "SUCCESS":
        raise ServiceError.of(
            "GeneralServiceException",
            f"Received response status [FAILED] from custom resource. "
            f"Message returned: {answer.get('Reason', '')} (RequestId: {place.token})",
        )
    physical_id = answer.get("PhysicalResourceId") or further.get("PhysicalResourceId")
    if not physical_id:
        raise ServiceError.of("InvalidRequest", "Invalid PhysicalResourceId")
    return Made(str(physical_id), dict(answer.get("Data") or {}))


async def _wait_for_answer(site: Site, key: str, timeout_seconds: float) -> dict[str, Any]:
    deadline = site.now() + timeout_seconds
    answer: dict[str, Any] | None = None

    async def look() -> bool:
        nonlocal answer
        answer = await read_answer(site, key)
        if answer is None and site.now() >= deadline:
            text = (
                "CloudFormation did not receive a response from your Custom Resource. Please check your logs for "
                f"requestId [{site.place.token}]. If you are using the Python cfn-response module, you may need to "
                "update your Lambda function code so that CloudFormation can attach the updated version."
            )
            raise ServiceError.of("NotStabilized", text)
        return answer is not None

    await wait_until(site, look, f"the answer of custom resource {site.place.logical_id}")
    assert answer is not None
    return answer


def _texts(value: Any) -> Any:
    """Return properties as custom resources get them: every scalar is a text."""
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_texts(item) for item in cast("list[Any]", value)]
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None else str(value)


async def _create_custom(site: Site, properties: Properties) -> Made:
    return await _ask(site, "Create", properties, {})


async def _update_custom(site: Site, existing: Existing, properties: Properties) -> Made:
    further = {
        "PhysicalResourceId": existing.physical_id,
        "OldResourceProperties": _texts(existing.properties),
    }
    return await _ask(site, "Update", properties, further)


async def _delete_custom(site: Site, existing: Existing) -> None:
    await _ask(site, "Delete", existing.properties, {"PhysicalResourceId": existing.physical_id})


CUSTOM = ResourceType(
    name="AWS::CloudFormation::CustomResource",
    create=_create_custom,
    update=_update_custom,
    delete=_delete_custom,
    attributes=frozenset({"*"}),
    open_properties=True,
)

# --- AWS::CloudFormation::WaitConditionHandle and WaitCondition ---


def _handle_key(stack_id: str, name: str) -> str:
    return f"wait/{stack_id.rpartition('/')[2]}/{name}"


async def _create_handle(site: Site, _properties: Properties) -> Made:
    url = await open_answer_url(site, _handle_key(site.place.stack_id, site.place.name))
    return Made(url, {"Id": url})


async def _create_wait(site: Site, properties: Properties) -> Made:
    count = int(properties.get("Count") or 1)
    deadline = site.now() + float(properties.get("Timeout") or _WAIT_TIMEOUT_SECONDS)
    handle = str(properties.get("Handle") or "")
    key = handle.partition("?")[0].partition("/wait/")[2]
    signals: dict[str, Any] = {}

    async def look() -> bool:
        # Later signals replace earlier ones under the handle's URL; their ids tell them apart.
        answer = await read_answer(site, f"wait/{key}")
        if answer is not None:
            if answer.get("Status") == "FAILURE":
                raise ServiceError.of(
                    "GeneralServiceException",
                    f"WaitCondition received failed message: "
                    f"'{answer.get('Reason', '')}' for uniqueId: {answer.get('UniqueId', '')}",
                )
            signals[str(answer.get("UniqueId"))] = answer.get("Data")
        if len(signals) < count and site.now() >= deadline:
            text = f"WaitCondition timed out. Received {len(signals)} conditions when expecting {count}"
            raise ServiceError.of("NotStabilized", text)
        return len(signals) >= count

    await wait_until(site, look, f"wait condition {site.place.logical_id}")
    return Made(site.place.name, {"Data": json.dumps(signals), "Id": site.place.name})


# --- AWS::CloudFormation::Stack ---


def _stack_params(properties: Properties) -> dict[str, Any]:
    parameters = [
        {
            "ParameterKey": key,
            "ParameterValue": text_of(value),
        }
        for key, value in cast("dict[str, Any]", properties.get("Parameters") or {}).items()
    ]
    return {"TemplateURL": properties["TemplateURL"], "Parameters": parameters}


async def _create_stack(site: Site, properties: Properties) -> Made:
    place = site.place
    tags = {**place.tags, **tag_map(properties.get("Tags"))}
    answer = await site.run(
        "cloudformation",
        "CreateStack",
        {
            **_stack_params(properties),
            "StackName": place.name,
            "Capabilities": list(place.capabilities),
            "NotificationARNs": properties.get("NotificationARNs"),
            "TimeoutInMinutes": properties.get("TimeoutInMinutes"),
            "Tags": key_values(tags) or None,
            # The parent takes a failed child away itself.
            "OnFailure": "DO_NOTHING",
            "ClientRequestToken": place.token,
        },
    )
    await site.record(Made(answer["StackId"]))
    return await _wait_for_stack(site, answer["StackId"], "created", ("CREATE_COMPLETE",))


async def _wait_for_stack(site: Site, stack_id: str, verb: str, wanted: tuple[str, ...]) -> Made:
    stack: dict[str, Any] = {}

    async def look() -> bool:
        nonlocal stack
        (stack,) = (await site.run("cloudformation", "DescribeStacks", {"StackName": stack_id}))["Stacks"]
        return not stack["StackStatus"].endswith("IN_PROGRESS")

    await wait_until(site, look, f"stack {stack_id}")
    if stack["StackStatus"] not in wanted:
        reason = stack.get("StackStatusReason", stack["StackStatus"])
        raise ServiceError.of(
            "GeneralServiceException", f"Embedded stack {stack_id} was not successfully {verb}: {reason}"
        )
    outputs = {f"Outputs.{item['OutputKey']}": item["OutputValue"] for item in stack.get("Outputs") or ()}
    return Made(stack_id, outputs)


async def _find_stack(site: Site, _properties: Properties) -> Made | None:
    try:
        (stack,) = (await site.run("cloudformation", "DescribeStacks", {"StackName": site.place.name}))["Stacks"]
    except ServiceError:
        return None
    return await _wait_for_stack(site, stack["StackId"], "created", ("CREATE_COMPLETE",))


async def _update_stack(site: Site, existing: Existing, properties: Properties) -> Made:
    place = site.place
    tags = {**place.tags, **tag_map(properties.get("Tags"))}
    params = {
        **_stack_params(properties),
        "StackName": existing.physical_id,
        "Capabilities": list(place.capabilities),
        "Tags": key_values(tags),
    }
    try:
        await site.run("cloudformation", "UpdateStack", params)
    except ServiceError as error:
        if "No updates are to be performed" not in error.message:
            raise
    wanted = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    return await _wait_for_stack(site, existing.physical_id, "updated", wanted)


async def _delete_stack(site: Site, existing: Existing) -> None:
    stack_id = existing.physical_id
    await run_if_there(site, "cloudformation", "DeleteStack", {"StackName": stack_id})
    await _wait_for_stack(site, stack_id, "deleted", ("DELETE_COMPLETE",))


TYPES = (
    CUSTOM,
    ResourceType(
        name="AWS::CloudFormation::WaitConditionHandle",
        create=_create_handle,
        delete=keep,
        naming=NameRule("Id", 128),
    ),
    ResourceType(
        name="AWS::CloudFormation::WaitCondition",
        create=_create_wait,
        delete=keep,
        naming=NameRule("Id", 128),
    ),
    ResourceType(
        name="AWS::CloudFormation::Stack",
        create=_create_stack,
        update=_update_stack,
        delete=_delete_stack,
        find=_find_stack,
        naming=NameRule("StackName", 128, mixed_suffix=False),
        attributes=frozenset({"Outputs.*"}),
    ),
)
