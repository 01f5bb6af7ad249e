"""AWS::Scheduler::*: schedules and their groups."""

import hashlib

from forebay.services.cloudformation.resources.calls import any_tags, key_values, pick, run_if_there, tag_changes
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule

# --- AWS::Scheduler::Schedule ---


async def _create_schedule(site: Site, properties: Properties) -> Made:
    return await _put_schedule(site, "CreateSchedule", properties.get("Name") or site.place.name, properties)


async def _update_schedule(site: Site, existing: Existing, properties: Properties) -> Made:
    # The operation replaces the whole schedule, as an update of the resource does.
    return await _put_schedule(site, "UpdateSchedule", existing.physical_id, properties)


async def _put_schedule(site: Site, operation: str, name: str, properties: Properties) -> Made:
    # The token of the deployment makes a create that is resumed after a crash the same create.
    answer = await site.run("scheduler", operation, {**properties, "Name": name, "ClientToken": _token(site)})
    return Made(name, {"Arn": answer["ScheduleArn"]})


async def _delete_schedule(site: Site, existing: Existing) -> None:
    params = {"Name": existing.physical_id, **pick(existing.properties, "GroupName")}
    await run_if_there(site, "scheduler", "DeleteSchedule", params)


# --- AWS::Scheduler::ScheduleGroup ---


async def _create_group(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    tags = key_values(any_tags(properties))
    await site.run("scheduler", "CreateScheduleGroup", {"Name": name, "Tags": tags, "ClientToken": _token(site)})
    return await _group(site, name)


async def _update_group(site: Site, existing: Existing, properties: Properties) -> Made:
    arn = existing.attributes["Arn"]
    tags, removed = tag_changes(existing.properties, properties)
    if tags:
        await site.run("scheduler", "TagResource", {"ResourceArn": arn, "Tags": key_values(tags)})
    if removed:
        await site.run("scheduler", "UntagResource", {"ResourceArn": arn, "TagKeys": removed})
    return await _group(site, existing.physical_id)


async def _group(site: Site, name: str) -> Made:
    answer = await site.run("scheduler", "GetScheduleGroup", {"Name": name})
    return Made(name, pick(answer, "Arn", "CreationDate", "LastModificationDate", "State"))


async def _delete_group(site: Site, existing: Existing) -> None:
    await run_if_there(site, "scheduler", "DeleteScheduleGroup", {"Name": existing.physical_id})


def _token(site: Site) -> str:
    # Those of deployments may hold more than a client token may.
    return hashlib.sha256(f"{site.place.token} {site.place.logical_id}".encode()).hexdigest()


def _moves(old: Properties, new: Properties) -> bool:
    """Tell whether a schedule changes its group, which names it as much as its name does."""
    return (old.get("GroupName") or "default") != (new.get("GroupName") or "default")


TYPES = (
    ResourceType(
        name="AWS::Scheduler::Schedule",
        create=_create_schedule,
        update=_update_schedule,
        delete=_delete_schedule,
        naming=NameRule("Name", 64),
        without_effect=frozenset({"KmsKeyArn"}),
        replaces=_moves,
    ),
    ResourceType(
        name="AWS::Scheduler::ScheduleGroup",
        create=_create_group,
        update=_update_group,
        delete=_delete_group,
        naming=NameRule("Name", 64),
    ),
)
