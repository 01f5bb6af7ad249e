"""Operations on resource policies, which let services write into log groups. They are stored, not enforced."""

import msgspec

from forebay.api import logs as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.logs import limits
from forebay.store.records import Kind, key_prefix, record_key


class ResourcePolicy(msgspec.Struct, frozen=True):
    """A policy as it is kept."""

    name: str
    document: str
    updated_at_ms: int

    def described(self) -> api.ResourcePolicy:
        """Return it in AWS's form."""
        return api.ResourcePolicy(
            policy_name=self.name, policy_document=self.document, last_updated_time=self.updated_at_ms
        )


RESOURCE_POLICY = Kind("logs.resource_policy", ResourcePolicy)
"""Records under account, region and name."""


@operation
def put_resource_policy(call: Call, request: api.PutResourcePolicyRequest) -> api.PutResourcePolicyResponse:
    """Put a policy of the account, in place of one with the same name."""
    _check_scope(request.resource_arn)
    if request.policy_name is None or request.policy_document is None:
        raise api.InvalidParameterException("policyName and policyDocument must be specified.")
    try:
        msgspec.json.decode(request.policy_document)
    except (msgspec.DecodeError, RecursionError):
        raise api.InvalidParameterException("The policy document is not valid JSON.") from None
    key = record_key(call.account, call.region, request.policy_name)
    policies = call.records.list(RESOURCE_POLICY, key_prefix(call.account, call.region))
    if len(policies) >= limits.RESOURCE_POLICIES_MAX and call.records.find(RESOURCE_POLICY, key) is None:
        raise api.LimitExceededException("Resource limit exceeded.")
    policy = ResourcePolicy(request.policy_name, request.policy_document, call.now_ms)
    call.records.put(RESOURCE_POLICY, key, policy)
    return api.PutResourcePolicyResponse(resource_policy=policy.described())


@operation(readonly=True)
def describe_resource_policies(
    call: Call, request: api.DescribeResourcePoliciesRequest
) -> api.DescribeResourcePoliciesResponse:
    """Return a page of the account's policies by name."""
    _check_scope(request.resource_arn)
    policies = [policy for _, policy in call.reader.list(RESOURCE_POLICY, key_prefix(call.account, call.region))]
    try:
        limit = request.limit or limits.PAGE_GROUPS_MAX
        found, token = page_of(policies, lambda policy: policy.name, request.next_token, limit)
    except ValueError:
        raise api.InvalidParameterException("The specified nextToken is invalid.") from None
    described = [policy.described() for policy in found]
    return api.DescribeResourcePoliciesResponse(resource_policies=described, next_token=token)


@operation
def delete_resource_policy(call: Call, request: api.DeleteResourcePolicyRequest) -> None:
    """Delete a policy of the account."""
    _check_scope(request.resource_arn)
    name = request.policy_name or ""
    if not call.records.delete(RESOURCE_POLICY, record_key(call.account, call.region, name)):
        raise api.ResourceNotFoundException(f"Policy with name [{name}] does not exist.")


def _check_scope(resource_arn: str | None) -> None:
    if resource_arn is not None:
        text = "Resource policies of single log groups (resourceArn) are not implemented by Forebay."
        raise ServiceError.of("NotImplemented", text, 501)
