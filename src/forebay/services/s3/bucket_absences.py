"""Operations on settings which buckets of Forebay cannot have: each is read as S3 answers when it was never set.

Tools that compare a bucket with a plan ask for all of them. Setting one answers that it is not implemented; setting it
to nothing succeeds.
"""

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.s3.bucket import load_bucket, owner_of


@operation(readonly=True)
def get_bucket_acl(call: Call, request: api.GetBucketAclRequest) -> api.GetBucketAclOutput:
    """Return the one grant that a bucket without ACLs has: everything to its owner."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.GetBucketAclOutput(owner=owner_of(bucket.account), grants=owner_grants(bucket.account))


def owner_grants(account: str) -> list[api.Grant]:
    """Return the grant of everything to an account."""
    grantee = api.Grantee(type="CanonicalUser", id=owner_of(account).id)
    return [api.Grant(grantee=grantee, permission="FULL_CONTROL")]


@operation(readonly=True)
def get_bucket_request_payment(
    call: Call, request: api.GetBucketRequestPaymentRequest
) -> api.GetBucketRequestPaymentOutput:
    """Say that the owner pays."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.GetBucketRequestPaymentOutput(payer="BucketOwner")


@operation(readonly=True)
def get_bucket_logging(call: Call, request: api.GetBucketLoggingRequest) -> api.GetBucketLoggingOutput:
    """Say that access is not logged."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.GetBucketLoggingOutput()


@operation(readonly=True)
def get_bucket_accelerate_configuration(
    call: Call, request: api.GetBucketAccelerateConfigurationRequest
) -> api.GetBucketAccelerateConfigurationOutput:
    """Say that transfer acceleration was never set."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.GetBucketAccelerateConfigurationOutput()


@operation(readonly=True)
def get_bucket_notification_configuration(
    call: Call, request: api.GetBucketNotificationConfigurationRequest
) -> api.NotificationConfiguration:
    """Say that nobody is notified."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    return api.NotificationConfiguration()


@operation(readonly=True)
def put_bucket_notification_configuration(call: Call, request: api.PutBucketNotificationConfigurationRequest) -> None:
    """Accept that nobody is to be notified.

    Raises:
        ServiceError: NotImplemented, somebody is.
    """
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    if request.notification_configuration != api.NotificationConfiguration():
        text = "Notifications of S3 (PutBucketNotificationConfiguration) are not implemented by Forebay."
        raise ServiceError.of("NotImplemented", text, 501)


@operation(readonly=True)
def delete_bucket_cors(call: Call, request: api.DeleteBucketCorsRequest) -> None:
    """Accept that there are to be no CORS rules."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)


@operation(readonly=True)
def delete_bucket_lifecycle(call: Call, request: api.DeleteBucketLifecycleRequest) -> None:
    """Accept that there are to be no lifecycle rules."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)


@operation(readonly=True)
def get_bucket_cors(call: Call, request: api.GetBucketCorsRequest) -> api.GetBucketCorsOutput:
    """Say that there are no CORS rules."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    raise ServiceError.of("NoSuchCORSConfiguration", "The CORS configuration does not exist", 404)


@operation(readonly=True)
def get_bucket_website(call: Call, request: api.GetBucketWebsiteRequest) -> api.GetBucketWebsiteOutput:
    """Say that the bucket is no website."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    text = "The specified bucket does not have a website configuration"
    raise ServiceError.of("NoSuchWebsiteConfiguration", text, 404)


@operation(readonly=True)
def get_bucket_lifecycle_configuration(
    call: Call, request: api.GetBucketLifecycleConfigurationRequest
) -> api.GetBucketLifecycleConfigurationOutput:
    """Say that there are no lifecycle rules."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    raise ServiceError.of("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", 404)


@operation(readonly=True)
def get_bucket_replication(call: Call, request: api.GetBucketReplicationRequest) -> api.GetBucketReplicationOutput:
    """Say that nothing is replicated."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    text = "The replication configuration was not found"
    raise ServiceError.of("ReplicationConfigurationNotFoundError", text, 404)


@operation(readonly=True)
def get_object_lock_configuration(
    call: Call, request: api.GetObjectLockConfigurationRequest
) -> api.GetObjectLockConfigurationOutput:
    """Say that objects are not locked."""
    load_bucket(call, request.bucket, request.expected_bucket_owner)
    text = "Object Lock configuration does not exist for this bucket"
    raise ServiceError.of("ObjectLockConfigurationNotFoundError", text, 404)
