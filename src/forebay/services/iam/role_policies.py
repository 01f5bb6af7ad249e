"""Operations on the policies of roles: inline ones and attached ones."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.document import encode_document
from forebay.services.iam.entity import attached_page, page
from forebay.services.iam.policy import check_attachable
from forebay.services.iam.role import load_role, put_role


@operation
def put_role_policy(call: Call, request: api.PutRolePolicyRequest) -> None:
    """Put an inline policy into a role, in place of one with the same name."""
    role = load_role(call, request.role_name)
    policies = role.policies.with_inline(
        f"role {role.name}", request.policy_name, request.policy_document, limits.ROLE_POLICIES_CHARACTERS_MAX
    )
    put_role(call, replace(role, policies=policies))


@operation(readonly=True)
def get_role_policy(call: Call, request: api.GetRolePolicyRequest) -> api.GetRolePolicyResponse:
    """Return an inline policy of a role."""
    role = load_role(call, request.role_name)
    document = role.policies.inline_document("role", request.policy_name)
    return api.GetRolePolicyResponse(
        role_name=role.name, policy_name=request.policy_name, policy_document=encode_document(document)
    )


@operation(readonly=True)
def list_role_policies(call: Call, request: api.ListRolePoliciesRequest) -> api.ListRolePoliciesResponse:
    """Return the names of a role's inline policies."""
    names = list(load_role(call, request.role_name).policies.inline)
    found, marker = page(names, lambda name: name, request.marker, request.max_items)
    return api.ListRolePoliciesResponse(policy_names=found, is_truncated=marker is not None, marker=marker)


@operation
def delete_role_policy(call: Call, request: api.DeleteRolePolicyRequest) -> None:
    """Delete an inline policy of a role."""
    role = load_role(call, request.role_name)
    put_role(call, replace(role, policies=role.policies.without_inline("role", request.policy_name)))


@operation
def attach_role_policy(call: Call, request: api.AttachRolePolicyRequest) -> None:
    """Attach a managed policy to a role."""
    role = load_role(call, request.role_name)
    check_attachable(call, request.policy_arn)
    put_role(call, replace(role, policies=role.policies.with_attached("role", request.policy_arn)))


@operation
def detach_role_policy(call: Call, request: api.DetachRolePolicyRequest) -> None:
    """Detach a managed policy from a role."""
    role = load_role(call, request.role_name)
    put_role(call, replace(role, policies=role.policies.without_attached(request.policy_arn)))


@operation(readonly=True)
def list_attached_role_policies(
    call: Call, request: api.ListAttachedRolePoliciesRequest
) -> api.ListAttachedRolePoliciesResponse:
    """Return the managed policies attached to a role."""
    policies = load_role(call, request.role_name).policies
    found, marker = attached_page(policies, request.path_prefix, request.marker, request.max_items)
    return api.ListAttachedRolePoliciesResponse(attached_policies=found, is_truncated=marker is not None, marker=marker)
