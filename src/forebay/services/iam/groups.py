"""Operations on groups and who is in them."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.entity import entity_key, list_entities, new_entity_id, page, path_of
from forebay.services.iam.group import GROUP, Group, load_group, put_group
from forebay.services.iam.user import USER, User, load_user, put_user


@operation
def create_group(call: Call, request: api.CreateGroupRequest) -> api.CreateGroupResponse:
    """Create an empty group."""
    _check_free(call, request.group_name)
    if len(list_entities(call, GROUP)) >= limits.GROUPS_MAX:
        raise api.LimitExceededException(f"Cannot exceed quota for GroupsPerAccount: {limits.GROUPS_MAX}")
    group = Group(
        account=call.account,
        name=request.group_name,
        path=path_of(request.path),
        group_id=new_entity_id("AGPA", call.ids),
        created_at=float(int(call.now)),
    )
    put_group(call, group)
    return api.CreateGroupResponse(group=group.described())


@operation(readonly=True)
def get_group(call: Call, request: api.GetGroupRequest) -> api.GetGroupResponse:
    """Return a group and the users in it."""
    group = load_group(call, request.group_name)
    found, marker = page(_users_in(call, group), lambda user: user.name, request.marker, request.max_items)
    return api.GetGroupResponse(
        group=group.described(),
        users=[user.listed() for user in found],
        is_truncated=marker is not None,
        marker=marker,
    )


@operation(readonly=True)
def list_groups(call: Call, request: api.ListGroupsRequest) -> api.ListGroupsResponse:
    """Return the groups whose path begins with a prefix, by name."""
    prefix = request.path_prefix or "/"
    groups = [group for group in list_entities(call, GROUP) if group.path.startswith(prefix)]
    found, marker = page(groups, lambda group: group.name, request.marker, request.max_items)
    return api.ListGroupsResponse(
        groups=[group.described() for group in found], is_truncated=marker is not None, marker=marker
    )


@operation(readonly=True)
def list_groups_for_user(call: Call, request: api.ListGroupsForUserRequest) -> api.ListGroupsForUserResponse:
    """Return the groups that a user is in."""
    groups = [load_group(call, name) for name in load_user(call, request.user_name).groups]
    found, marker = page(groups, lambda group: group.name, request.marker, request.max_items)
    return api.ListGroupsForUserResponse(
        groups=[group.described() for group in found], is_truncated=marker is not None, marker=marker
    )


@operation
def update_group(call: Call, request: api.UpdateGroupRequest) -> None:
    """Change a group's name and path; its users and policies stay."""
    group = load_group(call, request.group_name)
    name = request.new_group_name or group.name
    path = group.path if request.new_path is None else path_of(request.new_path)
    if name.lower() != group.name.lower():
        _check_free(call, name)
    for user in _users_in(call, group):
        groups = tuple(name if each == group.name else each for each in user.groups)
        put_user(call, replace(user, groups=groups))
    call.records.delete(GROUP, entity_key(call, group.name))
    put_group(call, replace(group, name=name, path=path))


@operation
def delete_group(call: Call, request: api.DeleteGroupRequest) -> None:
    """Delete a group that has no users and policies left."""
    group = load_group(call, request.group_name)
    if _users_in(call, group):
        raise api.DeleteConflictException("Cannot delete entity, must remove users from group first.")
    group.policies.check_empty()
    call.records.delete(GROUP, entity_key(call, group.name))


@operation
def add_user_to_group(call: Call, request: api.AddUserToGroupRequest) -> None:
    """Put a user into a group; doing it again changes nothing."""
    group = load_group(call, request.group_name)
    user = load_user(call, request.user_name)
    if group.name in user.groups:
        return
    if len(user.groups) >= limits.GROUPS_PER_USER_MAX:
        raise api.LimitExceededException(f"Cannot exceed quota for GroupsPerUser: {limits.GROUPS_PER_USER_MAX}")
    put_user(call, replace(user, groups=(*user.groups, group.name)))


@operation
def remove_user_from_group(call: Call, request: api.RemoveUserFromGroupRequest) -> None:
    """Take a user out of a group."""
    group = load_group(call, request.group_name)
    user = load_user(call, request.user_name)
    put_user(call, replace(user, groups=tuple(name for name in user.groups if name != group.name)))


def _users_in(call: Call, group: Group) -> list[User]:
    return [user for user in list_entities(call, USER) if group.name in user.groups]


def _check_free(call: Call, name: str) -> None:
    if call.records.find(GROUP, entity_key(call, name)) is not None:
        raise api.EntityAlreadyExistsException(f"Group with name {name} already exists.")
