"""Operations on the policies of groups: inline ones and attached ones."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.document import encode_document
from forebay.services.iam.entity import attached_page, page
from forebay.services.iam.group import load_group, put_group
from forebay.services.iam.policy import check_attachable


@operation
def put_group_policy(call: Call, request: api.PutGroupPolicyRequest) -> None:
    """Put an inline policy into a group, in place of one with the same name."""
    group = load_group(call, request.group_name)
    policies = group.policies.with_inline(
        f"group {group.name}", request.policy_name, request.policy_document, limits.GROUP_POLICIES_CHARACTERS_MAX
    )
    put_group(call, replace(group, policies=policies))


@operation(readonly=True)
def get_group_policy(call: Call, request: api.GetGroupPolicyRequest) -> api.GetGroupPolicyResponse:
    """Return an inline policy of a group."""
    group = load_group(call, request.group_name)
    document = group.policies.inline_document("group", request.policy_name)
    return api.GetGroupPolicyResponse(
        group_name=group.name, policy_name=request.policy_name, policy_document=encode_document(document)
    )


@operation(readonly=True)
def list_group_policies(call: Call, request: api.ListGroupPoliciesRequest) -> api.ListGroupPoliciesResponse:
    """Return the names of a group's inline policies."""
    names = list(load_group(call, request.group_name).policies.inline)
    found, marker = page(names, lambda name: name, request.marker, request.max_items)
    return api.ListGroupPoliciesResponse(policy_names=found, is_truncated=marker is not None, marker=marker)


@operation
def delete_group_policy(call: Call, request: api.DeleteGroupPolicyRequest) -> None:
    """Delete an inline policy of a group."""
    group = load_group(call, request.group_name)
    put_group(call, replace(group, policies=group.policies.without_inline("group", request.policy_name)))


@operation
def attach_group_policy(call: Call, request: api.AttachGroupPolicyRequest) -> None:
    """Attach a managed policy to a group."""
    group = load_group(call, request.group_name)
    check_attachable(call, request.policy_arn)
    put_group(call, replace(group, policies=group.policies.with_attached("group", request.policy_arn)))


@operation
def detach_group_policy(call: Call, request: api.DetachGroupPolicyRequest) -> None:
    """Detach a managed policy from a group."""
    group = load_group(call, request.group_name)
    put_group(call, replace(group, policies=group.policies.without_attached(request.policy_arn)))


@operation(readonly=True)
def list_attached_group_policies(
    call: Call, request: api.ListAttachedGroupPoliciesRequest
) -> api.ListAttachedGroupPoliciesResponse:
    """Return the managed policies attached to a group."""
    policies = load_group(call, request.group_name).policies
    found, marker = attached_page(policies, request.path_prefix, request.marker, request.max_items)
    return api.ListAttachedGroupPoliciesResponse(
        attached_policies=found, is_truncated=marker is not None, marker=marker
    )
