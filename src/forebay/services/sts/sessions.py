"""Operations that give out temporary credentials. Each is kept as an `Credential` record until it expires."""

from typing import cast

from forebay.api import iam as iam_api
from forebay.api import sts as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.credentials import CREDENTIAL, Credential
from forebay.operations.service import operation
from forebay.services.sts.session import (
    SESSION_SECONDS_DEFAULT,
    SESSION_TOKEN_SECONDS_DEFAULT,
    check_duration,
    check_session_policy,
    credentials_of,
    new_session,
    packed_policy_size,
    parse_role_arn,
    parse_web_identity,
)
from forebay.services.sts.workers import EXPIRY
from forebay.store.commands import PutTimers, Timer


@operation
async def assume_role(call: Call, request: api.AssumeRoleRequest) -> api.AssumeRoleResponse:
    """Give out credentials that act as a role. Its trust policy is not evaluated: policies are stored only."""
    arn = parse_role_arn(request.role_arn)
    check_session_policy(request.policy)
    role = await _find_role(call, arn)
    if role is None:
        # AWS does not tell a role that is not there from one that may not be assumed.
        text = f"User: {call.caller.principal} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise ServiceError.of("AccessDenied", text, 403)
    is_chained = ":assumed-role/" in call.caller.principal
    seconds = request.duration_seconds or SESSION_SECONDS_DEFAULT
    check_duration(seconds, role.max_session_duration or SESSION_SECONDS_DEFAULT, is_chained=is_chained)
    key, user = await _start_role_session(call, arn.account, role, request.role_session_name, seconds)
    return api.AssumeRoleResponse(
        credentials=credentials_of(key),
        assumed_role_user=user,
        packed_policy_size=packed_policy_size(request.policy),
        source_identity=request.source_identity,
    )


@operation
async def assume_role_with_web_identity(
    call: Call, request: api.AssumeRoleWithWebIdentityRequest
) -> api.AssumeRoleWithWebIdentityResponse:
    """Give out credentials that act as a role to the bearer of a web identity token.

    The token's claims are read but its signature is not verified, so this is refused on a node with credentials,
    where it would open the door to everybody.
    """
    if call.platform.config.credentials is not None:
        text = "AssumeRoleWithWebIdentity is not implemented on a node with credentials: tokens cannot be verified."
        raise ServiceError.of("NotImplemented", text, 501)
    arn = parse_role_arn(request.role_arn)
    check_session_policy(request.policy)
    identity = parse_web_identity(request.web_identity_token)
    if identity.expires_at is not None and identity.expires_at <= call.now:
        text = f"Token expired: current date/time {int(call.now)} must be before the expiration date/time"
        raise api.ExpiredTokenException(f"{text} {int(identity.expires_at)}")
    role = await _find_role(call, arn)
    if role is None:
        raise ServiceError.of("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    seconds = request.duration_seconds or SESSION_SECONDS_DEFAULT
    check_duration(seconds, role.max_session_duration or SESSION_SECONDS_DEFAULT, is_chained=False)
    key, user = await _start_role_session(call, arn.account, role, request.role_session_name, seconds)
    return api.AssumeRoleWithWebIdentityResponse(
        credentials=credentials_of(key),
        subject_from_web_identity_token=identity.subject,
        assumed_role_user=user,
        packed_policy_size=packed_policy_size(request.policy),
        provider=identity.issuer,
        audience=identity.audience,
    )


@operation
async def get_session_token(call: Call, request: api.GetSessionTokenRequest) -> api.GetSessionTokenResponse:
    """Give out temporary credentials for the caller itself."""
    known = await call.find(CREDENTIAL, call.caller.access_key)
    if known is not None and known.session_token is not None:
        raise ServiceError.of("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    seconds = request.duration_seconds or SESSION_TOKEN_SECONDS_DEFAULT
    user_id = known.user_id if known is not None else call.account
    key = new_session(
        call.ids, call.now, seconds, account=call.account, principal=call.caller.principal, user_id=user_id
    )
    return api.GetSessionTokenResponse(credentials=credentials_of(await _keep(call, key)))


@operation
async def get_federation_token(call: Call, request: api.GetFederationTokenRequest) -> api.GetFederationTokenResponse:
    """Give out temporary credentials for somebody whom the caller vouches for under a name."""
    known = await call.find(CREDENTIAL, call.caller.access_key)
    if known is not None and known.session_token is not None:
        raise ServiceError.of("AccessDenied", "Cannot call GetFederationToken with session credentials", 403)
    check_session_policy(request.policy)
    seconds = request.duration_seconds or SESSION_TOKEN_SECONDS_DEFAULT
    arn = str(Arn.of("sts", "", call.account, f"federated-user/{request.name}"))
    user_id = f"{call.account}:{request.name}"
    key = new_session(call.ids, call.now, seconds, account=call.account, principal=arn, user_id=user_id)
    return api.GetFederationTokenResponse(
        credentials=credentials_of(await _keep(call, key)),
        federated_user=api.FederatedUser(federated_user_id=user_id, arn=arn),
        packed_policy_size=packed_policy_size(request.policy),
    )


async def _find_role(call: Call, arn: Arn) -> iam_api.Role | None:
    """Return the role that an ARN names, path and case included, or None."""
    name = arn.resource.rsplit("/", 1)[-1]
    caller = call.caller.elsewhere(account=arn.account)
    try:
        answer = await call.platform.table.run(caller, "iam", "GetRole", iam_api.GetRoleRequest(role_name=name))
    except iam_api.NoSuchEntityException:
        return None
    role = cast("iam_api.GetRoleResponse", answer).role
    return role if role.arn == str(arn) else None


async def _start_role_session(
    call: Call, account: str, role: iam_api.Role, session_name: str, seconds: int
) -> tuple[Credential, api.AssumedRoleUser]:
    user_id = f"{role.role_id}:{session_name}"
    arn = str(Arn.of("sts", "", account, f"assumed-role/{role.role_name}/{session_name}"))
    key = new_session(call.ids, call.now, seconds, account=account, principal=arn, user_id=user_id)
    return await _keep(call, key), api.AssumedRoleUser(assumed_role_id=user_id, arn=arn)


async def _keep(call: Call, key: Credential) -> Credential:
    """Keep a key and the moment at which it is removed."""
    assert key.expires_at is not None
    timer = Timer(EXPIRY, key.access_key, int(key.expires_at * 1000), b"")

    def work(inner: Call) -> Credential:
        inner.records.put(CREDENTIAL, key.access_key, key)
        inner.apply(PutTimers((timer,)))
        return key

    return await call.transact(work)
