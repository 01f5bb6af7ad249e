"""A bucket: names, who owns it, and its versioning. Bucket names are one namespace for all accounts and regions."""

import hashlib
import re
from typing import Literal

import msgspec

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.store.records import Kind

# "General purpose bucket naming rules" (S3 user guide).
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PREFIXES_RESERVED = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES_RESERVED = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Bucket(msgspec.Struct, frozen=True):
    """A bucket as it is kept. `versioning` None: it was never switched on."""

    name: str
    account: str
    region: str
    created_at: float
    versioning: Literal["Enabled", "Suspended"] | None = None

    @property
    def arn(self) -> str:
        """Its ARN, which has neither region nor account."""
        return f"arn:aws:s3:::{self.name}"


BUCKET = Kind("s3.bucket", Bucket)
"""Records under the bucket's name."""


def check_bucket_name(name: str) -> None:
    """Check a new bucket's name.

    Raises:
        ServiceError: InvalidBucketName.
    """
    is_reserved = name.startswith(_PREFIXES_RESERVED) or name.endswith(_SUFFIXES_RESERVED)
    if _NAME.fullmatch(name) is None or ".." in name or _ADDRESS.fullmatch(name) or is_reserved:
        raise ServiceError.of("InvalidBucketName", "The specified bucket is not valid.")


def checked_bucket(bucket: Bucket | None, name: str, expected_owner: str | None = None) -> Bucket:
    """Return a bucket that was found, if the caller may see it.

    Buckets of other accounts are reached as in AWS with a policy that allows it: policies are not enforced.

    Raises:
        NoSuchBucket: none was found.
        AccessDenied: it belongs to another account than expected.
    """
    if bucket is None:
        raise api.NoSuchBucket("The specified bucket does not exist", BucketName=name)
    if expected_owner is not None and expected_owner != bucket.account:
        raise api.AccessDenied("Access Denied")
    return bucket


def load_bucket(call: Call, name: str, expected_owner: str | None = None) -> Bucket:
    """Return a bucket, inside a transaction or view; raises as `checked_bucket`."""
    return checked_bucket(call.reader.find(BUCKET, name), name, expected_owner)


async def fetch_bucket(call: Call, name: str, expected_owner: str | None = None) -> Bucket:
    """Return a bucket from the cache; raises as `checked_bucket`."""
    return checked_bucket(await call.find(BUCKET, name), name, expected_owner)


def owner_of(account: str) -> api.Owner:
    """Return an account as S3 names owners: by a canonical user id."""
    return api.Owner(id=canonical_id(account))


def canonical_id(account: str) -> str:
    """Return the canonical user id of an account: 64 hexadecimal digits."""
    return hashlib.sha256(f"forebay:canonical-user:{account}".encode()).hexdigest()
