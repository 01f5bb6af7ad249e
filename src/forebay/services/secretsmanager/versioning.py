"""Adding versions to secrets and ending secrets, inside a transaction."""

from collections.abc import Sequence

from forebay.api import secretsmanager as api
from forebay.operations.call import Call
from forebay.services.secretsmanager.secret import (
    DELETION,
    SECRET,
    VALUE,
    Secret,
    Value,
    put_secret,
    secret_key,
    value_key,
)
from forebay.store.commands import DeleteTimers


def given_value(
    request: api.CreateSecretRequest | api.UpdateSecretRequest | api.PutSecretValueRequest,
) -> Value | None:
    """Return the value that a request carries, or None.

    Raises:
        InvalidParameterException: it carries two.
    """
    if request.secret_string is not None and request.secret_binary is not None:
        text = "You can't specify both a binary secret value and a string secret value in the same secret."
        raise api.InvalidParameterException(text)
    if request.secret_string is None and request.secret_binary is None:
        return None
    return Value(request.secret_string, request.secret_binary)


def add_version(call: Call, secret: Secret, version_id: str, value: Value, stages: Sequence[str]) -> Secret:
    """Add a version to a secret and return it; the same id and value again change nothing.

    Raises:
        ResourceExistsException: the id is taken by a version with another value.
    """
    if secret.find_version(version_id) is not None:
        if call.records.find(VALUE, value_key(secret, version_id)) == value:
            return secret
        text = (
            f"You can't use ClientRequestToken {version_id} because that value is already in use for a version of "
            f"secret {secret.arn}."
        )
        raise api.ResourceExistsException(text)
    changed = secret.with_version(version_id, call.now, stages)
    call.records.put(VALUE, value_key(secret, version_id), value)
    put_secret(call, changed)
    return changed


def drop_secret(call: Call, secret: Secret) -> None:
    """Delete a secret with its values, and the timer that waits for it."""
    for version in secret.versions:
        call.records.delete(VALUE, value_key(secret, version.version_id))
    call.records.delete(SECRET, secret_key(secret))
    call.apply(DeleteTimers(DELETION, (secret_key(secret),)))
