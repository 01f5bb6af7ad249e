"""Operations on instance profiles."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.entity import (
    entity_key,
    list_entities,
    merge_tags,
    new_entity_id,
    page,
    path_of,
    tags_page,
    without_tags,
)
from forebay.services.iam.instance_profile import (
    INSTANCE_PROFILE,
    InstanceProfile,
    load_instance_profile,
    put_instance_profile,
)
from forebay.services.iam.role import load_role


@operation
def create_instance_profile(call: Call, request: api.CreateInstanceProfileRequest) -> api.CreateInstanceProfileResponse:
    """Create an instance profile without a role."""
    name = request.instance_profile_name
    if call.records.find(INSTANCE_PROFILE, entity_key(call, name)) is not None:
        raise api.EntityAlreadyExistsException(f"Instance Profile {name} already exists.")
    if len(list_entities(call, INSTANCE_PROFILE)) >= limits.INSTANCE_PROFILES_MAX:
        text = f"Cannot exceed quota for InstanceProfilesPerAccount: {limits.INSTANCE_PROFILES_MAX}"
        raise api.LimitExceededException(text)
    profile = InstanceProfile(
        account=call.account,
        name=name,
        path=path_of(request.path),
        profile_id=new_entity_id("AIPA", call.ids),
        created_at=float(int(call.now)),
        tags=merge_tags({}, request.tags),
    )
    put_instance_profile(call, profile)
    return api.CreateInstanceProfileResponse(instance_profile=profile.described(call))


@operation(readonly=True)
def get_instance_profile(call: Call, request: api.GetInstanceProfileRequest) -> api.GetInstanceProfileResponse:
    """Return an instance profile and its role."""
    profile = load_instance_profile(call, request.instance_profile_name)
    return api.GetInstanceProfileResponse(instance_profile=profile.described(call))


@operation(readonly=True)
def list_instance_profiles(call: Call, request: api.ListInstanceProfilesRequest) -> api.ListInstanceProfilesResponse:
    """Return the instance profiles whose path begins with a prefix, by name."""
    prefix = request.path_prefix or "/"
    profiles = [profile for profile in list_entities(call, INSTANCE_PROFILE) if profile.path.startswith(prefix)]
    found, marker = page(profiles, lambda profile: profile.name, request.marker, request.max_items)
    return api.ListInstanceProfilesResponse(
        instance_profiles=[profile.described(call) for profile in found],
        is_truncated=marker is not None,
        marker=marker,
    )


@operation(readonly=True)
def list_instance_profiles_for_role(
    call: Call, request: api.ListInstanceProfilesForRoleRequest
) -> api.ListInstanceProfilesForRoleResponse:
    """Return the instance profiles that a role is in."""
    role = load_role(call, request.role_name)
    profiles = [profile for profile in list_entities(call, INSTANCE_PROFILE) if role.name in profile.roles]
    found, marker = page(profiles, lambda profile: profile.name, request.marker, request.max_items)
    return api.ListInstanceProfilesForRoleResponse(
        instance_profiles=[profile.described(call) for profile in found],
        is_truncated=marker is not None,
        marker=marker,
    )


@operation
def add_role_to_instance_profile(call: Call, request: api.AddRoleToInstanceProfileRequest) -> None:
    """Put a role into an instance profile that has none."""
    profile = load_instance_profile(call, request.instance_profile_name)
    role = load_role(call, request.role_name)
    if len(profile.roles) >= limits.ROLES_PER_INSTANCE_PROFILE_MAX:
        quota = limits.ROLES_PER_INSTANCE_PROFILE_MAX
        raise api.LimitExceededException(f"Cannot exceed quota for InstanceSessionsPerInstanceProfile: {quota}")
    put_instance_profile(call, replace(profile, roles=(*profile.roles, role.name)))


@operation
def remove_role_from_instance_profile(call: Call, request: api.RemoveRoleFromInstanceProfileRequest) -> None:
    """Take a role out of an instance profile."""
    profile = load_instance_profile(call, request.instance_profile_name)
    role = load_role(call, request.role_name)
    if role.name not in profile.roles:
        text = f"Role with name {role.name} cannot be found in instance profile {profile.name}."
        raise api.NoSuchEntityException(text)
    put_instance_profile(call, replace(profile, roles=tuple(name for name in profile.roles if name != role.name)))


@operation
def delete_instance_profile(call: Call, request: api.DeleteInstanceProfileRequest) -> None:
    """Delete an instance profile that has no role."""
    profile = load_instance_profile(call, request.instance_profile_name)
    if profile.roles:
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise api.DeleteConflictException(text)
    call.records.delete(INSTANCE_PROFILE, entity_key(call, profile.name))


@operation
def tag_instance_profile(call: Call, request: api.TagInstanceProfileRequest) -> None:
    """Set tags of an instance profile."""
    profile = load_instance_profile(call, request.instance_profile_name)
    put_instance_profile(call, replace(profile, tags=merge_tags(profile.tags, request.tags)))


@operation
def untag_instance_profile(call: Call, request: api.UntagInstanceProfileRequest) -> None:
    """Remove tags of an instance profile."""
    profile = load_instance_profile(call, request.instance_profile_name)
    put_instance_profile(call, replace(profile, tags=without_tags(profile.tags, request.tag_keys)))


@operation(readonly=True)
def list_instance_profile_tags(
    call: Call, request: api.ListInstanceProfileTagsRequest
) -> api.ListInstanceProfileTagsResponse:
    """Return an instance profile's tags."""
    profile = load_instance_profile(call, request.instance_profile_name)
    tags, marker = tags_page(profile.tags, request.marker, request.max_items)
    return api.ListInstanceProfileTagsResponse(tags=tags, is_truncated=marker is not None, marker=marker)
