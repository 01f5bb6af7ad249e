"""AWS Signature Version 4: who signed a request, and whether the signature is right.

Header and presigned forms, unsigned and streaming payloads. Nothing here decides what happens without a signature;
`authentication.py` does.
"""

import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from forebay.core.digests import hmac_sha256, hmac_sha256_begin, hmac_sha256_hex, sha256_hex
from forebay.core.http import Request
from forebay.wire.routing import NO_SCOPE, Scope

ALGORITHM = "AWS4-HMAC-SHA256"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+"
    r"Credential=(?P<credential>[^,\s]+)\s*,\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+)\s*,\s*"
)
_SIGNATURE = re.compile(r"[0-9a-f]+\s*")
# Longer than any SDK's: what clients can make us remember is bounded.
_KNOWN_CHARACTERS_MAX = 1024
_SPACES = re.compile(r" {2,}")


class Signature(NamedTuple):
    """What a signed request says: the scope of its key, the time, which headers are signed, and the signature."""

    scope: Scope
    timestamp: str
    signed_headers: Sequence[str]
    signature: str
    is_presigned: bool
    # Seconds for which a presigned URL is valid.
    expires_seconds: int
    security_token: str | None


_HEADER_START = "AWS4-HMAC-SHA256 Credential="


def find_scope(request: Request) -> Scope:
    """Return the scope that a request is signed for, without looking at the signature; empty where there is none."""
    header = request.headers.get("authorization")
    if header is not None and header.startswith(_HEADER_START):
        scope = _find_scope(header[len(_HEADER_START) : header.find(",")])
        if scope is not None:
            return scope
    try:
        signature = parse_signature(request)
    except ValueError:
        # The authenticator answers it, once the protocol of the answer is known.
        return NO_SCOPE
    return NO_SCOPE if signature is None else signature.scope


def parse_signature(request: Request) -> Signature | None:
    """Return the signature of a request; None where it has none.

    Raises:
        ValueError: there is one, but it is malformed; the text says how.
    """
    header = request.headers.get("authorization")
    if header is not None and header.startswith(ALGORITHM):
        return _parse_header(request, header)
    if "X-Amz-Signature=" in request.query:
        return _parse_presigned(request)
    return None


def _parse_header(request: Request, header: str) -> Signature:
    start, _, signature = header.rpartition("Signature=")
    known = len(start) <= _KNOWN_CHARACTERS_MAX
    try:
        scope, signed_headers = _known_start(start) if known else _parse_start(start)
    except ValueError as error:
        raise error if str(error) else _incomplete(request, header) from None
    if _SIGNATURE.fullmatch(signature) is None:
        raise _incomplete(request, header)
    timestamp = request.headers.get("x-amz-date") or request.headers.get("date", "")
    return Signature(
        scope,
        timestamp,
        signed_headers,
        signature.rstrip(),
        is_presigned=False,
        expires_seconds=0,
        security_token=request.headers.get("x-amz-security-token"),
    )


def _parse_start(start: str) -> tuple[Scope, Sequence[str]]:
    """Return what stands before the signature: it is the same in a client's next thousand requests."""
    match = _AUTHORIZATION.fullmatch(start)
    if match is None:
        raise ValueError
    return _parse_scope(match["credential"]), tuple(match["headers"].split(";"))


_known_start = lru_cache(maxsize=4096)(_parse_start)


def _incomplete(request: Request, header: str) -> ValueError:
    """Word what a header lacks, as AWS does: all of it, and what the header was."""
    lacks = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if f"{name}=" not in header
    ]
    if not {"x-amz-date", "date"} & request.headers.keys():
        lacks.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    return ValueError(" ".join([*lacks, f"Authorization={header}"]))


def _parse_presigned(request: Request) -> Signature:
    fields = dict(parse_qsl(request.query, keep_blank_values=True))
    try:
        expires_seconds = int(fields["X-Amz-Expires"])
        return Signature(
            _parse_scope(fields["X-Amz-Credential"]),
            fields["X-Amz-Date"],
            fields["X-Amz-SignedHeaders"].split(";"),
            fields["X-Amz-Signature"],
            is_presigned=True,
            expires_seconds=expires_seconds,
            security_token=fields.get("X-Amz-Security-Token"),
        )
    except KeyError as missing:
        raise ValueError(f"The presigned URL lacks {missing.args[0]}.") from None


@lru_cache(maxsize=4096)
def _find_scope(credential: str) -> Scope | None:
    try:
        return _parse_scope(credential)
    except ValueError:
        return None


def _parse_scope(credential: str) -> Scope:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise ValueError(f"Credential must be <access key>/<date>/<region>/<service>/aws4_request, not '{credential}'.")
    return Scope(parts[0], parts[1], parts[2], parts[3])


def is_right(request: Request, signature: Signature, secret_key: str) -> bool:
    """Return whether the signature is the one that the secret key makes; compared in constant time."""
    _, date, region, service = signature.scope
    key = _signing_key(secret_key, date, region, service)
    digest = sha256_hex(canonical_request(request, signature).encode())
    text = f"{ALGORITHM}\n{signature.timestamp}\n{date}/{region}/{service}/aws4_request\n{digest}"
    return hmac.compare_digest(hmac_sha256_hex(key, text), signature.signature)


def canonical_request(request: Request, signature: Signature) -> str:
    """Return the canonical request, as AWS's general reference defines it."""
    names = signature.signed_headers
    headers = "".join([f"{name}:{_header_value(request, name)}\n" for name in names])
    path = request.path or "/"
    # S3 signs its path as it stands, every other service encodes it once more.
    if path != "/" and signature.scope.service != "s3":
        path = quote(path, safe="/-_.~")
    query = _canonical_query(request.query, signature) if request.query else ""
    return f"{request.method}\n{path}\n{query}\n{headers}\n{';'.join(names)}\n{payload_hash(request, signature)}"


def payload_hash(request: Request, signature: Signature) -> str:
    """Return the payload's part in the signature: the header's word for it, or the hash of the body."""
    declared = request.headers.get("x-amz-content-sha256")
    if declared is not None:
        return declared
    if signature.is_presigned and signature.scope.service == "s3":
        return "UNSIGNED-PAYLOAD"
    return sha256_hex(request.body)


def has_declared_payload(request: Request) -> bool:
    """Return whether the body is the one that the signature speaks of, where it speaks of one."""
    declared = request.headers.get("x-amz-content-sha256", "")
    if len(declared) != 64:
        return True
    return hmac.compare_digest(sha256_hex(request.body), declared)


def _header_value(request: Request, name: str) -> str:
    value = request.host if name == "host" else request.headers.get(name, "")
    value = value.strip()
    return _SPACES.sub(" ", value) if "  " in value else value


def _canonical_query(query: str, signature: Signature) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if signature.is_presigned:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


@lru_cache(maxsize=1024)
def _signing_key(secret_key: str, date: str, region: str, service: str) -> hmac.HMAC:
    """Return the beginning of every signature of a key for a day, region and service."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac_sha256(key, part)
    return hmac_sha256_begin(key)
