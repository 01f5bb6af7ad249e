"""Operations on users."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.access_key import move_access_keys, user_access_keys
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
from forebay.services.iam.policy import check_boundary
from forebay.services.iam.user import USER, User, load_user, put_user


@operation
def create_user(call: Call, request: api.CreateUserRequest) -> api.CreateUserResponse:
    """Create a user without credentials."""
    check_boundary(call, request.permissions_boundary)
    _check_free(call, request.user_name)
    if len(list_entities(call, USER)) >= limits.USERS_MAX:
        raise api.LimitExceededException(f"Cannot exceed quota for UsersPerAccount: {limits.USERS_MAX}")
    user = User(
        account=call.account,
        name=request.user_name,
        path=path_of(request.path),
        user_id=new_entity_id("AIDA", call.ids),
        created_at=float(int(call.now)),
        boundary=request.permissions_boundary,
        tags=merge_tags({}, request.tags),
    )
    put_user(call, user)
    return api.CreateUserResponse(user=user.described())


@operation(readonly=True)
def get_user(call: Call, request: api.GetUserRequest) -> api.GetUserResponse:
    """Return a user, by default the one who calls."""
    return api.GetUserResponse(user=load_user(call, request.user_name).described())


@operation(readonly=True)
def list_users(call: Call, request: api.ListUsersRequest) -> api.ListUsersResponse:
    """Return the users whose path begins with a prefix, by name."""
    prefix = request.path_prefix or "/"
    users = [user for user in list_entities(call, USER) if user.path.startswith(prefix)]
    found, marker = page(users, lambda user: user.name, request.marker, request.max_items)
    return api.ListUsersResponse(
        users=[user.listed() for user in found], is_truncated=marker is not None, marker=marker
    )


@operation
def update_user(call: Call, request: api.UpdateUserRequest) -> None:
    """Change a user's name and path; keys, groups and policies stay with the user."""
    user = load_user(call, request.user_name)
    name = request.new_user_name or user.name
    path = user.path if request.new_path is None else path_of(request.new_path)
    if name.lower() != user.name.lower():
        _check_free(call, name)
    changed = replace(user, name=name, path=path)
    move_access_keys(call, user, changed)
    call.records.delete(USER, entity_key(call, user.name))
    put_user(call, changed)


@operation
def delete_user(call: Call, request: api.DeleteUserRequest) -> None:
    """Delete a user who has no keys, policies and groups left."""
    user = load_user(call, request.user_name)
    if user_access_keys(call, user.name):
        raise api.DeleteConflictException("Cannot delete entity, must delete access keys first.")
    user.policies.check_empty()
    if user.groups:
        raise api.DeleteConflictException("Cannot delete entity, must remove users from group first.")
    call.records.delete(USER, entity_key(call, user.name))


@operation
def put_user_permissions_boundary(call: Call, request: api.PutUserPermissionsBoundaryRequest) -> None:
    """Set a user's permissions boundary."""
    user = load_user(call, request.user_name)
    check_boundary(call, request.permissions_boundary)
    put_user(call, replace(user, boundary=request.permissions_boundary))


@operation
def delete_user_permissions_boundary(call: Call, request: api.DeleteUserPermissionsBoundaryRequest) -> None:
    """Remove a user's permissions boundary."""
    user = load_user(call, request.user_name)
    if user.boundary is None:
        raise api.NoSuchEntityException(f"User {user.name} does not have a permissions boundary attached.")
    put_user(call, replace(user, boundary=None))


@operation
def tag_user(call: Call, request: api.TagUserRequest) -> None:
    """Set tags of a user."""
    user = load_user(call, request.user_name)
    put_user(call, replace(user, tags=merge_tags(user.tags, request.tags)))


@operation
def untag_user(call: Call, request: api.UntagUserRequest) -> None:
    """Remove tags of a user."""
    user = load_user(call, request.user_name)
    put_user(call, replace(user, tags=without_tags(user.tags, request.tag_keys)))


@operation(readonly=True)
def list_user_tags(call: Call, request: api.ListUserTagsRequest) -> api.ListUserTagsResponse:
    """Return a user's tags."""
    tags, marker = tags_page(load_user(call, request.user_name).tags, request.marker, request.max_items)
    return api.ListUserTagsResponse(tags=tags, is_truncated=marker is not None, marker=marker)


def _check_free(call: Call, name: str) -> None:
    if call.records.find(USER, entity_key(call, name)) is not None:
        raise api.EntityAlreadyExistsException(f"User with name {name} already exists.")
