"""Operations on roles."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.document import check_trust_document, count_characters
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
from forebay.services.iam.instance_profile import INSTANCE_PROFILE
from forebay.services.iam.policy import check_boundary
from forebay.services.iam.role import ROLE, SESSION_SECONDS_DEFAULT, Role, load_role, put_role


@operation
def create_role(call: Call, request: api.CreateRoleRequest) -> api.CreateRoleResponse:
    """Create a role that the trust policy's principals may assume."""
    _check_trust_policy(request.assume_role_policy_document)
    check_boundary(call, request.permissions_boundary)
    if call.records.find(ROLE, entity_key(call, request.role_name)) is not None:
        raise api.EntityAlreadyExistsException(f"Role with name {request.role_name} already exists.")
    if len(list_entities(call, ROLE)) >= limits.ROLES_MAX:
        raise api.LimitExceededException(f"Cannot exceed quota for RolesPerAccount: {limits.ROLES_MAX}")
    role = Role(
        account=call.account,
        name=request.role_name,
        path=path_of(request.path),
        role_id=new_entity_id("AROA", call.ids),
        created_at=float(int(call.now)),
        trust_policy=request.assume_role_policy_document,
        description=request.description or None,
        session_seconds_max=request.max_session_duration or SESSION_SECONDS_DEFAULT,
        boundary=request.permissions_boundary,
        tags=merge_tags({}, request.tags),
    )
    put_role(call, role)
    return api.CreateRoleResponse(role=role.created())


@operation(readonly=True)
def get_role(call: Call, request: api.GetRoleRequest) -> api.GetRoleResponse:
    """Return a role."""
    return api.GetRoleResponse(role=load_role(call, request.role_name).described())


@operation(readonly=True)
def list_roles(call: Call, request: api.ListRolesRequest) -> api.ListRolesResponse:
    """Return the roles whose path begins with a prefix, by name."""
    prefix = request.path_prefix or "/"
    roles = [role for role in list_entities(call, ROLE) if role.path.startswith(prefix)]
    found, marker = page(roles, lambda role: role.name, request.marker, request.max_items)
    return api.ListRolesResponse(
        roles=[role.listed() for role in found], is_truncated=marker is not None, marker=marker
    )


@operation
def update_role(call: Call, request: api.UpdateRoleRequest) -> api.UpdateRoleResponse:
    """Change a role's description and longest session."""
    role = load_role(call, request.role_name)
    # The empty text takes a description away.
    description = role.description if request.description is None else request.description or None
    seconds = request.max_session_duration or role.session_seconds_max
    put_role(call, replace(role, description=description, session_seconds_max=seconds))
    return api.UpdateRoleResponse()


@operation
def update_role_description(call: Call, request: api.UpdateRoleDescriptionRequest) -> api.UpdateRoleDescriptionResponse:
    """Change a role's description."""
    role = replace(load_role(call, request.role_name), description=request.description or None)
    put_role(call, role)
    return api.UpdateRoleDescriptionResponse(role=role.described())


@operation
def update_assume_role_policy(call: Call, request: api.UpdateAssumeRolePolicyRequest) -> None:
    """Replace a role's trust policy."""
    role = load_role(call, request.role_name)
    _check_trust_policy(request.policy_document)
    put_role(call, replace(role, trust_policy=request.policy_document))


@operation
def delete_role(call: Call, request: api.DeleteRoleRequest) -> None:
    """Delete a role that has no policies left and is in no instance profile."""
    role = load_role(call, request.role_name)
    if any(role.name in profile.roles for profile in list_entities(call, INSTANCE_PROFILE)):
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise api.DeleteConflictException(text)
    role.policies.check_empty()
    call.records.delete(ROLE, entity_key(call, role.name))


@operation
def put_role_permissions_boundary(call: Call, request: api.PutRolePermissionsBoundaryRequest) -> None:
    """Set a role's permissions boundary."""
    role = load_role(call, request.role_name)
    check_boundary(call, request.permissions_boundary)
    put_role(call, replace(role, boundary=request.permissions_boundary))


@operation
def delete_role_permissions_boundary(call: Call, request: api.DeleteRolePermissionsBoundaryRequest) -> None:
    """Remove a role's permissions boundary."""
    role = load_role(call, request.role_name)
    if role.boundary is None:
        raise api.NoSuchEntityException(f"Role {role.name} does not have a permissions boundary attached.")
    put_role(call, replace(role, boundary=None))


@operation
def tag_role(call: Call, request: api.TagRoleRequest) -> None:
    """Set tags of a role."""
    role = load_role(call, request.role_name)
    put_role(call, replace(role, tags=merge_tags(role.tags, request.tags)))


@operation
def untag_role(call: Call, request: api.UntagRoleRequest) -> None:
    """Remove tags of a role."""
    role = load_role(call, request.role_name)
    put_role(call, replace(role, tags=without_tags(role.tags, request.tag_keys)))


@operation(readonly=True)
def list_role_tags(call: Call, request: api.ListRoleTagsRequest) -> api.ListRoleTagsResponse:
    """Return a role's tags."""
    tags, marker = tags_page(load_role(call, request.role_name).tags, request.marker, request.max_items)
    return api.ListRoleTagsResponse(tags=tags, is_truncated=marker is not None, marker=marker)


def _check_trust_policy(document: str) -> None:
    check_trust_document(document)
    if count_characters(document) > limits.TRUST_POLICY_CHARACTERS_MAX:
        text = f"Cannot exceed quota for ACLSizePerRole: {limits.TRUST_POLICY_CHARACTERS_MAX}"
        raise api.LimitExceededException(text)
