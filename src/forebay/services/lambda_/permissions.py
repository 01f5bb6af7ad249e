"""Operations on functions' resource policies."""

from forebay.api import lambda_ as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import FunctionAddress, load_function, parse_address
from forebay.services.lambda_.errors import check_revision, conflict, invalid, not_found, user_error
from forebay.services.lambda_.function import LATEST
from forebay.services.lambda_.policy import POLICY, permission_statement, with_statement
from forebay.services.lambda_.resolution import load_version
from forebay.store.records import record_key


@operation
def add_permission(call: Call, request: api.AddPermissionRequest) -> api.AddPermissionResponse:
    """Add a statement to the policy of a function, a version or an alias."""
    address = _load(call, request.function_name, request.qualifier)
    if request.function_url_auth_type and request.action != "lambda:InvokeFunctionUrl":
        raise invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
    key = policy_key(address)
    policy = call.records.find(POLICY, key)
    if policy is not None:
        check_revision(request.revision_id, policy.revision)
        if policy.has(request.statement_id):
            raise conflict(
                f"The statement id ({request.statement_id}) provided already exists. "
                "Please provide a new statement id, or remove the existing statement."
            )
    statement = permission_statement(request, address.arn)
    policy = with_statement(policy, statement, call.ids.uuid())
    size = len(policy.document())
    if size > limits.POLICY_BYTES_MAX:
        text = f"The final policy size ({size}) is bigger than the limit ({limits.POLICY_BYTES_MAX})."
        raise user_error(api.PolicyLengthExceededException, text)
    call.records.put(POLICY, key, policy)
    return api.AddPermissionResponse(statement=statement.text)


@operation
def remove_permission(call: Call, request: api.RemovePermissionRequest) -> None:
    """Remove a statement from a policy."""
    address = _load(call, request.function_name, request.qualifier)
    key = policy_key(address)
    policy = call.records.find(POLICY, key)
    if policy is None:
        raise not_found("No policy is associated with the given resource.")
    check_revision(request.revision_id, policy.revision)
    if not policy.has(request.statement_id):
        raise not_found(f"Statement {request.statement_id} is not found in resource policy.")
    rest = policy.without(request.statement_id, call.ids.uuid())
    if rest is None:
        call.records.delete(POLICY, key)
    else:
        call.records.put(POLICY, key, rest)


@operation(readonly=True)
def get_policy(call: Call, request: api.GetPolicyRequest) -> api.GetPolicyResponse:
    """Return the policy document of a function, a version or an alias."""
    address = _load(call, request.function_name, request.qualifier)
    policy = call.reader.find(POLICY, policy_key(address))
    if policy is None:
        raise not_found("The resource you requested does not exist.")
    return api.GetPolicyResponse(policy=policy.document(), revision_id=policy.revision)


def policy_key(address: FunctionAddress) -> str:
    """Return the key of the policy of what an address names."""
    return record_key(address.key, address.qualifier or LATEST)


def _load(call: Call, name: str, qualifier: str | None) -> FunctionAddress:
    address = parse_address(call, name, qualifier)
    if address.qualifier == LATEST:
        raise invalid("We currently do not support adding policies for $LATEST.")
    load_version(call, address, load_function(call, address))
    return address
