"""Operations that say who somebody is."""

from forebay.api import sts as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.credentials import CREDENTIAL, account_of
from forebay.operations.service import operation


@operation
async def get_caller_identity(call: Call, _request: api.GetCallerIdentityRequest) -> api.GetCallerIdentityResponse:
    """Return the account, ARN and id of whoever signed the request."""
    key = await call.find(CREDENTIAL, call.caller.access_key)
    if key is not None:
        return api.GetCallerIdentityResponse(user_id=key.user_id, account=key.account, arn=key.principal)
    is_root = call.caller.principal.endswith(":root")
    user_id = call.account if is_root else call.caller.access_key
    return api.GetCallerIdentityResponse(user_id=user_id, account=call.account, arn=call.caller.principal)


@operation
async def get_access_key_info(call: Call, request: api.GetAccessKeyInfoRequest) -> api.GetAccessKeyInfoResponse:
    """Return the account of an access key, which the id itself carries."""
    key = await call.find(CREDENTIAL, request.access_key_id)
    account = key.account if key is not None else account_of(request.access_key_id)
    if account is None:
        raise ServiceError.of("ValidationError", "Invalid access key ID provided")
    return api.GetAccessKeyInfoResponse(account=account)
