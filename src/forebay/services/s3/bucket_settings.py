"""Operations on buckets' settings: versioning, tags, policy, encryption, public access, ownership.

Policies, encryption and public access settings are stored and returned, not enforced. What can not be set here (CORS,
website, lifecycle, replication ...) can be asked for and is answered as never set.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.s3 import limits
from forebay.services.s3.bucket import BUCKET, load_bucket
from forebay.services.s3.object import checked_tags, tag_list
from forebay.store.records import Kind

TAGS = Kind("s3.bucket_tags", dict[str, str])
POLICY = Kind("s3.bucket_policy", str)
ENCRYPTION = Kind("s3.bucket_encryption", api.ServerSideEncryptionConfiguration)
PUBLIC_ACCESS = Kind("s3.public_access_block", api.PublicAccessBlockConfiguration)
OWNERSHIP = Kind("s3.ownership_controls", api.OwnershipControls)

SETTINGS: Sequence[Kind[Any]] = (TAGS, POLICY, ENCRYPTION, PUBLIC_ACCESS, OWNERSHIP)
"""All records of settings, each under the bucket's name."""


@operation
def put_bucket_versioning(call: Call, request: api.PutBucketVersioningRequest) -> None:
    """Switch versioning on or, once it was on, suspend it."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    configuration = request.versioning_configuration
    if configuration.mfa_delete == "Enabled":
        raise ServiceError.of("NotImplemented", "MFA delete is not implemented by Forebay.", 501)
    match configuration.status:
        case "Enabled" | "Suspended" as status:
            call.records.put(BUCKET, bucket.name, replace(bucket, versioning=status))
        case None:
            text = "The Versioning element must be specified"
            raise ServiceError.of("IllegalVersioningConfigurationException", text)
        case _:
            raise _malformed()


@operation(readonly=True)
def get_bucket_versioning(call: Call, request: api.GetBucketVersioningRequest) -> api.GetBucketVersioningOutput:
    """Return whether versioning is on; nothing where it never was."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.GetBucketVersioningOutput(status=bucket.versioning)


@operation
def put_bucket_tagging(call: Call, request: api.PutBucketTaggingRequest) -> None:
    """Replace a bucket's tags."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    put_bucket_tags(call, bucket.name, checked_tags(request.tagging.tag_set, limits.BUCKET_TAGS_MAX))


@operation(readonly=True)
def get_bucket_tagging(call: Call, request: api.GetBucketTaggingRequest) -> api.GetBucketTaggingOutput:
    """Return a bucket's tags."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    tags = call.reader.find(TAGS, bucket.name)
    if not tags:
        raise ServiceError.of("NoSuchTagSet", "The TagSet does not exist", 404)
    return api.GetBucketTaggingOutput(tag_set=tag_list(tags))


@operation
def delete_bucket_tagging(call: Call, request: api.DeleteBucketTaggingRequest) -> None:
    """Remove a bucket's tags."""
    _delete(call, TAGS, request.bucket, request.expected_bucket_owner)


def put_bucket_tags(call: Call, bucket: str, tags: Mapping[str, str]) -> None:
    """Keep a bucket's tags."""
    call.records.put(TAGS, bucket, dict(tags))


@operation
def put_bucket_policy(call: Call, request: api.PutBucketPolicyRequest) -> None:
    """Set a bucket's policy. It is stored, not enforced."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    if len(request.policy.encode()) > limits.POLICY_BYTES_MAX:
        raise ServiceError.of("PolicyTooLarge", "Policy exceeds the maximum allowed document size.")
    try:
        document: object = msgspec.json.decode(request.policy)
    except (msgspec.DecodeError, RecursionError):
        text = "Policies must be valid JSON and the first byte must be '{'"
        raise ServiceError.of("MalformedPolicy", text) from None
    if not isinstance(document, dict):
        raise ServiceError.of("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
    if not cast("dict[str, object]", document).get("Statement"):
        raise ServiceError.of("MalformedPolicy", "Missing required field Statement")
    call.records.put(POLICY, bucket.name, request.policy)


@operation(readonly=True)
def get_bucket_policy(call: Call, request: api.GetBucketPolicyRequest) -> api.GetBucketPolicyOutput:
    """Return a bucket's policy."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    policy = call.reader.find(POLICY, bucket.name)
    if policy is None:
        raise ServiceError.of("NoSuchBucketPolicy", "The bucket policy does not exist", 404)
    return api.GetBucketPolicyOutput(policy=policy)


@operation
def delete_bucket_policy(call: Call, request: api.DeleteBucketPolicyRequest) -> None:
    """Remove a bucket's policy."""
    _delete(call, POLICY, request.bucket, request.expected_bucket_owner)


@operation
def put_bucket_encryption(call: Call, request: api.PutBucketEncryptionRequest) -> None:
    """Set a bucket's encryption rule. It is stored: bytes are kept as they are."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    configuration = request.server_side_encryption_configuration
    if not configuration.rules:
        raise _malformed()
    call.records.put(ENCRYPTION, bucket.name, configuration)


@operation(readonly=True)
def get_bucket_encryption(call: Call, request: api.GetBucketEncryptionRequest) -> api.GetBucketEncryptionOutput:
    """Return a bucket's encryption rule, if one was set."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    configuration = call.reader.find(ENCRYPTION, bucket.name)
    if configuration is None:
        text = "The server side encryption configuration was not found"
        raise ServiceError.of("ServerSideEncryptionConfigurationNotFoundError", text, 404)
    return api.GetBucketEncryptionOutput(server_side_encryption_configuration=configuration)


@operation
def delete_bucket_encryption(call: Call, request: api.DeleteBucketEncryptionRequest) -> None:
    """Remove a bucket's encryption rule."""
    _delete(call, ENCRYPTION, request.bucket, request.expected_bucket_owner)


@operation
def put_public_access_block(call: Call, request: api.PutPublicAccessBlockRequest) -> None:
    """Set a bucket's public access block. It is stored, not enforced."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    call.records.put(PUBLIC_ACCESS, bucket.name, request.public_access_block_configuration)


@operation(readonly=True)
def get_public_access_block(call: Call, request: api.GetPublicAccessBlockRequest) -> api.GetPublicAccessBlockOutput:
    """Return a bucket's public access block, if one was set."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    configuration = call.reader.find(PUBLIC_ACCESS, bucket.name)
    if configuration is None:
        text = "The public access block configuration was not found"
        raise ServiceError.of("NoSuchPublicAccessBlockConfiguration", text, 404)
    return api.GetPublicAccessBlockOutput(public_access_block_configuration=configuration)


@operation
def delete_public_access_block(call: Call, request: api.DeletePublicAccessBlockRequest) -> None:
    """Remove a bucket's public access block."""
    _delete(call, PUBLIC_ACCESS, request.bucket, request.expected_bucket_owner)


@operation
def put_bucket_ownership_controls(call: Call, request: api.PutBucketOwnershipControlsRequest) -> None:
    """Set who owns objects: only the bucket's owner can, as there are no ACLs."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    for rule in request.ownership_controls.rules:
        if rule.object_ownership != "BucketOwnerEnforced":
            text = f"Object ownership {rule.object_ownership} is not implemented by Forebay: buckets have no ACLs."
            raise ServiceError.of("NotImplemented", text, 501)
    call.records.put(OWNERSHIP, bucket.name, request.ownership_controls)


@operation(readonly=True)
def get_bucket_ownership_controls(
    call: Call, request: api.GetBucketOwnershipControlsRequest
) -> api.GetBucketOwnershipControlsOutput:
    """Return who owns objects: the bucket's owner, unless this was removed."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    controls = call.reader.find(OWNERSHIP, bucket.name)
    if controls is None:
        raise ServiceError.of("OwnershipControlsNotFoundError", "The bucket ownership controls were not found", 404)
    return api.GetBucketOwnershipControlsOutput(ownership_controls=controls)


@operation
def delete_bucket_ownership_controls(call: Call, request: api.DeleteBucketOwnershipControlsRequest) -> None:
    """Remove a bucket's ownership controls."""
    _delete(call, OWNERSHIP, request.bucket, request.expected_bucket_owner)


def _delete(call: Call, kind: Kind[Any], bucket: str, expected_owner: str | None) -> None:
    load_bucket(call, bucket, expected_owner)
    call.records.delete(kind, bucket)


def _malformed() -> ServiceError:
    text = "The XML you provided was not well-formed or did not validate against our published schema"
    return ServiceError.of("MalformedXML", text)
