"""Operations on the versions of managed policies."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam.entity import page
from forebay.services.iam.policy import check_document, load_policy, put_policy


@operation
def create_policy_version(call: Call, request: api.CreatePolicyVersionRequest) -> api.CreatePolicyVersionResponse:
    """Add a version to a policy, as its default where asked."""
    policy = load_policy(call, request.policy_arn)
    check_document(request.policy_document)
    changed = policy.with_version(
        request.policy_document, float(int(call.now)), is_default=bool(request.set_as_default)
    )
    put_policy(call, changed)
    return api.CreatePolicyVersionResponse(policy_version=changed.versions[-1].listed(changed.default_number))


@operation(readonly=True)
def get_policy_version(call: Call, request: api.GetPolicyVersionRequest) -> api.GetPolicyVersionResponse:
    """Return a version of a policy with its document."""
    policy = load_policy(call, request.policy_arn)
    version = policy.version(request.version_id).described(policy.default_number)
    return api.GetPolicyVersionResponse(policy_version=version)


@operation(readonly=True)
def list_policy_versions(call: Call, request: api.ListPolicyVersionsRequest) -> api.ListPolicyVersionsResponse:
    """Return a policy's versions, the newest first."""
    policy = load_policy(call, request.policy_arn)
    # Keys grow from the newest to the oldest, so that pages go in that order.
    found, marker = page(
        policy.versions, lambda version: f"{1_000_000 - version.number:07d}", request.marker, request.max_items
    )
    versions = [version.listed(policy.default_number) for version in found]
    return api.ListPolicyVersionsResponse(versions=versions, is_truncated=marker is not None, marker=marker)


@operation
def set_default_policy_version(call: Call, request: api.SetDefaultPolicyVersionRequest) -> None:
    """Make a version of a policy the one in force."""
    policy = load_policy(call, request.policy_arn)
    version = policy.version(request.version_id)
    put_policy(call, replace(policy, default_number=version.number, updated_at=float(int(call.now))))


@operation
def delete_policy_version(call: Call, request: api.DeletePolicyVersionRequest) -> None:
    """Delete a version of a policy that is not the default one."""
    policy = load_policy(call, request.policy_arn)
    put_policy(call, replace(policy.without_version(request.version_id), updated_at=float(int(call.now))))
