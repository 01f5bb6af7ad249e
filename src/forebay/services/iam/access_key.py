"""A user's access key: what IAM keeps of it beside the `Credential` that authentication reads.

A key that is inactive has no credential, so it cannot sign.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.operations.credentials import CREDENTIAL, Credential
from forebay.services.iam.user import User
from forebay.store.records import Kind, key_prefix, record_key


class AccessKey(msgspec.Struct, frozen=True):
    """An access key as it is kept."""

    access_key: str
    secret_key: str
    user_name: str
    created_at: float
    is_active: bool = True

    def listed(self) -> api.AccessKeyMetadata:
        """Return it in AWS's form, without the secret."""
        return api.AccessKeyMetadata(
            user_name=self.user_name,
            access_key_id=self.access_key,
            status="Active" if self.is_active else "Inactive",
            create_date=self.created_at,
        )


ACCESS_KEY = Kind("iam.access_key", AccessKey)


def user_access_keys(call: Call, user_name: str) -> Sequence[AccessKey]:
    """Return the keys of a user of the caller's account."""
    return [key for _, key in call.reader.list(ACCESS_KEY, key_prefix(call.account, user_name.lower()))]


def load_access_key(call: Call, user: User, access_key: str) -> AccessKey:
    """Return one key of a user.

    Raises:
        NoSuchEntityException: the user has none with that id.
    """
    key = call.reader.find(ACCESS_KEY, record_key(call.account, user.name.lower(), access_key))
    if key is None:
        raise api.NoSuchEntityException(f"The Access Key with id {access_key} cannot be found.")
    return key


def put_access_key(call: Call, user: User, key: AccessKey) -> None:
    """Keep a key, and let it sign if it is active."""
    call.records.put(ACCESS_KEY, record_key(call.account, user.name.lower(), key.access_key), key)
    if not key.is_active:
        call.records.delete(CREDENTIAL, key.access_key)
        return
    credential = Credential(
        access_key=key.access_key,
        secret_key=key.secret_key,
        account=user.account,
        principal=user.arn,
        user_id=user.user_id,
        created_at=key.created_at,
        user_name=user.name,
    )
    call.records.put(CREDENTIAL, key.access_key, credential)


def drop_access_key(call: Call, user: User, access_key: str) -> None:
    """Forget a key."""
    call.records.delete(ACCESS_KEY, record_key(call.account, user.name.lower(), access_key))
    call.records.delete(CREDENTIAL, access_key)


def move_access_keys(call: Call, old: User, new: User) -> None:
    """Move the keys of a user whose name or path changes."""
    for key in user_access_keys(call, old.name):
        drop_access_key(call, old, key.access_key)
        put_access_key(call, new, replace(key, user_name=new.name))
