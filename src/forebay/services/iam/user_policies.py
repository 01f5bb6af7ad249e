"""Operations on the policies of users: inline ones and attached ones."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.document import encode_document
from forebay.services.iam.entity import attached_page, page
from forebay.services.iam.policy import check_attachable
from forebay.services.iam.user import load_user, put_user


@operation
def put_user_policy(call: Call, request: api.PutUserPolicyRequest) -> None:
    """Put an inline policy into a user, in place of one with the same name."""
    user = load_user(call, request.user_name)
    policies = user.policies.with_inline(
        f"user {user.name}", request.policy_name, request.policy_document, limits.USER_POLICIES_CHARACTERS_MAX
    )
    put_user(call, replace(user, policies=policies))


@operation(readonly=True)
def get_user_policy(call: Call, request: api.GetUserPolicyRequest) -> api.GetUserPolicyResponse:
    """Return an inline policy of a user."""
    user = load_user(call, request.user_name)
    document = user.policies.inline_document("user", request.policy_name)
    return api.GetUserPolicyResponse(
        user_name=user.name, policy_name=request.policy_name, policy_document=encode_document(document)
    )


@operation(readonly=True)
def list_user_policies(call: Call, request: api.ListUserPoliciesRequest) -> api.ListUserPoliciesResponse:
    """Return the names of a user's inline policies."""
    names = list(load_user(call, request.user_name).policies.inline)
    found, marker = page(names, lambda name: name, request.marker, request.max_items)
    return api.ListUserPoliciesResponse(policy_names=found, is_truncated=marker is not None, marker=marker)


@operation
def delete_user_policy(call: Call, request: api.DeleteUserPolicyRequest) -> None:
    """Delete an inline policy of a user."""
    user = load_user(call, request.user_name)
    put_user(call, replace(user, policies=user.policies.without_inline("user", request.policy_name)))


@operation
def attach_user_policy(call: Call, request: api.AttachUserPolicyRequest) -> None:
    """Attach a managed policy to a user."""
    user = load_user(call, request.user_name)
    check_attachable(call, request.policy_arn)
    put_user(call, replace(user, policies=user.policies.with_attached("user", request.policy_arn)))


@operation
def detach_user_policy(call: Call, request: api.DetachUserPolicyRequest) -> None:
    """Detach a managed policy from a user."""
    user = load_user(call, request.user_name)
    put_user(call, replace(user, policies=user.policies.without_attached(request.policy_arn)))


@operation(readonly=True)
def list_attached_user_policies(
    call: Call, request: api.ListAttachedUserPoliciesRequest
) -> api.ListAttachedUserPoliciesResponse:
    """Return the managed policies attached to a user."""
    policies = load_user(call, request.user_name).policies
    found, marker = attached_page(policies, request.path_prefix, request.marker, request.max_items)
    return api.ListAttachedUserPoliciesResponse(attached_policies=found, is_truncated=marker is not None, marker=marker)
