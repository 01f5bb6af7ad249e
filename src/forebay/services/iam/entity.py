"""What IAM's entities share: ids, keys, paths, tags, pages, and the policies of one role, user or group.

IAM is global: records are kept per account, and ARNs have no region. Names are not distinguished by case (IAM user
guide, "IAM and AWS STS quotas"), so keys are in lower case.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from forebay.api import iam as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.services.iam import limits
from forebay.services.iam.document import check_permissions_document, count_characters
from forebay.store.records import Kind, key_prefix, record_key

T = TypeVar("T")

_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ID_CHARACTERS = 17


class Policies(msgspec.Struct, frozen=True):
    """The policies of one role, user or group: inline documents by name, and ARNs of attached ones in order."""

    inline: Mapping[str, str] = {}
    attached: tuple[str, ...] = ()

    def with_inline(self, owner: str, name: str, document: str, characters_max: int) -> "Policies":
        """Return these policies with one document put.

        Raises:
            MalformedPolicyDocumentException: it breaks the grammar.
            LimitExceededException: all documents together are too large; `owner` says whose (`role Name`).
        """
        check_permissions_document(document)
        inline = {**self.inline, name: document}
        if sum(count_characters(text) for text in inline.values()) > characters_max:
            raise api.LimitExceededException(f"Maximum policy size of {characters_max} bytes exceeded for {owner}")
        return msgspec.structs.replace(self, inline=inline)

    def without_inline(self, kind: str, name: str) -> "Policies":
        """Return these policies without one document; `kind` is `role`, `user` or `group`.

        Raises:
            NoSuchEntityException: there is none with that name.
        """
        self.inline_document(kind, name)
        return msgspec.structs.replace(self, inline={key: self.inline[key] for key in self.inline if key != name})

    def inline_document(self, kind: str, name: str) -> str:
        """Return one document.

        Raises:
            NoSuchEntityException: there is none with that name.
        """
        if name not in self.inline:
            raise api.NoSuchEntityException(f"The {kind} policy with name {name} cannot be found.")
        return self.inline[name]

    def with_attached(self, kind: str, arn: str) -> "Policies":
        """Return these policies with one more attached; attaching again changes nothing. `kind` is for the quota.

        Raises:
            LimitExceededException: as many as may be are attached.
        """
        if arn in self.attached:
            return self
        if len(self.attached) >= limits.ATTACHED_POLICIES_MAX:
            raise api.LimitExceededException(
                f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {limits.ATTACHED_POLICIES_MAX}"
            )
        return msgspec.structs.replace(self, attached=(*self.attached, arn))

    def without_attached(self, arn: str) -> "Policies":
        """Return these policies with one detached.

        Raises:
            NoSuchEntityException: it is not attached.
        """
        if arn not in self.attached:
            raise api.NoSuchEntityException(f"Policy {arn} was not found.")
        return msgspec.structs.replace(self, attached=tuple(each for each in self.attached if each != arn))

    def check_empty(self) -> None:
        """Check that their owner may be deleted.

        Raises:
            DeleteConflictException: there are policies left.
        """
        if self.attached:
            raise api.DeleteConflictException("Cannot delete entity, must detach all policies first.")
        if self.inline:
            raise api.DeleteConflictException("Cannot delete entity, must delete policies first.")


def entity_key(call: Call, name: str) -> str:
    """Return the key of an entity of the caller's account."""
    return record_key(call.account, name.lower())


def list_entities(call: Call, kind: Kind[T]) -> list[T]:
    """Return all entities of a kind in the caller's account, by name."""
    return [value for _, value in call.reader.list(kind, key_prefix(call.account))]


def entity_arn(account: str, kind: str, path: str, name: str) -> str:
    """Return the ARN of an entity; `kind` is `role`, `user`, `policy` ..."""
    return str(Arn.of("iam", "", account, f"{kind}{path}{name}"))


def new_entity_id(prefix: str, ids: Ids) -> str:
    """Return a unique id such as `AROA...`."""
    return prefix + ids.token(_ID_CHARACTERS, _ID_ALPHABET)


def last_name(arn: str) -> str:
    """Return the name at the end of an ARN's resource."""
    return arn.rsplit("/", 1)[-1]


def path_of(path: str | None) -> str:
    """Return a path, by default the root.

    Raises:
        ServiceError: ValidationError, it does not begin and end with a slash.
    """
    if path is None:
        return "/"
    if not path.startswith("/") or not path.endswith("/"):
        text = (
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters."
        )
        raise ServiceError.of("ValidationError", text)
    return path


def page(
    items: Sequence[T], key: Callable[[T], str], marker: str | None, max_items: int | None
) -> tuple[list[T], str | None]:
    """Return a page of items and the marker of the next.

    Raises:
        ServiceError: ValidationError, the marker is not one of ours.
    """
    try:
        return page_of(sorted(items, key=key), key, marker, max_items or limits.PAGE_ITEMS_DEFAULT)
    except ValueError:
        raise ServiceError.of("ValidationError", f"Invalid Marker: {marker}") from None


def attached_page(
    policies: Policies, path_prefix: str | None, marker: str | None, max_items: int | None
) -> tuple[list[api.AttachedPolicy], str | None]:
    """Return a page of attached policies in AWS's form."""
    arns = [arn for arn in policies.attached if _policy_path(arn).startswith(path_prefix or "/")]
    found, next_marker = page(arns, lambda arn: arn, marker, max_items)
    return [api.AttachedPolicy(policy_name=last_name(arn), policy_arn=arn) for arn in found], next_marker


def _policy_path(arn: str) -> str:
    resource = arn.split(":", 5)[5]
    return resource.removeprefix("policy")[: -len(last_name(arn))]


def merge_tags(tags: Mapping[str, str], given: Sequence[api.Tag] | None) -> Mapping[str, str]:
    """Return tags with more of them set.

    Raises:
        InvalidInputException: a key is given twice.
        LimitExceededException: there are too many.
    """
    if not given:
        return tags
    keys = [tag.key.lower() for tag in given]
    if len(set(keys)) != len(keys):
        text = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        raise api.InvalidInputException(text)
    # A key that is given in another case replaces the one that is there.
    merged = {key: value for key, value in tags.items() if key.lower() not in keys or any(t.key == key for t in given)}
    merged |= {tag.key: tag.value for tag in given}
    if len(merged) > limits.TAGS_MAX:
        raise api.LimitExceededException("The number of tags has reached the maximum limit.")
    return merged


def without_tags(tags: Mapping[str, str], keys: Sequence[str]) -> Mapping[str, str]:
    """Return tags without some of them."""
    gone = {key.lower() for key in keys}
    return {key: value for key, value in tags.items() if key.lower() not in gone}


def tags_of(tags: Mapping[str, str]) -> list[api.Tag]:
    """Return tags in AWS's form."""
    return [api.Tag(key=key, value=value) for key, value in tags.items()]


def tags_page(tags: Mapping[str, str], marker: str | None, max_items: int | None) -> tuple[list[api.Tag], str | None]:
    """Return a page of tags in AWS's form."""
    return page(tags_of(tags), lambda tag: tag.key, marker, max_items)


def boundary_of(arn: str | None) -> api.AttachedPermissionsBoundary | None:
    """Return a permissions boundary in AWS's form."""
    if arn is None:
        return None
    return api.AttachedPermissionsBoundary(
        permissions_boundary_type="PermissionsBoundaryPolicy", permissions_boundary_arn=arn
    )
