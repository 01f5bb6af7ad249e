"""AWS::Pipes::Pipe."""

from typing import Any

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import any_tags, omit, pick, run_if_there, tag_changes, wait_until
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule

_ATTRIBUTES = ("Arn", "CreationTime", "CurrentState", "LastModifiedTime", "StateReason")
# What UpdatePipe empties where an empty value is given, and keeps where none is.
_EMPTIED: dict[str, Any] = {
    "Description": "",
    "Enrichment": "",
    "EnrichmentParameters": {},
    "KmsKeyIdentifier": "",
    "TargetParameters": {},
}


async def _create(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    tags = any_tags(properties)
    await site.run("pipes", "CreatePipe", {**properties, "Name": name, "Tags": tags or None})
    await site.record(Made(name))
    return await _made(site, name)


async def _update(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    emptied = {key: value for key, value in _EMPTIED.items() if key in existing.properties and key not in properties}
    params = {**emptied, **omit(properties, "Source", "Tags"), "Name": name}
    source: dict[str, Any] = properties.get("SourceParameters") or {}
    if "FilterCriteria" in (existing.properties.get("SourceParameters") or {}):
        params["SourceParameters"] = {"FilterCriteria": {"Filters": []}, **source}
    answer = await site.run("pipes", "UpdatePipe", params)
    tags, removed = tag_changes(existing.properties, properties)
    if tags:
        await site.run("pipes", "TagResource", {"resourceArn": answer["Arn"], "tags": tags})
    if removed:
        await site.run("pipes", "UntagResource", {"resourceArn": answer["Arn"], "tagKeys": removed})
    return await _made(site, name)


async def _made(site: Site, name: str) -> Made:
    """Wait until a pipe has come to its desired state, and return it."""
    shown: dict[str, Any] = {}

    async def look() -> bool:
        shown.update(await site.run("pipes", "DescribePipe", {"Name": name}))
        state = shown["CurrentState"]
        if state.endswith("_FAILED"):
            raise ServiceError.of("NotStabilized", f"Status Reason is {shown.get('StateReason') or state}")
        return state == shown["DesiredState"]

    await wait_until(site, look, f"pipe {name}")
    return Made(name, pick(shown, *_ATTRIBUTES))


async def _delete(site: Site, existing: Existing) -> None:
    params = {"Name": existing.physical_id}
    await run_if_there(site, "pipes", "DeletePipe", params)

    async def look() -> bool:
        return not await run_if_there(site, "pipes", "DescribePipe", params)

    await wait_until(site, look, f"the end of pipe {existing.physical_id}")


TYPES = (
    ResourceType(
        name="AWS::Pipes::Pipe",
        create=_create,
        update=_update,
        delete=_delete,
        naming=NameRule("Name", 64),
        without_effect=frozenset({"KmsKeyIdentifier"}),
    ),
)
