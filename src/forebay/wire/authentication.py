"""Who calls. On loopback without credentials any key is accepted and names its account; else a right signature is due.

A signature is always checked when its key is known: one from the credentials file, or one that STS or IAM handed out.
"""

from calendar import timegm
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from time import strptime
from typing import NamedTuple
from urllib.parse import urlsplit

from forebay.core.clock import wall_seconds
from forebay.core.errors import ServiceError
from forebay.core.http import Request
from forebay.operations.credentials import Credential
from forebay.wire.routing import NO_SCOPE, Scope
from forebay.wire.signature import Signature, has_declared_payload, is_right, parse_signature

# AWS General Reference: a request is valid for five minutes around its timestamp; S3 allows fifteen.
SKEW_SECONDS_MAX = 300
S3_SKEW_SECONDS_MAX = 900
PRESIGNED_SECONDS_MAX = 604_800

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

FindIssued = Callable[[str], Awaitable[Credential | None]]


class Identity(NamedTuple):
    """Who calls, from where the signature says: account, principal ARN, access key and the scope of the signature."""

    account: str
    principal: str
    access_key: str
    scope: Scope


class Authenticator:
    """Checks signatures against the keys that the node knows."""

    def __init__(
        self,
        configured: Mapping[str, Credential],
        find_issued: FindIssued,
        *,
        default_account: str,
        is_open: bool,
        is_issued: Callable[[str], bool] = lambda key: key.startswith(("ASIA", "AKIA")) and len(key) >= 20,
    ) -> None:
        self._configured = configured
        self._find_issued = find_issued
        self._default_account = default_account
        self._is_open = is_open
        self._is_issued = is_issued

    def identify_open(self, scope: Scope) -> Identity | None:
        """Return who calls where any key is accepted and this one is not known; None: `identify` must tell."""
        if not self._is_open or scope is NO_SCOPE or scope.access_key in self._configured:
            return None
        if self._is_issued(scope.access_key):
            return None
        return self._open_identity(scope)

    async def identify(
        self, request: Request, *, may_be_unsigned: bool = False, must_be_signed: bool = False
    ) -> Identity:
        """Return who calls; nobody in particular where the operation needs no signature and there is none.

        With `must_be_signed` there has to be a signature even where any key is good.

        Raises:
            ServiceError: the request must be signed and is not, or not rightly; in AWS's words.
        """
        try:
            signature = parse_signature(request)
        except ValueError as error:
            raise ServiceError.of("IncompleteSignature", str(error), 400) from None
        if signature is None:
            if may_be_unsigned:
                return self._open_identity(NO_SCOPE)
            if self._is_open and not must_be_signed and not _is_from_foreign_page(request):
                return self._open_identity(NO_SCOPE)
            status = 400 if must_be_signed else 403
            raise ServiceError.of("MissingAuthenticationToken", "Request is missing Authentication Token", status)
        credential = await self._find(signature.scope.access_key)
        if credential is not None:
            _check(request, signature, credential)
            return Identity(credential.account, credential.principal, credential.access_key, signature.scope)
        if self._is_open:
            return self._open_identity(signature.scope)
        raise _unknown_key(signature.scope)

    async def _find(self, access_key: str) -> Credential | None:
        known = self._configured.get(access_key)
        if known is None and self._is_issued(access_key):
            return await self._find_issued(access_key)
        return known

    def _open_identity(self, scope: Scope) -> Identity:
        return _open_identity(scope, self._default_account)


@lru_cache(maxsize=4096)
def _open_identity(scope: Scope, default_account: str) -> Identity:
    key = scope.access_key
    account = key if len(key) == 12 and key.isascii() and key.isdecimal() else default_account
    return Identity(account, f"arn:aws:iam::{account}:root", key, scope)


def _is_from_foreign_page(request: Request) -> bool:
    """Return whether a browser sends this for a page that does not come from this machine.

    A page may post a form anywhere without asking, and Query requests are forms: a page that somebody visits must not
    act on a node that is open on the same machine. What a page signs needs our leave first (CORS), which it never gets.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") == "cross-site"
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return True
    return host not in _LOCAL_HOSTS and not host.endswith(".localhost")


def _check(request: Request, signature: Signature, credential: Credential) -> None:
    service = signature.scope.service
    _check_time(signature, credential)
    if credential.session_token is not None and signature.security_token != credential.session_token:
        raise _unknown_key(signature.scope)
    if not is_right(request, signature, credential.secret_key):
        raise _wrong_signature(service)
    if not has_declared_payload(request):
        raise ServiceError.of(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )


def _check_time(signature: Signature, credential: Credential) -> None:
    # Clients sign with real time, so a frozen or stepped clock of the node has no part in this.
    now = wall_seconds()
    service = signature.scope.service
    try:
        signed_at = _parse_timestamp(signature.timestamp)
    except ValueError:
        raise ServiceError.of("IncompleteSignature", "Date must be in ISO-8601 'basic format'.", 400) from None
    if signature.is_presigned:
        if not 0 < signature.expires_seconds <= PRESIGNED_SECONDS_MAX:
            text = "X-Amz-Expires must be between 1 and 604800 seconds"
            raise ServiceError.of("AuthorizationQueryParametersError", text, 400)
        if now > signed_at + signature.expires_seconds:
            raise ServiceError.of("AccessDenied", "Request has expired", 403)
    elif abs(now - signed_at) > (S3_SKEW_SECONDS_MAX if service == "s3" else SKEW_SECONDS_MAX):
        raise _skewed(service)
    if credential.expires_at is not None and now > credential.expires_at:
        raise ServiceError.of("ExpiredToken", "The security token included in the request is expired", 403)


@lru_cache(maxsize=1024)
def _parse_timestamp(text: str) -> int:
    """Return seconds since the epoch; cached, because the requests of one second bear the same text."""
    return timegm(strptime(text, "%Y%m%dT%H%M%SZ"))


_JSON_SIGNED = frozenset(
    {"sqs", "events", "dynamodb", "states", "logs", "ssm", "secretsmanager", "lambda", "scheduler"}
)


def _wrong_signature(service: str) -> ServiceError:
    text = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )
    code = "InvalidSignatureException" if service in _JSON_SIGNED else "SignatureDoesNotMatch"
    return ServiceError.of(code, text, 403)


def _skewed(service: str) -> ServiceError:
    if service == "s3":
        text = "The difference between the request time and the current time is too large."
        return ServiceError.of("RequestTimeTooSkewed", text, 403)
    code = "InvalidSignatureException" if service in _JSON_SIGNED else "SignatureDoesNotMatch"
    return ServiceError.of(code, "Signature expired: the request time is too far from the current time.", 403)


def _unknown_key(scope: Scope) -> ServiceError:
    if scope.service == "s3":
        text = "The AWS Access Key Id you provided does not exist in our records."
        return ServiceError.of("InvalidAccessKeyId", text, 403)
    code = "UnrecognizedClientException" if scope.service in _JSON_SIGNED else "InvalidClientTokenId"
    return ServiceError.of(code, "The security token included in the request is invalid.", 403)
