"""A secret, its versions and their staging labels: pure rules, and where they stand in the store."""

import re
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from forebay.api import secretsmanager as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.secretsmanager import limits
from forebay.store.records import Kind, key_prefix, record_key

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
SUFFIX_CHARACTERS = 6
SUFFIX_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]+")
_DAY_SECONDS = 24 * 3600


class Value(msgspec.Struct, frozen=True):
    """What a version holds: a text or bytes."""

    text: str | None = None
    binary: bytes | None = None


class Version(msgspec.Struct, frozen=True):
    """One version of a secret, without its value."""

    version_id: str
    created_at: float
    stages: tuple[str, ...] = ()


class Secret(msgspec.Struct, frozen=True):
    """A secret as it is kept. `versions` are in order of creation; `deleted_at` says that it waits for its end."""

    account: str
    region: str
    name: str
    suffix: str
    created_at: float
    changed_at: float
    description: str | None = None
    key_id: str | None = None
    tags: Mapping[str, str] = {}
    policy: str | None = None
    versions: tuple[Version, ...] = ()
    accessed_at: float | None = None
    deleted_at: float | None = None
    ends_at: float | None = None
    type: str | None = None

    @property
    def arn(self) -> str:
        """The secret's ARN, which ends with six characters of chance."""
        return str(Arn.of("secretsmanager", self.region, self.account, f"secret:{self.name}-{self.suffix}"))

    def find_stage(self, stage: str) -> Version | None:
        """Return the version that bears a staging label, or None."""
        return next((version for version in self.versions if stage in version.stages), None)

    def find_version(self, version_id: str) -> Version | None:
        """Return a version by id, or None."""
        return next((version for version in self.versions if version.version_id == version_id), None)

    def stages_by_version(self) -> dict[str, list[str]] | None:
        """Return staging labels by version; those without any are left out."""
        return {version.version_id: list(version.stages) for version in self.versions if version.stages} or None

    def with_version(self, version_id: str, now: float, stages: Sequence[str]) -> "Secret":
        """Return the secret with a new version that takes its labels from the others.

        The first version is the current one whatever its labels; what was current becomes the previous one.
        """
        labels = tuple(stages) if self.find_stage(CURRENT) is not None else (*stages, CURRENT)
        added = Version(version_id, now, tuple(dict.fromkeys(labels)))
        return replace(self, versions=_moved((*self.versions, added), added), changed_at=now)

    def with_stage_moved(self, stage: str, target: Version | None, now: float) -> "Secret":
        """Return the secret with a label at another version, or at none."""
        if target is None:
            without = tuple(_without(version, (stage,)) for version in self.versions)
            return replace(self, versions=without, changed_at=now)
        if stage in target.stages:
            return self
        labelled = replace(target, stages=(*target.stages, stage))
        versions = tuple(labelled if version == target else version for version in self.versions)
        return replace(self, versions=_moved(versions, labelled), changed_at=now)

    def surplus(self) -> tuple[Version, ...]:
        """Return the oldest versions without labels beyond the number that is kept."""
        excess = len(self.versions) - limits.VERSIONS_MAX
        unlabelled = [version for version in self.versions if not version.stages]
        return tuple(unlabelled[: max(0, excess)])


def _moved(versions: Sequence[Version], owner: Version) -> tuple[Version, ...]:
    """Return versions of which no other than `owner` has one of its labels."""
    was_current = next((each for each in versions if CURRENT in each.stages and each != owner), None)
    takes_current = CURRENT in owner.stages and was_current is not None
    result: list[Version] = []
    for version in versions:
        if version.version_id == owner.version_id:
            kept = tuple(stage for stage in owner.stages if not (takes_current and stage == PREVIOUS))
            result.append(replace(owner, stages=kept))
            continue
        left = _without(version, (*owner.stages, PREVIOUS) if takes_current else owner.stages)
        if takes_current and version == was_current:
            left = replace(left, stages=(*left.stages, PREVIOUS))
        result.append(left)
    return tuple(result)


def _without(version: Version, stages: Sequence[str]) -> Version:
    return replace(version, stages=tuple(stage for stage in version.stages if stage not in stages))


SECRET = Kind("secretsmanager.secret", Secret)
"""Records under account, region and name."""

VALUE = Kind("secretsmanager.value", Value)
"""Records under account, region, name and version id."""

DELETION = "secretsmanager.deletion"
"""The kind of the timers that end secrets: one for each that waits for it, under the secret's key."""


def secret_key(secret: Secret) -> str:
    """Return the key of a secret."""
    return record_key(secret.account, secret.region, secret.name)


def value_key(secret: Secret, version_id: str) -> str:
    """Return the key of a version's value."""
    return record_key(secret.account, secret.region, secret.name, version_id)


def find_secret(call: Call, secret_id: str) -> Secret | None:
    """Return a secret by name, by ARN, or by ARN without the characters of chance; or None."""
    return next(
        (secret for secret in (call.reader.find(SECRET, key) for key in candidate_keys(call, secret_id)) if secret),
        None,
    )


def candidate_keys(call: Call, secret_id: str) -> list[str]:
    """Return the keys under which a secret with that name or ARN can stand."""
    if not secret_id.startswith("arn:"):
        return [record_key(call.account, call.region, secret_id)]
    try:
        arn = Arn.parse(secret_id)
    except ValueError:
        return []
    name = arn.resource.removeprefix("secret:")
    names = [name[: -SUFFIX_CHARACTERS - 1], name] if name[-SUFFIX_CHARACTERS - 1 :].startswith("-") else [name]
    return [record_key(arn.account, arn.region, each) for each in names if each]


def checked_secret(secret: Secret | None, secret_id: str) -> Secret:
    """Return a secret that was found.

    Raises:
        ResourceNotFoundException: none was, or another incarnation of it.
    """
    if secret is None or not _is_named(secret, secret_id):
        raise api.ResourceNotFoundException("Secrets Manager can't find the specified secret.")
    return secret


def load_secret(call: Call, secret_id: str) -> Secret:
    """Return a secret, also one that waits for its end; raises as `checked_secret`."""
    return checked_secret(find_secret(call, secret_id), secret_id)


def load_live_secret(call: Call, secret_id: str) -> Secret:
    """Return a secret; raises as `checked_live`."""
    return checked_live(load_secret(call, secret_id))


def checked_live(secret: Secret) -> Secret:
    """Return a secret that does not wait for its end.

    Raises:
        InvalidRequestException: it does.
    """
    if secret.deleted_at is not None:
        text = "You can't perform this operation on the secret because it was marked for deletion."
        raise api.InvalidRequestException(text)
    return secret


def put_secret(call: Call, secret: Secret) -> None:
    """Keep a secret; versions beyond the number that is kept are dropped with their values."""
    surplus = secret.surplus()
    for version in surplus:
        call.records.delete(VALUE, value_key(secret, version.version_id))
    kept = tuple(version for version in secret.versions if version not in surplus)
    call.records.put(SECRET, secret_key(secret), replace(secret, versions=kept))


def list_secrets_of(call: Call) -> list[Secret]:
    """Return all secrets of the caller's account and region by name."""
    return [secret for _, secret in call.reader.list(SECRET, key_prefix(call.account, call.region))]


def check_name(name: str) -> None:
    """Check a new secret's name.

    Raises:
        ServiceError: ValidationException.
    """
    if _NAME.fullmatch(name) is None:
        text = (
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
        )
        raise ServiceError.of("ValidationException", text)


def merged_tags(tags: Mapping[str, str], given: Sequence[api.Tag] | None) -> Mapping[str, str]:
    """Return tags with more of them set.

    Raises:
        InvalidParameterException: there are too many.
    """
    merged = {**tags, **{tag.key or "": tag.value or "" for tag in given or ()}}
    if len(merged) > limits.TAGS_MAX:
        raise api.InvalidParameterException(f"The secret can have at most {limits.TAGS_MAX} tags.")
    return merged


def tags_of(secret: Secret) -> list[api.Tag] | None:
    """Return a secret's tags in AWS's form."""
    return [api.Tag(key=key, value=value) for key, value in secret.tags.items()] or None


def day_of(now: float) -> float:
    """Return the beginning of a day, to which AWS rounds the time of the last access."""
    return now - now % _DAY_SECONDS


def _is_named(secret: Secret, secret_id: str) -> bool:
    if not secret_id.startswith("arn:"):
        return True
    return secret_id in (secret.arn, secret.arn[: -SUFFIX_CHARACTERS - 1])
