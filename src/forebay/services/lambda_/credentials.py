"""The access keys that functions sign with: their account's name where any key is accepted, else a key of their own."""

import msgspec

from forebay.core.arn import partition_of
from forebay.operations.credentials import CREDENTIAL, Credential, new_access_key_id, new_secret_key
from forebay.operations.platform import Platform
from forebay.services.lambda_.function import Version
from forebay.store.contract import Transaction
from forebay.store.records import Kind, Records


class FunctionKey(msgspec.Struct, frozen=True):
    """Which access key a function has, and the role that it was made for."""

    access_key: str
    role: str


_FUNCTION_KEY = Kind("lambda.function_key", FunctionKey)


async def credentials_for(platform: Platform, version: Version) -> dict[str, str]:
    """Return the environment variables that let a function's SDK sign its requests."""
    if platform.config.credentials is None:
        # An access key of twelve digits names its account; the signature is not checked then.
        return {"AWS_ACCESS_KEY_ID": version.account, "AWS_SECRET_ACCESS_KEY": "forebay"}
    credential = await platform.store.transact(lambda transaction: _issue(platform, transaction, version))
    return {
        "AWS_ACCESS_KEY_ID": credential.access_key,
        "AWS_SECRET_ACCESS_KEY": credential.secret_key,
        "AWS_SESSION_TOKEN": credential.session_token or "",
    }


def drop_credentials(records: Records, function_key: str) -> None:
    """Take a function's access key away."""
    known = records.find(_FUNCTION_KEY, function_key)
    if known is not None:
        records.delete(CREDENTIAL, known.access_key)
        records.delete(_FUNCTION_KEY, function_key)


def _issue(platform: Platform, transaction: Transaction, version: Version) -> Credential:
    """Return the function's key for its role, made anew where it has none or another role."""
    records = transaction.records
    known = records.find(_FUNCTION_KEY, version.key)
    credential = records.find(CREDENTIAL, known.access_key) if known and known.role == version.role else None
    if credential is not None:
        return credential
    drop_credentials(records, version.key)
    role_name = version.role.rpartition("/")[2]
    partition = partition_of(version.region)
    credential = Credential(
        access_key=new_access_key_id("ASIA", version.account, platform.ids),
        secret_key=new_secret_key(platform.ids),
        account=version.account,
        principal=f"arn:{partition}:sts::{version.account}:assumed-role/{role_name}/{version.name}",
        user_id=f"{platform.ids.token(20).upper()}:{version.name}",
        created_at=platform.clock.now(),
        session_token=platform.ids.bytes(64).hex(),
        # It ends with the function: an instance keeps its environment for as long as it lives.
        expires_at=None,
    )
    records.put(CREDENTIAL, credential.access_key, credential)
    records.put(_FUNCTION_KEY, version.key, FunctionKey(credential.access_key, version.role))
    return credential
