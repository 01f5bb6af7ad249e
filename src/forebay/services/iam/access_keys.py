"""Operations on users' access keys. When a key was last used is not recorded."""

from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.credentials import new_access_key_id, new_secret_key
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.access_key import (
    AccessKey,
    drop_access_key,
    load_access_key,
    put_access_key,
    user_access_keys,
)
from forebay.services.iam.entity import page
from forebay.services.iam.user import load_user


@operation
def create_access_key(call: Call, request: api.CreateAccessKeyRequest) -> api.CreateAccessKeyResponse:
    """Create an access key for a user; its secret is answered here and never again."""
    user = load_user(call, request.user_name)
    if len(user_access_keys(call, user.name)) >= limits.ACCESS_KEYS_PER_USER_MAX:
        text = f"Cannot exceed quota for AccessKeysPerUser: {limits.ACCESS_KEYS_PER_USER_MAX}"
        raise api.LimitExceededException(text)
    key = AccessKey(
        access_key=new_access_key_id("AKIA", call.account, call.ids),
        secret_key=new_secret_key(call.ids),
        user_name=user.name,
        created_at=float(int(call.now)),
    )
    put_access_key(call, user, key)
    return api.CreateAccessKeyResponse(
        access_key=api.AccessKey(
            user_name=user.name,
            access_key_id=key.access_key,
            status="Active",
            secret_access_key=key.secret_key,
            create_date=key.created_at,
        )
    )


@operation(readonly=True)
def list_access_keys(call: Call, request: api.ListAccessKeysRequest) -> api.ListAccessKeysResponse:
    """Return a user's access keys, without their secrets."""
    keys = user_access_keys(call, load_user(call, request.user_name).name)
    found, marker = page(keys, lambda key: key.access_key, request.marker, request.max_items)
    return api.ListAccessKeysResponse(
        access_key_metadata=[key.listed() for key in found], is_truncated=marker is not None, marker=marker
    )


@operation
def update_access_key(call: Call, request: api.UpdateAccessKeyRequest) -> None:
    """Switch an access key on or off."""
    user = load_user(call, request.user_name)
    key = load_access_key(call, user, request.access_key_id)
    put_access_key(call, user, replace(key, is_active=request.status == "Active"))


@operation
def delete_access_key(call: Call, request: api.DeleteAccessKeyRequest) -> None:
    """Delete an access key."""
    user = load_user(call, request.user_name)
    key = load_access_key(call, user, request.access_key_id)
    drop_access_key(call, user, key.access_key)
