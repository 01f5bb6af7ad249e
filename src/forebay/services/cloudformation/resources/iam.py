"""AWS::IAM::*: roles, users, groups, their policies, managed policies, instance profiles and access keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from forebay.services.cloudformation.resources.calls import (
    key_values,
    omit,
    pick,
    run_if_there,
    tag_changes,
)
from forebay.services.cloudformation.resources.contract import (
    Delete,
    Existing,
    Made,
    Properties,
    ResourceType,
    Site,
)
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text


@dataclass(frozen=True)
class _Principal:
    """What roles, users and groups have in common: inline and managed policies, by operations named after them."""

    noun: str

    @property
    def key(self) -> str:
        """The member that names one."""
        return f"{self.noun}Name"

    async def put_policies(self, site: Site, name: str, old: Properties, new: Properties) -> None:
        """Make the inline and attached policies those of the new properties."""
        await self._put_inline(site, name, old, new)
        before, after = set(old.get("ManagedPolicyArns") or ()), list(new.get("ManagedPolicyArns") or ())
        for arn in after:
            if arn not in before:
                await site.run("iam", f"Attach{self.noun}Policy", {self.key: name, "PolicyArn": arn})
        for arn in sorted(before - set(after)):
            await run_if_there(site, "iam", f"Detach{self.noun}Policy", {self.key: name, "PolicyArn": arn})

    async def _put_inline(self, site: Site, name: str, old: Properties, new: Properties) -> None:
        before = {item["PolicyName"]: item for item in old.get("Policies") or ()}
        after = {item["PolicyName"]: item for item in new.get("Policies") or ()}
        for policy, item in after.items():
            if before.get(policy) != item:
                await self.put_inline(site, name, policy, item["PolicyDocument"])
        for policy in before:
            if policy not in after:
                await self.delete_inline(site, name, policy)

    async def put_inline(self, site: Site, name: str, policy: str, document: object) -> None:
        """Put one inline policy."""
        params = {self.key: name, "PolicyName": policy, "PolicyDocument": json_text(document)}
        await site.run("iam", f"Put{self.noun}Policy", params)

    async def delete_inline(self, site: Site, name: str, policy: str) -> None:
        """Delete one inline policy."""
        await run_if_there(site, "iam", f"Delete{self.noun}Policy", {self.key: name, "PolicyName": policy})

    async def clear(self, site: Site, name: str) -> None:
        """Take away every policy, whoever put it: IAM deletes only what has none."""
        inline = await run_if_there(site, "iam", f"List{self.noun}Policies", {self.key: name})
        for policy in inline.get("PolicyNames", ()):
            await self.delete_inline(site, name, policy)
        attached = await run_if_there(site, "iam", f"ListAttached{self.noun}Policies", {self.key: name})
        for policy in attached.get("AttachedPolicies", ()):
            params = {self.key: name, "PolicyArn": policy["PolicyArn"]}
            await run_if_there(site, "iam", f"Detach{self.noun}Policy", params)


_ROLE, _USER, _GROUP = _Principal("Role"), _Principal("User"), _Principal("Group")
_PRINCIPALS = {"Roles": _ROLE, "Users": _USER, "Groups": _GROUP}

# --- AWS::IAM::Role ---


async def _create_role(site: Site, properties: Properties) -> Made:
    name = properties.get("RoleName") or site.place.name
    params = pick(properties, "Description", "MaxSessionDuration", "Path", "PermissionsBoundary", "Tags")
    document = json_text(properties["AssumeRolePolicyDocument"])
    answer = await site.run("iam", "CreateRole", {**params, "RoleName": name, "AssumeRolePolicyDocument": document})
    made = Made(name, {"Arn": answer["Role"]["Arn"], "RoleId": answer["Role"]["RoleId"]})
    await site.record(made)
    await _ROLE.put_policies(site, name, {}, properties)
    return made


async def _update_role(site: Site, existing: Existing, properties: Properties) -> Made:
    name, old = existing.physical_id, existing.properties
    if old.get("AssumeRolePolicyDocument") != properties["AssumeRolePolicyDocument"]:
        document = json_text(properties["AssumeRolePolicyDocument"])
        await site.run("iam", "UpdateAssumeRolePolicy", {"RoleName": name, "PolicyDocument": document})
    if any(old.get(key) != properties.get(key) for key in ("Description", "MaxSessionDuration")):
        params = {"Description": "", **pick(properties, "Description", "MaxSessionDuration")}
        await site.run("iam", "UpdateRole", {"RoleName": name, **params})
    await _put_boundary(site, "Role", name, old, properties)
    await _ROLE.put_policies(site, name, old, properties)
    await _change_tags(site, "Role", name, old, properties)
    answer = await site.run("iam", "GetRole", {"RoleName": name})
    return Made(name, {"Arn": answer["Role"]["Arn"], "RoleId": answer["Role"]["RoleId"]})


async def _put_boundary(site: Site, noun: str, name: str, old: Properties, new: Properties) -> None:
    boundary = new.get("PermissionsBoundary")
    if boundary == old.get("PermissionsBoundary"):
        return
    key = {f"{noun}Name": name}
    if boundary is None:
        await site.run("iam", f"Delete{noun}PermissionsBoundary", key)
    else:
        await site.run("iam", f"Put{noun}PermissionsBoundary", {**key, "PermissionsBoundary": boundary})


async def _change_tags(site: Site, noun: str, name: str, old: Properties, new: Properties) -> None:
    tags, removed = tag_changes(old, new)
    if tags:
        await site.run("iam", f"Tag{noun}", {f"{noun}Name": name, "Tags": key_values(tags)})
    if removed:
        await site.run("iam", f"Untag{noun}", {f"{noun}Name": name, "TagKeys": removed})


async def _delete_role(site: Site, existing: Existing) -> None:
    name = existing.physical_id
    await _ROLE.clear(site, name)
    await run_if_there(site, "iam", "DeleteRole", {"RoleName": name})


# --- AWS::IAM::User and Group ---


async def _create_user(site: Site, properties: Properties) -> Made:
    name = properties.get("UserName") or site.place.name
    params = pick(properties, "Path", "PermissionsBoundary", "Tags")
    answer = await site.run("iam", "CreateUser", {**params, "UserName": name})
    made = Made(name, {"Arn": answer["User"]["Arn"]})
    await site.record(made)
    await _USER.put_policies(site, name, {}, properties)
    for group in properties.get("Groups") or ():
        await site.run("iam", "AddUserToGroup", {"UserName": name, "GroupName": group})
    return made


async def _update_user(site: Site, existing: Existing, properties: Properties) -> Made:
    name, old = existing.physical_id, existing.properties
    await _put_boundary(site, "User", name, old, properties)
    await _USER.put_policies(site, name, old, properties)
    await _change_tags(site, "User", name, old, properties)
    before, after = set(old.get("Groups") or ()), set(properties.get("Groups") or ())
    for group in sorted(after - before):
        await site.run("iam", "AddUserToGroup", {"UserName": name, "GroupName": group})
    for group in sorted(before - after):
        await run_if_there(site, "iam", "RemoveUserFromGroup", {"UserName": name, "GroupName": group})
    return Made(name, existing.attributes)


async def _delete_user(site: Site, existing: Existing) -> None:
    name = existing.physical_id
    await _USER.clear(site, name)
    for group in existing.properties.get("Groups") or ():
        await run_if_there(site, "iam", "RemoveUserFromGroup", {"UserName": name, "GroupName": group})
    await run_if_there(site, "iam", "DeleteUser", {"UserName": name})


async def _create_group(site: Site, properties: Properties) -> Made:
    name = properties.get("GroupName") or site.place.name
    answer = await site.run("iam", "CreateGroup", {**pick(properties, "Path"), "GroupName": name})
    made = Made(name, {"Arn": answer["Group"]["Arn"]})
    await site.record(made)
    await _GROUP.put_policies(site, name, {}, properties)
    return made


async def _update_group(site: Site, existing: Existing, properties: Properties) -> Made:
    await _GROUP.put_policies(site, existing.physical_id, existing.properties, properties)
    return Made(existing.physical_id, existing.attributes)


async def _delete_group(site: Site, existing: Existing) -> None:
    await _GROUP.clear(site, existing.physical_id)
    await run_if_there(site, "iam", "DeleteGroup", {"GroupName": existing.physical_id})


# --- AWS::IAM::Policy (an inline policy of several), RolePolicy, UserPolicy, GroupPolicy ---


def _holders(properties: Properties) -> Iterable[tuple[_Principal, str]]:
    for member, principal in _PRINCIPALS.items():
        for name in properties.get(member) or ():
            yield principal, name


async def _create_policy(site: Site, properties: Properties) -> Made:
    for principal, name in _holders(properties):
        await principal.put_inline(site, name, properties["PolicyName"], properties["PolicyDocument"])
    return Made(site.place.name, {"Id": site.place.name})


async def _update_policy(site: Site, existing: Existing, properties: Properties) -> Made:
    await _create_policy(site, properties)
    same_name = existing.properties.get("PolicyName") == properties["PolicyName"]
    kept = set(_holders(properties)) if same_name else set[tuple[_Principal, str]]()
    for principal, name in _holders(existing.properties):
        if (principal, name) not in kept:
            await principal.delete_inline(site, name, existing.properties["PolicyName"])
    return Made(existing.physical_id, {"Id": existing.physical_id})


async def _delete_policy(site: Site, existing: Existing) -> None:
    for principal, name in _holders(existing.properties):
        await principal.delete_inline(site, name, existing.properties["PolicyName"])


def _single_policy(principal: _Principal) -> ResourceType:
    async def create(site: Site, properties: Properties) -> Made:
        name, policy = properties[principal.key], properties["PolicyName"]
        await principal.put_inline(site, name, policy, properties.get("PolicyDocument", {}))
        return Made(f"{policy}|{name}")

    async def update(site: Site, _existing: Existing, properties: Properties) -> Made:
        return await create(site, properties)

    async def delete(site: Site, existing: Existing) -> None:
        policy, _, name = existing.physical_id.partition("|")
        await principal.delete_inline(site, name, policy)

    return ResourceType(name=f"AWS::IAM::{principal.noun}Policy", create=create, update=update, delete=delete)


# --- AWS::IAM::ManagedPolicy ---


async def _create_managed(site: Site, properties: Properties) -> Made:
    name = properties.get("ManagedPolicyName") or site.place.name
    params = {**pick(properties, "Description", "Path"), "PolicyDocument": json_text(properties["PolicyDocument"])}
    policy = (await site.run("iam", "CreatePolicy", {**params, "PolicyName": name}))["Policy"]
    made = _managed(policy)
    await site.record(made)
    await _attach(site, policy["Arn"], {}, properties)
    return made


def _managed(policy: dict[str, Any]) -> Made:
    names = ("AttachmentCount", "CreateDate", "DefaultVersionId", "IsAttachable", "PolicyId", "UpdateDate")
    attributes = {name: policy[name] for name in names if name in policy}
    return Made(policy["Arn"], {**attributes, "PolicyArn": policy["Arn"]})


async def _attach(site: Site, arn: str, old: Properties, new: Properties) -> None:
    before, after = set(_holders(old)), list(_holders(new))
    for principal, name in after:
        if (principal, name) not in before:
            await site.run("iam", f"Attach{principal.noun}Policy", {principal.key: name, "PolicyArn": arn})
    for principal, name in before - set(after):
        params = {principal.key: name, "PolicyArn": arn}
        await run_if_there(site, "iam", f"Detach{principal.noun}Policy", params)


async def _update_managed(site: Site, existing: Existing, properties: Properties) -> Made:
    arn = existing.physical_id
    if existing.properties.get("PolicyDocument") != properties["PolicyDocument"]:
        versions = (await site.run("iam", "ListPolicyVersions", {"PolicyArn": arn})).get("Versions", [])
        old = [item["VersionId"] for item in versions if not item["IsDefaultVersion"]]
        # IAM keeps five versions at most.
        if len(versions) >= 5:
            await site.run("iam", "DeletePolicyVersion", {"PolicyArn": arn, "VersionId": old[-1]})
        document = json_text(properties["PolicyDocument"])
        params = {"PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": True}
        await site.run("iam", "CreatePolicyVersion", params)
    await _attach(site, arn, existing.properties, properties)
    return Made(arn, existing.attributes)


async def _find_managed(site: Site, properties: Properties) -> Made | None:
    name = properties.get("ManagedPolicyName") or site.place.name
    path = properties.get("Path") or "/"
    arn = f"arn:aws:iam::{site.place.account}:policy{path}{name}"
    found = await run_if_there(site, "iam", "GetPolicy", {"PolicyArn": arn})
    return _managed(found["Policy"]) if found else None


async def _delete_managed(site: Site, existing: Existing) -> None:
    arn = existing.physical_id
    holders = await run_if_there(site, "iam", "ListEntitiesForPolicy", {"PolicyArn": arn})
    for principal in _PRINCIPALS.values():
        for item in holders.get(f"Policy{principal.noun}s", ()):
            params = {principal.key: item[principal.key], "PolicyArn": arn}
            await run_if_there(site, "iam", f"Detach{principal.noun}Policy", params)
    listed = await run_if_there(site, "iam", "ListPolicyVersions", {"PolicyArn": arn})
    for version in listed.get("Versions", ()):
        if not version["IsDefaultVersion"]:
            params = {"PolicyArn": arn, "VersionId": version["VersionId"]}
            await run_if_there(site, "iam", "DeletePolicyVersion", params)
    await run_if_there(site, "iam", "DeletePolicy", {"PolicyArn": arn})


# --- AWS::IAM::InstanceProfile and AccessKey ---


async def _create_profile(site: Site, properties: Properties) -> Made:
    name = properties.get("InstanceProfileName") or site.place.name
    answer = await site.run("iam", "CreateInstanceProfile", {**pick(properties, "Path"), "InstanceProfileName": name})
    made = Made(name, {"Arn": answer["InstanceProfile"]["Arn"]})
    await site.record(made)
    for role in properties["Roles"]:
        await site.run("iam", "AddRoleToInstanceProfile", {"InstanceProfileName": name, "RoleName": role})
    return made


async def _update_profile(site: Site, existing: Existing, properties: Properties) -> Made:
    key = {"InstanceProfileName": existing.physical_id}
    for role in existing.properties.get("Roles", ()):
        if role not in properties["Roles"]:
            await run_if_there(site, "iam", "RemoveRoleFromInstanceProfile", {**key, "RoleName": role})
    for role in properties["Roles"]:
        if role not in existing.properties.get("Roles", ()):
            await site.run("iam", "AddRoleToInstanceProfile", {**key, "RoleName": role})
    return Made(existing.physical_id, existing.attributes)


async def _delete_profile(site: Site, existing: Existing) -> None:
    key = {"InstanceProfileName": existing.physical_id}
    for role in existing.properties.get("Roles", ()):
        await run_if_there(site, "iam", "RemoveRoleFromInstanceProfile", {**key, "RoleName": role})
    await run_if_there(site, "iam", "DeleteInstanceProfile", key)


async def _create_key(site: Site, properties: Properties) -> Made:
    key = (await site.run("iam", "CreateAccessKey", pick(properties, "UserName")))["AccessKey"]
    if properties.get("Status", "Active") != "Active":
        params = {**omit(properties, "Serial"), "AccessKeyId": key["AccessKeyId"]}
        await site.run("iam", "UpdateAccessKey", params)
    return Made(key["AccessKeyId"], {"Id": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]})


async def _delete_key(site: Site, existing: Existing) -> None:
    params = {"UserName": existing.properties["UserName"], "AccessKeyId": existing.physical_id}
    await run_if_there(site, "iam", "DeleteAccessKey", params)


def _named(noun: str, length_max: int, steps: tuple[Any, Any, Delete]) -> ResourceType:
    create, update, delete = steps
    rule = NameRule(f"{noun}Name", length_max)
    return ResourceType(name=f"AWS::IAM::{noun}", create=create, update=update, delete=delete, naming=rule)


TYPES = (
    _named("Role", 64, (_create_role, _update_role, _delete_role)),
    ResourceType(
        name="AWS::IAM::User",
        create=_create_user,
        update=_update_user,
        delete=_delete_user,
        naming=NameRule("UserName", 64),
        unsupported=frozenset({"LoginProfile"}),
    ),
    _named("Group", 128, (_create_group, _update_group, _delete_group)),
    _named("InstanceProfile", 128, (_create_profile, _update_profile, _delete_profile)),
    ResourceType(
        name="AWS::IAM::Policy",
        create=_create_policy,
        update=_update_policy,
        delete=_delete_policy,
        naming=NameRule("Id", 128),
    ),
    ResourceType(
        name="AWS::IAM::ManagedPolicy",
        create=_create_managed,
        update=_update_managed,
        delete=_delete_managed,
        find=_find_managed,
        naming=NameRule("ManagedPolicyName", 128),
    ),
    ResourceType(name="AWS::IAM::AccessKey", create=_create_key, delete=_delete_key),
    *(_single_policy(principal) for principal in (_ROLE, _USER, _GROUP)),
)
