"""Access keys: the records that say whose a key is. STS and IAM write them, the wire's authentication reads them.

They stand here, below both, because neither may know the other. An access key id carries its account the way AWS's
do, so that a key still names its account when its record is gone.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import msgspec

from forebay.core.errors import ConfigError
from forebay.core.ids import Ids
from forebay.store.records import Kind

# AWS's layout of the 80 bits behind the four letters of the prefix: a set bit, 40 bits of account, 39 bits of chance.
_PREFIX_LENGTH = 4
_BITS_MAX = 80
_CHANCE_BITS = 39
_ACCOUNT_MASK = (1 << 40) - 1
_ACCOUNT_MAX = 999_999_999_999


class Credential(msgspec.Struct, frozen=True):
    """One access key. A temporary one (`ASIA...`) has a session token and an end; `user_name` is of a user's own key.

    `principal` is the ARN that signs with the key, `user_id` what GetCallerIdentity calls `UserId`.
    """

    access_key: str
    secret_key: str
    account: str
    principal: str
    user_id: str = ""
    created_at: float = 0.0
    session_token: str | None = None
    expires_at: float | None = None
    user_name: str | None = None


CREDENTIAL = Kind("credentials.credential", Credential)
"""Records under the access key id itself. A key that is switched off has none, so whatever is found may sign."""


def load_credentials(path: Path) -> Mapping[str, Credential]:
    """Read the configured access keys: lines `access-key secret-key account`, empty ones and `#` comments between.

    Raises:
        ConfigError: the file cannot be read, has no key, or a line has another form; the text names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The credentials file {path} cannot be read: {error}.") from error
    credentials: dict[str, Credential] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 3 or len(fields[2]) != 12 or not (fields[2].isascii() and fields[2].isdecimal()):
            text = f"Line {number} of {path} is not `access-key secret-key account` with an account of twelve digits."
            raise ConfigError(text)
        access_key, secret_key, account = fields
        principal = f"arn:aws:iam::{account}:root"
        credentials[access_key] = Credential(access_key, secret_key, account, principal, account)
    if not credentials:
        raise ConfigError(f"The credentials file {path} has no access key.")
    return credentials


def new_access_key_id(prefix: str, account: str, ids: Ids) -> str:
    """Return a fresh id: `AKIA` for lasting keys, `ASIA` for temporary ones, and the account inside."""
    chance = int.from_bytes(ids.bytes(5)) & ((1 << _CHANCE_BITS) - 1)
    bits = 1 << (_BITS_MAX - 1) | int(account) << _CHANCE_BITS | chance
    return prefix + base64.b32encode(bits.to_bytes(_BITS_MAX // 8)).decode()


def new_secret_key(ids: Ids) -> str:
    """Return forty characters that only the holder of the key knows."""
    return base64.b64encode(ids.bytes(30)).decode()


def account_of(access_key: str) -> str | None:
    """Return the account that an access key id carries, or None where it carries none."""
    if not access_key.startswith(("AKIA", "ASIA")):
        return None
    try:
        data = base64.b32decode(access_key[_PREFIX_LENGTH:])
    except (binascii.Error, ValueError):
        return None
    account = int.from_bytes(data) >> _CHANCE_BITS & _ACCOUNT_MASK
    if len(data) * 8 != _BITS_MAX or account > _ACCOUNT_MAX:
        return None
    return f"{account:012d}"
