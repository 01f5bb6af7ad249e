"""AWS::Lambda::Function and its code."""

import io
import zipfile
from importlib import resources
from typing import Any

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import (
    omit,
    run_if_there,
    tag_changes,
    tag_map,
    wait_until,
)
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule

# The earliest time that a zip archive can state; a constant makes the same code the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_CONFIGURATION = (
    "DeadLetterConfig",
    "Description",
    "Environment",
    "EphemeralStorage",
    "FileSystemConfigs",
    "Handler",
    "ImageConfig",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "SnapStart",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)
# What a property means when a template no longer gives it.
_CLEARED: dict[str, Any] = {
    "DeadLetterConfig": {"TargetArn": ""},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "FileSystemConfigs": [],
    "Layers": [],
    "MemorySize": 128,
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}
# Set by operations of their own, after the function is there.
_APART = ("ReservedConcurrentExecutions", "RecursiveLoop", "RuntimeManagementConfig")
_ELSEWHERE = ("Code", "Tags", "KmsKeyArn", "FunctionScalingConfig", "PublishToLatestPublished", *_APART)


def code_of(properties: Properties) -> dict[str, Any]:
    """Return the API's form of `Code`: text becomes an archive with the file that CloudFormation names `index`."""
    code = dict(properties["Code"])
    text = code.get("ZipFile")
    if text is not None:
        code["ZipFile"] = inline_archive(str(text), str(properties.get("Runtime", "")))
    return code


def inline_archive(text: str, runtime: str) -> bytes:
    """Return an archive of one source text and, as on AWS, the module that answers custom resources."""
    is_node = runtime.startswith("nodejs")
    name, module = ("index.js", "cfn-response.js") if is_node else ("index.py", "cfnresponse.py")
    # The Python one is kept as text: it is users' code, in AWS's own signature, and not a module of Forebay.
    helper = resources.files("forebay.services.cloudformation.resources") / "inline" / module.replace(".py", ".txt")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for file_name, content in ((name, text), (module, helper.read_text())):
            entry = zipfile.ZipInfo(file_name, _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return data.getvalue()


async def _create(site: Site, properties: Properties) -> Made:
    name = properties.get("FunctionName") or site.place.name
    params = omit(properties, *_ELSEWHERE)
    params |= {"FunctionName": name, "Code": code_of(properties), "KMSKeyArn": properties.get("KmsKeyArn")}
    tags = tag_map(properties.get("Tags"))
    answer = await site.run("lambda", "CreateFunction", {**params, "Tags": tags or None})
    made = _made(name, answer["FunctionArn"])
    await site.record(made)
    await wait_until_active(site, name)
    await _put_apart(site, name, {}, properties)
    return made


def _made(name: str, arn: str) -> Made:
    return Made(name, {"Arn": arn})


async def wait_until_active(site: Site, name: str) -> None:
    """Wait until a function can be invoked and its last update is over.

    Raises:
        ServiceError: it failed; the reason is the function's.
    """

    async def look() -> bool:
        state = await site.run("lambda", "GetFunctionConfiguration", {"FunctionName": name})
        if state.get("State") == "Failed" or state.get("LastUpdateStatus") == "Failed":
            reason = state.get("StateReason") or state.get("LastUpdateStatusReason") or "unknown"
            raise ServiceError.of("NotStabilized", f"Lambda function {name} failed: {reason}")
        if state.get("State") == "Active" and state.get("StateReason"):
            # Which interpreter runs it, where the host lacks the version asked for.
            site.note(state["StateReason"])
        return state.get("State") != "Pending" and state.get("LastUpdateStatus") != "InProgress"

    await wait_until(site, look, f"function {name}")


async def _put_apart(site: Site, name: str, old: Properties, new: Properties) -> None:
    reserved = new.get("ReservedConcurrentExecutions")
    if reserved is not None and reserved != old.get("ReservedConcurrentExecutions"):
        params = {"FunctionName": name, "ReservedConcurrentExecutions": reserved}
        await site.run("lambda", "PutFunctionConcurrency", params)
    elif reserved is None and old.get("ReservedConcurrentExecutions") is not None:
        await site.run("lambda", "DeleteFunctionConcurrency", {"FunctionName": name})
    loop = new.get("RecursiveLoop")
    if loop is not None and loop != old.get("RecursiveLoop"):
        await site.run("lambda", "PutFunctionRecursionConfig", {"FunctionName": name, "RecursiveLoop": loop})


async def _update(site: Site, existing: Existing, properties: Properties) -> Made:
    name, old = existing.physical_id, existing.properties
    if old.get("Code") != properties.get("Code") or old.get("Architectures") != properties.get("Architectures"):
        params = {**code_of(properties), "FunctionName": name, "Architectures": properties.get("Architectures")}
        await site.run("lambda", "UpdateFunctionCode", params)
        await wait_until_active(site, name)
    changed = {key: properties[key] for key in _CONFIGURATION if key in properties and properties[key] != old.get(key)}
    cleared = {key: value for key, value in _CLEARED.items() if key in old and key not in properties}
    if properties.get("KmsKeyArn") != old.get("KmsKeyArn"):
        changed["KMSKeyArn"] = properties.get("KmsKeyArn") or ""
    if changed or cleared:
        await site.run("lambda", "UpdateFunctionConfiguration", {"FunctionName": name, **cleared, **changed})
        await wait_until_active(site, name)
    await _put_apart(site, name, old, properties)
    arn = (await site.run("lambda", "GetFunctionConfiguration", {"FunctionName": name}))["FunctionArn"]
    tags, removed = tag_changes(old, properties)
    if tags:
        await site.run("lambda", "TagResource", {"Resource": arn, "Tags": tags})
    if removed:
        await site.run("lambda", "UntagResource", {"Resource": arn, "TagKeys": removed})
    return _made(name, arn)


async def _delete(site: Site, existing: Existing) -> None:
    await run_if_there(site, "lambda", "DeleteFunction", {"FunctionName": existing.physical_id})


FUNCTION = ResourceType(
    name="AWS::Lambda::Function",
    create=_create,
    update=_update,
    delete=_delete,
    naming=NameRule("FunctionName", 64),
    without_effect=frozenset(
        {
            "CodeSigningConfigArn",
            "FileSystemConfigs",
            "KmsKeyArn",
            "RecursiveLoop",
            "RuntimeManagementConfig",
            "SnapStart",
            "TracingConfig",
            "VpcConfig",
        }
    ),
    unsupported=frozenset({"CapacityProviderConfig", "FunctionScalingConfig", "PublishToLatestPublished"}),
)
