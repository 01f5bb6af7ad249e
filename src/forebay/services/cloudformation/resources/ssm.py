"""AWS::SSM::Parameter."""

from forebay.services.cloudformation.resources.calls import any_tags, key_values, omit, run_if_there, tag_changes
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule


def _made(site: Site, name: str, properties: Properties) -> Made:
    path = name if name.startswith("/") else f"/{name}"
    arn = f"arn:aws:ssm:{site.place.region}:{site.place.account}:parameter{path}"
    return Made(name, {"Arn": arn, "Type": properties["Type"], "Value": properties["Value"]})


async def _create(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    tags = key_values(any_tags(properties))
    await site.run("ssm", "PutParameter", {**omit(properties, "Tags"), "Name": name, "Tags": tags or None})
    return _made(site, name, properties)


async def _update(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    if omit(existing.properties, "Tags") != omit(properties, "Tags"):
        await site.run("ssm", "PutParameter", {**omit(properties, "Tags"), "Name": name, "Overwrite": True})
    tags, removed = tag_changes(existing.properties, properties)
    key = {"ResourceType": "Parameter", "ResourceId": name}
    if tags:
        await site.run("ssm", "AddTagsToResource", {**key, "Tags": key_values(tags)})
    if removed:
        await site.run("ssm", "RemoveTagsFromResource", {**key, "TagKeys": removed})
    return _made(site, name, properties)


async def _delete(site: Site, existing: Existing) -> None:
    await run_if_there(site, "ssm", "DeleteParameter", {"Name": existing.physical_id})


TYPES = (
    ResourceType(
        name="AWS::SSM::Parameter",
        create=_create,
        update=_update,
        delete=_delete,
        naming=NameRule("Name", 128),
        attributes=frozenset({"Type", "Value"}),
        without_effect=frozenset({"Policies", "Tier"}),
    ),
)
