"""Operations on secrets' values and versions: get, put, stages, lists, and random passwords."""

from msgspec.structs import replace

from forebay.api import secretsmanager as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.secretsmanager import limits
from forebay.services.secretsmanager.filter import matching
from forebay.services.secretsmanager.password import random_password
from forebay.services.secretsmanager.secret import (
    CURRENT,
    SECRET,
    VALUE,
    Secret,
    Version,
    candidate_keys,
    checked_live,
    checked_secret,
    day_of,
    find_secret,
    list_secrets_of,
    load_live_secret,
    load_secret,
    put_secret,
    value_key,
)
from forebay.services.secretsmanager.versioning import add_version, given_value


@operation
async def get_secret_value(call: Call, request: api.GetSecretValueRequest) -> api.GetSecretValueResponse:
    """Return a version's value: the current one, or the one named by id or staging label."""
    secret = checked_live(checked_secret(await _find(call, request.secret_id), request.secret_id))
    version = _selected(secret, request.version_id, request.version_stage)
    value = await call.find(VALUE, value_key(secret, version.version_id))
    if value is None:
        raise _no_value(f"VersionId: {version.version_id}")
    if secret.accessed_at is None or secret.accessed_at < day_of(call.now):
        await call.transact(lambda inner: _mark_accessed(inner, request.secret_id))
    return api.GetSecretValueResponse(
        arn=secret.arn,
        name=secret.name,
        version_id=version.version_id,
        secret_binary=value.binary,
        secret_string=value.text,
        version_stages=list(version.stages) or None,
        created_date=version.created_at,
    )


async def _find(call: Call, secret_id: str) -> Secret | None:
    for key in candidate_keys(call, secret_id):
        secret = await call.find(SECRET, key)
        if secret is not None:
            return secret
    return None


def _mark_accessed(call: Call, secret_id: str) -> None:
    secret = find_secret(call, secret_id)
    if secret is not None:
        put_secret(call, replace(secret, accessed_at=day_of(call.now)))


def _selected(secret: Secret, version_id: str | None, stage: str | None) -> Version:
    """Return the version that a request names.

    Raises:
        ResourceNotFoundException: there is none.
        InvalidRequestException: id and label name different ones.
    """
    if version_id is None:
        version = secret.find_stage(stage or CURRENT)
        if version is None:
            raise _no_value(f"staging label: {stage or CURRENT}")
        return version
    version = secret.find_version(version_id)
    if version is None:
        raise _no_value(f"VersionId: {version_id}")
    if stage is not None and stage not in version.stages:
        text = "You provided a VersionStage that is not associated to the provided VersionId."
        raise api.InvalidRequestException(text)
    return version


def _no_value(what: str) -> api.ResourceNotFoundException:
    return api.ResourceNotFoundException(f"Secrets Manager can't find the specified secret value for {what}")


@operation(readonly=True)
def batch_get_secret_value(call: Call, request: api.BatchGetSecretValueRequest) -> api.BatchGetSecretValueResponse:
    """Return the current values of up to twenty secrets, by id or by filter, and what failed."""
    if (request.secret_id_list is None) == (request.filters is None):
        text = "You must provide exactly one of SecretIdList and Filters."
        raise api.InvalidParameterException(text)
    if request.secret_id_list is not None:
        return _values_of(call, request.secret_id_list, None)
    secrets = [each for each in list_secrets_of(call) if each.deleted_at is None and matching(each, request.filters)]
    try:
        limit = request.max_results or limits.PAGE_BATCH_DEFAULT
        found, token = page_of(secrets, lambda secret: secret.name, request.next_token, limit)
    except ValueError:
        raise api.InvalidNextTokenException("The nextToken is not valid.") from None
    return _values_of(call, [secret.arn for secret in found], token)


def _values_of(call: Call, secret_ids: list[str], token: str | None) -> api.BatchGetSecretValueResponse:
    entries: list[api.SecretValueEntry] = []
    errors: list[api.APIErrorType] = []
    for secret_id in secret_ids:
        try:
            secret = load_live_secret(call, secret_id)
            version = _selected(secret, None, None)
        except ServiceError as error:
            errors.append(api.APIErrorType(secret_id=secret_id, error_code=error.code, message=error.message))
            continue
        value = call.reader.find(VALUE, value_key(secret, version.version_id))
        assert value is not None, "a version has its value"
        entries.append(
            api.SecretValueEntry(
                arn=secret.arn,
                name=secret.name,
                version_id=version.version_id,
                secret_binary=value.binary,
                secret_string=value.text,
                version_stages=list(version.stages),
                created_date=version.created_at,
            )
        )
    return api.BatchGetSecretValueResponse(secret_values=entries, errors=errors, next_token=token)


@operation
def put_secret_value(call: Call, request: api.PutSecretValueRequest) -> api.PutSecretValueResponse:
    """Add a version to a secret, by default as the current one."""
    secret = load_live_secret(call, request.secret_id)
    value = given_value(request)
    if value is None:
        raise api.InvalidRequestException("You must provide either SecretString or SecretBinary.")
    version_id = request.client_request_token or call.ids.uuid()
    changed = add_version(call, secret, version_id, value, request.version_stages or (CURRENT,))
    version = changed.find_version(version_id)
    assert version is not None
    return api.PutSecretValueResponse(
        arn=secret.arn, name=secret.name, version_id=version_id, version_stages=list(version.stages)
    )


@operation
def update_secret_version_stage(
    call: Call, request: api.UpdateSecretVersionStageRequest
) -> api.UpdateSecretVersionStageResponse:
    """Move a staging label from a version to another, or take it away."""
    secret = load_live_secret(call, request.secret_id)
    stage, source, target = request.version_stage, request.remove_from_version_id, request.move_to_version_id
    holder = secret.find_stage(stage)
    if source is not None and (holder is None or holder.version_id != source):
        text = (
            f"The parameter RemoveFromVersionId can't be used: staging label {stage} is not attached to version "
            f"{source}."
        )
        raise api.InvalidParameterException(text)
    if holder is not None and source is None and target != holder.version_id:
        text = (
            "The parameter RemoveFromVersionId can't be empty. Staging label "
            f"{stage} is currently attached to version {holder.version_id}, so you must explicitly reference that "
            "version in RemoveFromVersionId."
        )
        raise api.InvalidParameterException(text)
    if target is None and stage == CURRENT:
        text = (
            "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed."
        )
        raise api.InvalidParameterException(text)
    version = None if target is None else _selected(secret, target, None)
    put_secret(call, secret.with_stage_moved(stage, version, call.now))
    return api.UpdateSecretVersionStageResponse(arn=secret.arn, name=secret.name)


@operation(readonly=True)
def list_secret_version_ids(call: Call, request: api.ListSecretVersionIdsRequest) -> api.ListSecretVersionIdsResponse:
    """Return a page of a secret's versions; those without labels only on demand."""
    secret = load_secret(call, request.secret_id)
    versions = [version for version in secret.versions if version.stages or request.include_deprecated]
    try:
        limit = request.max_results or limits.PAGE_DEFAULT
        by_id = sorted(versions, key=lambda version: version.version_id)
        found, token = page_of(by_id, lambda version: version.version_id, request.next_token, limit)
    except ValueError:
        raise api.InvalidNextTokenException("The nextToken is not valid.") from None
    entries = [
        api.SecretVersionsListEntry(
            version_id=version.version_id,
            version_stages=list(version.stages) or None,
            created_date=version.created_at,
        )
        for version in found
    ]
    return api.ListSecretVersionIdsResponse(versions=entries, next_token=token, arn=secret.arn, name=secret.name)


@operation
async def get_random_password(call: Call, request: api.GetRandomPasswordRequest) -> api.GetRandomPasswordResponse:
    """Return a password of chance."""
    return api.GetRandomPasswordResponse(random_password=random_password(request, call.ids))
