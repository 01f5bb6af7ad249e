"""Operations on secrets: create, update, describe, list, delete, restore, tags."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from forebay.api import secretsmanager as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.secretsmanager import limits
from forebay.services.secretsmanager.filter import matching
from forebay.services.secretsmanager.secret import (
    CURRENT,
    DELETION,
    SECRET,
    SUFFIX_ALPHABET,
    SUFFIX_CHARACTERS,
    Secret,
    Value,
    check_name,
    find_secret,
    list_secrets_of,
    load_live_secret,
    load_secret,
    merged_tags,
    put_secret,
    secret_key,
    tags_of,
)
from forebay.services.secretsmanager.versioning import add_version, drop_secret, given_value
from forebay.store.commands import DeleteTimers, PutTimers, Timer
from forebay.store.records import record_key

_DAY_SECONDS = 24 * 3600


@operation
def create_secret(call: Call, request: api.CreateSecretRequest) -> api.CreateSecretResponse:
    """Create a secret, with a first version if a value is given; the same token and value again change nothing."""
    check_name(request.name)
    if request.add_replica_regions or request.cross_account_primary_arn:
        raise ServiceError.of("NotImplemented", "Replication of secrets is not implemented by Forebay.", 501)
    value = given_value(request)
    existing = call.records.find(SECRET, record_key(call.account, call.region, request.name))
    if existing is not None:
        _check_repeated(call, existing, request, value)
        return api.CreateSecretResponse(arn=existing.arn, name=existing.name, version_id=request.client_request_token)
    secret = Secret(
        account=call.account,
        region=call.region,
        name=request.name,
        suffix=call.ids.token(SUFFIX_CHARACTERS, SUFFIX_ALPHABET),
        created_at=call.now,
        changed_at=call.now,
        description=request.description,
        key_id=request.kms_key_id,
        tags=merged_tags({}, request.tags),
        type=request.type,
    )
    version_id: str | None = None
    if value is None:
        put_secret(call, secret)
    else:
        version_id = request.client_request_token or call.ids.uuid()
        secret = add_version(call, secret, version_id, value, (CURRENT,))
    return api.CreateSecretResponse(arn=secret.arn, name=secret.name, version_id=version_id)


def _check_repeated(call: Call, secret: Secret, request: api.CreateSecretRequest, value: Value | None) -> None:
    """Check that a creation only repeats the one that made a secret.

    Raises:
        InvalidRequestException: the secret waits for its end.
        ResourceExistsException: it is another creation.
    """
    if secret.deleted_at is not None:
        raise api.InvalidRequestException(
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        )
    token = request.client_request_token
    if token is None or value is None or secret.find_version(token) is None:
        text = f"The operation failed because the secret {secret.name} already exists."
        raise api.ResourceExistsException(text)
    add_version(call, secret, token, value, (CURRENT,))


@operation
def update_secret(call: Call, request: api.UpdateSecretRequest) -> api.UpdateSecretResponse:
    """Change a secret's description and key, and with a value make a new version the current one."""
    secret = load_live_secret(call, request.secret_id)
    value = given_value(request)
    changed = replace(
        secret,
        description=secret.description if request.description is None else request.description,
        key_id=request.kms_key_id or secret.key_id,
        type=request.type or secret.type,
        changed_at=call.now,
    )
    version_id: str | None = None
    if value is None:
        put_secret(call, changed)
    else:
        version_id = request.client_request_token or call.ids.uuid()
        add_version(call, changed, version_id, value, (CURRENT,))
    return api.UpdateSecretResponse(arn=secret.arn, name=secret.name, version_id=version_id)


@operation(readonly=True)
def describe_secret(call: Call, request: api.DescribeSecretRequest) -> api.DescribeSecretResponse:
    """Return what is known of a secret, without values."""
    secret = load_secret(call, request.secret_id)
    return api.DescribeSecretResponse(
        arn=secret.arn,
        name=secret.name,
        type=secret.type,
        description=secret.description,
        kms_key_id=secret.key_id,
        last_changed_date=secret.changed_at,
        last_accessed_date=secret.accessed_at,
        deleted_date=secret.deleted_at,
        tags=tags_of(secret),
        version_ids_to_stages=secret.stages_by_version(),
        created_date=secret.created_at,
    )


@operation(readonly=True)
def list_secrets(call: Call, request: api.ListSecretsRequest) -> api.ListSecretsResponse:
    """Return a page of secrets that filters let through."""
    secrets = [
        secret
        for secret in list_secrets_of(call)
        if matching(secret, request.filters) and (secret.deleted_at is None or request.include_planned_deletion)
    ]
    key = _sort_key(request.sort_by, descending=request.sort_order == "desc")
    try:
        limit = request.max_results or limits.PAGE_DEFAULT
        found, token = page_of(sorted(secrets, key=key), key, request.next_token, limit)
    except ValueError:
        raise api.InvalidNextTokenException("The nextToken is not valid.") from None
    return api.ListSecretsResponse(secret_list=[_listed(secret) for secret in found], next_token=token)


def _sort_key(sort_by: str | None, *, descending: bool) -> Callable[[Secret], str]:
    """Return a key of text by which secrets sort in the wanted order; creation is the default."""

    def moment(secret: Secret) -> float:
        match sort_by:
            case "last-changed-date":
                return secret.changed_at
            case "last-accessed-date":
                return secret.accessed_at or 0.0
            case _:
                return secret.created_at

    def key(secret: Secret) -> str:
        if sort_by == "name":
            return _turned(secret.name) if descending else secret.name
        milliseconds = int(moment(secret) * 1000)
        return f"{10**14 - milliseconds if descending else milliseconds:015d}{secret.name}"

    return key


def _turned(name: str) -> str:
    """Return a key that sorts names the other way round."""
    return "".join(chr(0x10FFFF - ord(character)) for character in name) + "\U0010ffff"


@operation
def delete_secret(call: Call, request: api.DeleteSecretRequest) -> api.DeleteSecretResponse:
    """Delete a secret when its recovery window has passed, or at once by force."""
    is_forced = bool(request.force_delete_without_recovery)
    days = request.recovery_window_in_days
    if is_forced and days is not None:
        text = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        raise api.InvalidParameterException(text)
    if days is not None and not limits.RECOVERY_DAYS_MIN <= days <= limits.RECOVERY_DAYS_MAX:
        text = "RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
        raise api.InvalidParameterException(text)
    if is_forced and find_secret(call, request.secret_id) is None:
        # Force succeeds on what is not there (DeleteSecret API reference).
        return api.DeleteSecretResponse(name=request.secret_id, deletion_date=call.now)
    secret = load_secret(call, request.secret_id)
    if is_forced:
        drop_secret(call, secret)
        return api.DeleteSecretResponse(arn=secret.arn, name=secret.name, deletion_date=call.now)
    if secret.deleted_at is not None:
        text = "You can't perform this operation on the secret because it was already scheduled for deletion."
        raise api.InvalidRequestException(text)
    ends_at = call.now + (days or limits.RECOVERY_DAYS_DEFAULT) * _DAY_SECONDS
    put_secret(call, replace(secret, deleted_at=call.now, ends_at=ends_at))
    call.apply(PutTimers((Timer(DELETION, secret_key(secret), int(ends_at * 1000), b""),)))
    return api.DeleteSecretResponse(arn=secret.arn, name=secret.name, deletion_date=ends_at)


@operation
def restore_secret(call: Call, request: api.RestoreSecretRequest) -> api.RestoreSecretResponse:
    """Call off the deletion of a secret; one that is not to be deleted stays as it is."""
    secret = load_secret(call, request.secret_id)
    put_secret(call, replace(secret, deleted_at=None, ends_at=None))
    call.apply(DeleteTimers(DELETION, (secret_key(secret),)))
    return api.RestoreSecretResponse(arn=secret.arn, name=secret.name)


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> None:
    """Set tags of a secret."""
    secret = load_live_secret(call, request.secret_id)
    put_secret(call, replace(secret, tags=merged_tags(secret.tags, request.tags)))


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> None:
    """Remove tags of a secret."""
    secret = load_live_secret(call, request.secret_id)
    put_secret(call, replace(secret, tags=_without(secret, request.tag_keys)))


def _without(secret: Secret, keys: Sequence[str]) -> dict[str, str]:
    return {key: value for key, value in secret.tags.items() if key not in keys}


def _listed(secret: Secret) -> api.SecretListEntry:
    return api.SecretListEntry(
        arn=secret.arn,
        name=secret.name,
        type=secret.type,
        description=secret.description,
        kms_key_id=secret.key_id,
        last_changed_date=secret.changed_at,
        last_accessed_date=secret.accessed_at,
        deleted_date=secret.deleted_at,
        tags=tags_of(secret),
        secret_versions_to_stages=secret.stages_by_version(),
        created_date=secret.created_at,
    )
