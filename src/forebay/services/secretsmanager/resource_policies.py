"""Operations on secrets' resource policies. They are stored, not enforced."""

import msgspec
from msgspec.structs import replace

from forebay.api import secretsmanager as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.secretsmanager.secret import load_live_secret, put_secret


@operation
def put_resource_policy(call: Call, request: api.PutResourcePolicyRequest) -> api.PutResourcePolicyResponse:
    """Set a secret's policy."""
    secret = load_live_secret(call, request.secret_id)
    try:
        document: object = msgspec.json.decode(request.resource_policy)
    except (msgspec.DecodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        text = "This resource policy contains a syntax error. Check your policy document for syntax errors."
        raise api.MalformedPolicyDocumentException(text)
    put_secret(call, replace(secret, policy=request.resource_policy))
    return api.PutResourcePolicyResponse(arn=secret.arn, name=secret.name)


@operation(readonly=True)
def get_resource_policy(call: Call, request: api.GetResourcePolicyRequest) -> api.GetResourcePolicyResponse:
    """Return a secret's policy, if it has one."""
    secret = load_live_secret(call, request.secret_id)
    return api.GetResourcePolicyResponse(arn=secret.arn, name=secret.name, resource_policy=secret.policy)


@operation
def delete_resource_policy(call: Call, request: api.DeleteResourcePolicyRequest) -> api.DeleteResourcePolicyResponse:
    """Remove a secret's policy."""
    secret = load_live_secret(call, request.secret_id)
    put_secret(call, replace(secret, policy=None))
    return api.DeleteResourcePolicyResponse(arn=secret.arn, name=secret.name)
