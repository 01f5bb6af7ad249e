"""What a session is made of: pure rules on roles' ARNs, durations, session policies and web identity tokens."""

import base64
import binascii
from typing import Any, cast

import msgspec

from forebay.api import sts as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.operations.credentials import Credential, new_access_key_id, new_secret_key

SESSION_SECONDS_DEFAULT = 3600
SESSION_TOKEN_SECONDS_DEFAULT = 43_200
# "Role chaining limits your AWS CLI or AWS API role session to a maximum of one hour" (IAM user guide).
CHAINED_SECONDS_MAX = 3600
# 2,048 characters of session policy in plain text are the most that AWS packs.
_POLICY_CHARACTERS_MAX = 2048
_TOKEN_BYTES = 120


class WebIdentity(msgspec.Struct, frozen=True):
    """What is needed of an OpenID Connect token's claims."""

    subject: str
    issuer: str
    audience: str
    expires_at: float | None


def parse_role_arn(text: str) -> Arn:
    """Take a role's ARN apart.

    Raises:
        ServiceError: ValidationError, it is not an IAM role's ARN.
    """
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise ServiceError.of("ValidationError", f"{text} is invalid") from None
    if arn.service != "iam" or not arn.resource.startswith("role/") or not arn.account.isdecimal():
        raise ServiceError.of("ValidationError", f"{text} is invalid")
    return arn


def check_duration(seconds: int, role_seconds_max: int, *, is_chained: bool) -> None:
    """Check how long a role's session shall last.

    Raises:
        ServiceError: ValidationError, longer than the role or role chaining allows.
    """
    if is_chained and seconds > CHAINED_SECONDS_MAX:
        text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise ServiceError.of("ValidationError", text)
    if seconds > role_seconds_max:
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise ServiceError.of("ValidationError", text)


def check_session_policy(policy: str | None) -> None:
    """Check that a session policy is a JSON object and not too large. It is not kept: policies are not enforced.

    Raises:
        MalformedPolicyDocumentException: it is no JSON object.
        PackedPolicyTooLargeException: it has more than 2,048 characters.
    """
    if policy is None:
        return
    if len(policy) > _POLICY_CHARACTERS_MAX:
        percent = len(policy) * 100 // _POLICY_CHARACTERS_MAX
        raise api.PackedPolicyTooLargeException(
            f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
        )
    try:
        document = msgspec.json.decode(policy)
    except (msgspec.DecodeError, RecursionError):
        raise api.MalformedPolicyDocumentException("This policy contains invalid Json") from None
    if not isinstance(document, dict):
        raise api.MalformedPolicyDocumentException("Syntax errors in policy.")


def packed_policy_size(policy: str | None) -> int | None:
    """Return the share of the allowed size that a session policy takes, in percent; None without one."""
    return None if policy is None else max(1, len(policy) * 100 // _POLICY_CHARACTERS_MAX)


def new_session(ids: Ids, now: float, seconds: int, *, account: str, principal: str, user_id: str) -> Credential:
    """Return fresh temporary credentials."""
    return Credential(
        access_key=new_access_key_id("ASIA", account, ids),
        secret_key=new_secret_key(ids),
        account=account,
        principal=principal,
        user_id=user_id,
        created_at=now,
        session_token=base64.b64encode(ids.bytes(_TOKEN_BYTES)).decode(),
        # AWS's expirations are whole seconds.
        expires_at=float(int(now) + seconds),
    )


def credentials_of(key: Credential) -> api.Credentials:
    """Return temporary credentials in AWS's form."""
    assert key.session_token is not None
    assert key.expires_at is not None
    return api.Credentials(
        access_key_id=key.access_key,
        secret_access_key=key.secret_key,
        session_token=key.session_token,
        expiration=key.expires_at,
    )


def parse_web_identity(token: str) -> WebIdentity:
    """Read the claims of a JSON web token; its signature is not verified.

    Raises:
        InvalidIdentityTokenException: it is no JSON web token, or has no subject or issuer.
    """
    claims = _claims(token)
    subject, issuer = claims.get("sub"), claims.get("iss")
    if not isinstance(subject, str) or not isinstance(issuer, str):
        raise api.InvalidIdentityTokenException(
            "Missing a required claim: sub" if issuer else "Missing a required claim: iss"
        )
    audience = cast("object", claims.get("aud"))
    first = next(iter(cast("list[object]", audience)), None) if isinstance(audience, list) else audience
    expiry = claims.get("exp")
    expires_at = float(expiry) if isinstance(expiry, int | float) else None
    return WebIdentity(subject, issuer, first if isinstance(first, str) else "", expires_at)


def _claims(token: str) -> dict[str, Any]:
    malformed = api.InvalidIdentityTokenException(
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
    )
    parts = token.split(".")
    if len(parts) != 3:
        raise malformed
    try:
        claims: object = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError):
        raise malformed from None
    if not isinstance(claims, dict):
        raise malformed
    return cast("dict[str, Any]", claims)
