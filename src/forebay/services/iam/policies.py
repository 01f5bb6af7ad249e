"""Operations on managed policies."""

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
    tags_of,
    tags_page,
    without_tags,
)
from forebay.services.iam.group import GROUP, Group
from forebay.services.iam.policy import (
    POLICY,
    Policy,
    Version,
    check_document,
    count_attachments,
    count_boundaries,
    is_aws_managed,
    load_policy,
    put_policy,
)
from forebay.services.iam.role import ROLE, Role
from forebay.services.iam.user import USER, User


@operation
def create_policy(call: Call, request: api.CreatePolicyRequest) -> api.CreatePolicyResponse:
    """Create a managed policy with its first version."""
    check_document(request.policy_document)
    if call.records.find(POLICY, entity_key(call, request.policy_name)) is not None:
        text = f"A policy called {request.policy_name} already exists. Duplicate names are not allowed."
        raise api.EntityAlreadyExistsException(text)
    if len(list_entities(call, POLICY)) >= limits.POLICIES_MAX:
        raise api.LimitExceededException(f"Cannot exceed quota for PoliciesPerAccount: {limits.POLICIES_MAX}")
    now = float(int(call.now))
    policy = Policy(
        account=call.account,
        name=request.policy_name,
        path=path_of(request.path),
        policy_id=new_entity_id("ANPA", call.ids),
        created_at=now,
        updated_at=now,
        versions=(Version(1, request.policy_document, now),),
        description=request.description,
        tags=merge_tags({}, request.tags),
    )
    put_policy(call, policy)
    return api.CreatePolicyResponse(policy=replace(policy.listed(0), tags=tags_of(policy.tags) or None))


@operation(readonly=True)
def get_policy(call: Call, request: api.GetPolicyRequest) -> api.GetPolicyResponse:
    """Return a managed policy, without its document."""
    policy = load_policy(call, request.policy_arn)
    counts = count_attachments(call, policy.arn), count_boundaries(call, policy.arn)
    return api.GetPolicyResponse(policy=policy.described(*counts))


@operation(readonly=True)
def list_policies(call: Call, request: api.ListPoliciesRequest) -> api.ListPoliciesResponse:
    """Return managed policies by name. AWS's own are not listed, as only those in use are known, by ARN."""
    prefix = request.path_prefix or "/"
    policies: list[api.Policy] = []
    for policy in [] if request.scope == "AWS" else list_entities(call, POLICY):
        attachments, boundaries = count_attachments(call, policy.arn), count_boundaries(call, policy.arn)
        used = boundaries if request.policy_usage_filter == "PermissionsBoundary" else attachments
        if policy.path.startswith(prefix) and (used or not request.only_attached):
            policies.append(policy.listed(attachments, boundaries))
    found, marker = page(policies, lambda policy: policy.policy_name or "", request.marker, request.max_items)
    return api.ListPoliciesResponse(policies=found, is_truncated=marker is not None, marker=marker)


@operation
def delete_policy(call: Call, request: api.DeletePolicyRequest) -> None:
    """Delete a managed policy that nothing uses and that has no version but the default one."""
    policy = load_policy(call, request.policy_arn)
    if count_attachments(call, policy.arn) or count_boundaries(call, policy.arn):
        raise api.DeleteConflictException("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        text = (
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy."
        )
        raise api.DeleteConflictException(text)
    call.records.delete(POLICY, entity_key(call, policy.name))


@operation(readonly=True)
def list_entities_for_policy(
    call: Call, request: api.ListEntitiesForPolicyRequest
) -> api.ListEntitiesForPolicyResponse:
    """Return the roles, users and groups that use a policy."""
    arn = request.policy_arn
    if not is_aws_managed(arn):
        load_policy(call, arn)
    users = [
        *(("Role", role.path, role.name, role.role_id) for role in list_entities(call, ROLE) if _uses(role, request)),
        *(("User", user.path, user.name, user.user_id) for user in list_entities(call, USER) if _uses(user, request)),
        *(
            ("Group", each.path, each.name, each.group_id)
            for each in list_entities(call, GROUP)
            if _uses(each, request)
        ),
    ]
    prefix, wanted = request.path_prefix or "/", request.entity_filter
    kept = [(kind, name, id_) for kind, path, name, id_ in users if path.startswith(prefix) and wanted in (None, kind)]
    found, marker = page(kept, lambda row: f"{row[0]}/{row[1]}", request.marker, request.max_items)
    return api.ListEntitiesForPolicyResponse(
        policy_roles=[api.PolicyRole(role_name=name, role_id=id_) for kind, name, id_ in found if kind == "Role"],
        policy_users=[api.PolicyUser(user_name=name, user_id=id_) for kind, name, id_ in found if kind == "User"],
        policy_groups=[api.PolicyGroup(group_name=name, group_id=id_) for kind, name, id_ in found if kind == "Group"],
        is_truncated=marker is not None,
        marker=marker,
    )


@operation
def tag_policy(call: Call, request: api.TagPolicyRequest) -> None:
    """Set tags of a managed policy."""
    policy = load_policy(call, request.policy_arn)
    put_policy(call, replace(policy, tags=merge_tags(policy.tags, request.tags)))


@operation
def untag_policy(call: Call, request: api.UntagPolicyRequest) -> None:
    """Remove tags of a managed policy."""
    policy = load_policy(call, request.policy_arn)
    put_policy(call, replace(policy, tags=without_tags(policy.tags, request.tag_keys)))


@operation(readonly=True)
def list_policy_tags(call: Call, request: api.ListPolicyTagsRequest) -> api.ListPolicyTagsResponse:
    """Return a managed policy's tags."""
    tags, marker = tags_page(load_policy(call, request.policy_arn).tags, request.marker, request.max_items)
    return api.ListPolicyTagsResponse(tags=tags, is_truncated=marker is not None, marker=marker)


def _uses(entity: Role | User | Group, request: api.ListEntitiesForPolicyRequest) -> bool:
    is_attached = request.policy_arn in entity.policies.attached
    is_boundary = not isinstance(entity, Group) and entity.boundary == request.policy_arn
    if request.policy_usage_filter is None:
        return is_attached or is_boundary
    return is_boundary if request.policy_usage_filter == "PermissionsBoundary" else is_attached
