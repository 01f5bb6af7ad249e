"""Operations on buckets: create, head, list, delete, location."""

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.s3 import limits
from forebay.services.s3.bucket import BUCKET, Bucket, check_bucket_name, fetch_bucket, load_bucket, owner_of
from forebay.services.s3.bucket_settings import SETTINGS, put_bucket_tags
from forebay.services.s3.object import checked_tags
from forebay.services.s3.placement import CURRENT, OLDER, discard
from forebay.services.s3.upload import drop_upload, list_uploads
from forebay.store.records import key_prefix

_HOME_REGION = "us-east-1"
_PRIVATE_ACLS = (None, "private")


@operation
def create_bucket(call: Call, request: api.CreateBucketRequest) -> api.CreateBucketOutput:
    """Create a bucket in the caller's region; creating one's own again succeeds in us-east-1 only."""
    check_bucket_name(request.bucket)
    region = _region_of(call, request)
    _check_unsupported(request)
    existing = call.records.find(BUCKET, request.bucket)
    if existing is not None and existing.account != call.account:
        raise api.BucketAlreadyExists(
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again.",
            BucketName=request.bucket,
        )
    if existing is not None and (existing.region != _HOME_REGION or region != _HOME_REGION):
        raise api.BucketAlreadyOwnedByYou(
            "Your previous request to create the named bucket succeeded and you already own it.",
            BucketName=request.bucket,
        )
    configuration = request.create_bucket_configuration
    tags = configuration.tags if configuration is not None else None
    if existing is None:
        bucket = Bucket(request.bucket, call.account, region, call.now)
        call.records.put(BUCKET, bucket.name, bucket)
        if tags:
            put_bucket_tags(call, bucket.name, checked_tags(tags, limits.BUCKET_TAGS_MAX))
    return api.CreateBucketOutput(location=_location(call, request.bucket, region))


@operation
async def head_bucket(call: Call, request: api.HeadBucketRequest) -> api.HeadBucketOutput:
    """Say whether a bucket exists, and where."""
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.HeadBucketOutput(bucket_region=bucket.region, bucket_arn=bucket.arn, access_point_alias=False)


@operation(readonly=True)
def list_buckets(call: Call, request: api.ListBucketsRequest) -> api.ListBucketsOutput:
    """Return the caller's buckets of all regions, by name."""
    prefix = request.prefix or ""
    buckets = [
        bucket
        for _, bucket in call.reader.list(BUCKET, prefix)
        if bucket.account == call.account and request.bucket_region in (None, bucket.region)
    ]
    limit = request.max_buckets or limits.BUCKETS_MAX
    try:
        found, token = page_of(buckets, lambda bucket: bucket.name, request.continuation_token, limit)
    except ValueError:
        raise ServiceError.of("InvalidArgument", "The continuation token provided is incorrect") from None
    listed = [
        api.Bucket(name=bucket.name, creation_date=bucket.created_at, bucket_region=bucket.region) for bucket in found
    ]
    return api.ListBucketsOutput(
        buckets=listed, owner=owner_of(call.account), continuation_token=token, prefix=request.prefix
    )


@operation(readonly=True)
def get_bucket_location(call: Call, request: api.GetBucketLocationRequest) -> api.GetBucketLocationOutput:
    """Return a bucket's region; us-east-1 is empty."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.GetBucketLocationOutput(location_constraint=None if bucket.region == _HOME_REGION else bucket.region)


@operation
def delete_bucket(call: Call, request: api.DeleteBucketRequest) -> None:
    """Delete a bucket that has no objects, versions and delete markers; unfinished uploads go with it."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    if call.records.list(CURRENT, key_prefix(bucket.name), limit=1):
        text = "The bucket you tried to delete is not empty"
        if bucket.versioning is not None:
            text += ". You must delete all versions in the bucket."
        raise ServiceError.of("BucketNotEmpty", text, 409)
    assert not call.records.list(OLDER, key_prefix(bucket.name), limit=1), "a key with versions has a current one"
    for upload in list_uploads(call.records, bucket.name):
        discard(call, drop_upload(call, upload))
    for setting in SETTINGS:
        call.records.delete(setting, bucket.name)
    call.records.delete(BUCKET, bucket.name)


def _region_of(call: Call, request: api.CreateBucketRequest) -> str:
    configuration = request.create_bucket_configuration
    constraint = configuration.location_constraint if configuration is not None else None
    # The old name of Ireland.
    constraint = "eu-west-1" if constraint == "EU" else constraint
    if call.region == _HOME_REGION and constraint is None:
        return _HOME_REGION
    if constraint == _HOME_REGION:
        raise ServiceError.of("InvalidLocationConstraint", "The specified location-constraint is not valid")
    # An endpoint of us-east-1 takes all regions, that of another only its own.
    if call.region not in (_HOME_REGION, constraint):
        text = (
            f"The {constraint or 'unspecified'} location constraint is incompatible for the region specific endpoint "
            "this request was sent to."
        )
        raise ServiceError.of("IllegalLocationConstraintException", text)
    assert constraint is not None
    return constraint


def _check_unsupported(request: api.CreateBucketRequest) -> None:
    if request.object_lock_enabled_for_bucket:
        raise ServiceError.of("NotImplemented", "Object Lock is not implemented by Forebay.", 501)
    if request.acl not in _PRIVATE_ACLS:
        text = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        raise ServiceError.of("InvalidBucketAclWithObjectOwnership", text)
    if request.object_ownership not in (None, "BucketOwnerEnforced"):
        text = f"Object ownership {request.object_ownership} is not implemented by Forebay: buckets have no ACLs."
        raise ServiceError.of("NotImplemented", text, 501)


def _location(call: Call, name: str, region: str) -> str:
    # us-east-1 answers the path, other regions the bucket's URL.
    return f"/{name}" if region == _HOME_REGION == call.region else f"{call.caller.endpoint}/{name}/"
