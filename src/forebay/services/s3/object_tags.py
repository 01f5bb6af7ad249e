"""Operations on objects' tags, and the one access list that an object has."""

from msgspec.structs import replace

from forebay.api import s3 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.s3 import limits
from forebay.services.s3.answer import delete_marker_error, no_such_key, no_such_version
from forebay.services.s3.bucket import load_bucket, owner_of
from forebay.services.s3.bucket_absences import owner_grants
from forebay.services.s3.object import ObjectVersion, checked_tags, tag_list
from forebay.services.s3.placement import find_version, put_version


@operation
def put_object_tagging(call: Call, request: api.PutObjectTaggingRequest) -> api.PutObjectTaggingOutput:
    """Replace an object's tags."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    version = _load_version(call, bucket.name, request.key, request.version_id)
    tags = checked_tags(request.tagging.tag_set, limits.OBJECT_TAGS_MAX)
    put_version(call, bucket.name, replace(version, tags=tags))
    return api.PutObjectTaggingOutput(version_id=version.version_id)


@operation(readonly=True)
def get_object_tagging(call: Call, request: api.GetObjectTaggingRequest) -> api.GetObjectTaggingOutput:
    """Return an object's tags; none is an empty list."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    version = _load_version(call, bucket.name, request.key, request.version_id)
    return api.GetObjectTaggingOutput(tag_set=tag_list(version.tags), version_id=version.version_id)


@operation
def delete_object_tagging(call: Call, request: api.DeleteObjectTaggingRequest) -> api.DeleteObjectTaggingOutput:
    """Remove an object's tags."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    version = _load_version(call, bucket.name, request.key, request.version_id)
    put_version(call, bucket.name, replace(version, tags={}))
    return api.DeleteObjectTaggingOutput(version_id=version.version_id)


@operation(readonly=True)
def get_object_acl(call: Call, request: api.GetObjectAclRequest) -> api.GetObjectAclOutput:
    """Return the one grant that an object has: everything to the bucket's owner."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    _load_version(call, bucket.name, request.key, request.version_id)
    return api.GetObjectAclOutput(owner=owner_of(bucket.account), grants=owner_grants(bucket.account))


def _load_version(call: Call, bucket: str, key: str, label: str | None) -> ObjectVersion:
    version = find_version(call.reader, bucket, key, label)
    if version is None:
        raise no_such_key(key) if label is None else no_such_version(key, label)
    if version.is_marker:
        raise delete_marker_error(version, is_named=label is not None)
    return version
