"""Answers from outside: JSON documents that a function or a script puts at a presigned URL of a bucket on this node."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from forebay.core.clock import wall_seconds
from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.contract import Site, is_existing, is_not_found

# The longest that a presigned URL may live.
_EXPIRES_SECONDS = 604_800


def answer_bucket(site: Site) -> str:
    """Return the bucket that answers from outside are put into."""
    return f"cloudformation-answers-{site.place.region}-{site.place.account}"


async def open_answer_url(site: Site, key: str) -> str:
    """Make sure that the bucket is there and return the URL to which the answer `key` is to be put."""
    bucket = answer_bucket(site)
    params: dict[str, Any] = {"Bucket": bucket}
    if site.place.region != "us-east-1":
        params["CreateBucketConfiguration"] = {"LocationConstraint": site.place.region}
    try:
        await site.run("s3", "CreateBucket", params)
    except ServiceError as error:
        if not is_existing(error):
            raise
    session = (await site.run("sts", "GetSessionToken", {}))["Credentials"]
    url = f"{site.place.endpoint.rstrip('/')}/{bucket}/{quote(key)}"
    return presigned_url(url, site.place.region, session, wall_seconds())


def presigned_url(url: str, region: str, session: dict[str, Any], now: float) -> str:
    """Return a URL under which anyone may put one object: Signature Version 4 in the query string."""
    parts = urlsplit(url)
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    query = urlencode(
        sorted(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": f"{session['AccessKeyId']}/{scope}",
                "X-Amz-Date": timestamp,
                "X-Amz-Expires": str(_EXPIRES_SECONDS),
                "X-Amz-Security-Token": session["SessionToken"],
                "X-Amz-SignedHeaders": "host",
            }.items()
        ),
        quote_via=quote,
        safe="",
    )
    canonical = f"PUT\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
    key = f"AWS4{session['SecretAccessKey']}".encode()
    for part in (timestamp[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{url}?{query}&X-Amz-Signature={signature}"


async def read_answer(site: Site, key: str) -> dict[str, Any] | None:
    """Return the answer put under `key`, or None while there is none."""
    try:
        answer = await site.run("s3", "GetObject", {"Bucket": answer_bucket(site), "Key": key})
    except ServiceError as error:
        if error.code in {"NoSuchKey", "NoSuchBucket"} or is_not_found(error):
            return None
        raise
    data = answer.get("Body") or b""
    text = data if isinstance(data, bytes) else base64.b64decode(data)
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise ServiceError.of("InvalidRequest", "Invalid response object: it is not JSON") from None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
