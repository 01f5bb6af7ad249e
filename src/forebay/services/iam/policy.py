"""A managed policy and its versions; and AWS's own, which are known by their ARN alone."""

from collections.abc import Mapping

import msgspec

from forebay.api import iam as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.iam import limits
from forebay.services.iam.document import check_permissions_document, count_characters, encode_document
from forebay.services.iam.entity import entity_arn, entity_key, last_name, list_entities, tags_of
from forebay.services.iam.group import GROUP
from forebay.services.iam.role import ROLE
from forebay.services.iam.user import USER
from forebay.store.records import Kind

_AWS_ACCOUNT = "aws"


class Version(msgspec.Struct, frozen=True):
    """One version of a policy."""

    number: int
    document: str
    created_at: float

    @property
    def version_id(self) -> str:
        """Its id: `v1`, `v2` ..."""
        return f"v{self.number}"

    def listed(self, default_number: int) -> api.PolicyVersion:
        """Return what lists answer, which leave out the document."""
        return api.PolicyVersion(
            version_id=self.version_id, is_default_version=self.number == default_number, create_date=self.created_at
        )

    def described(self, default_number: int) -> api.PolicyVersion:
        """Return all of it."""
        return msgspec.structs.replace(self.listed(default_number), document=encode_document(self.document))


class Policy(msgspec.Struct, frozen=True):
    """A policy that a customer manages. Versions are in order; numbers are never given twice."""

    account: str
    name: str
    path: str
    policy_id: str
    created_at: float
    updated_at: float
    versions: tuple[Version, ...]
    default_number: int = 1
    last_number: int = 1
    description: str | None = None
    tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """The policy's ARN, path included."""
        return entity_arn(self.account, "policy", self.path, self.name)

    def version(self, version_id: str) -> Version:
        """Return one version.

        Raises:
            NoSuchEntityException: there is none with that id.
        """
        for version in self.versions:
            if version.version_id == version_id:
                return version
        raise api.NoSuchEntityException(f"Policy {self.arn} version {version_id} does not exist or is not attachable.")

    def with_version(self, document: str, now: float, *, is_default: bool) -> "Policy":
        """Return the policy with a new version.

        Raises:
            LimitExceededException: there are as many versions as may be.
        """
        if len(self.versions) >= limits.POLICY_VERSIONS_MAX:
            text = (
                f"A managed policy can have up to {limits.POLICY_VERSIONS_MAX} versions. Before you create a new "
                "version, you must delete an existing version."
            )
            raise api.LimitExceededException(text)
        number = self.last_number + 1
        return msgspec.structs.replace(
            self,
            versions=(*self.versions, Version(number, document, now)),
            last_number=number,
            default_number=number if is_default else self.default_number,
            updated_at=now,
        )

    def without_version(self, version_id: str) -> "Policy":
        """Return the policy without one version.

        Raises:
            DeleteConflictException: it is the default version.
        """
        gone = self.version(version_id)
        if gone.number == self.default_number:
            raise api.DeleteConflictException("Cannot delete the default version of a policy.")
        return msgspec.structs.replace(self, versions=tuple(version for version in self.versions if version != gone))

    def listed(self, attachments: int, boundaries: int = 0) -> api.Policy:
        """Return what lists answer, which leave out description and tags."""
        return api.Policy(
            policy_name=self.name,
            policy_id=self.policy_id,
            arn=self.arn,
            path=self.path,
            default_version_id=f"v{self.default_number}",
            attachment_count=attachments,
            permissions_boundary_usage_count=boundaries,
            is_attachable=True,
            create_date=self.created_at,
            update_date=self.updated_at,
        )

    def described(self, attachments: int, boundaries: int = 0) -> api.Policy:
        """Return all of it, as GetPolicy answers."""
        return msgspec.structs.replace(
            self.listed(attachments, boundaries), description=self.description, tags=tags_of(self.tags)
        )


POLICY = Kind("iam.policy", Policy)


def check_document(document: str) -> None:
    """Check the document of a managed policy.

    Raises:
        MalformedPolicyDocumentException: it breaks the grammar.
        LimitExceededException: it is too large.
    """
    check_permissions_document(document)
    if count_characters(document) > limits.POLICY_CHARACTERS_MAX:
        raise api.LimitExceededException(f"Cannot exceed quota for PolicySize: {limits.POLICY_CHARACTERS_MAX}")


def is_aws_managed(arn: str) -> bool:
    """Return whether an ARN names one of AWS's managed policies.

    Raises:
        InvalidInputException: it is not a policy's ARN.
    """
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise api.InvalidInputException(f"ARN {arn} is not valid.") from None
    if parsed.service != "iam" or parsed.region or not parsed.resource.startswith("policy/"):
        raise api.InvalidInputException(f"ARN {arn} is not valid.")
    return parsed.account == _AWS_ACCOUNT


def find_policy(call: Call, arn: str) -> Policy | None:
    """Return a policy of the caller's account by its ARN, or None."""
    policy = call.reader.find(POLICY, entity_key(call, last_name(arn)))
    return policy if policy is not None and policy.arn == arn else None


def load_policy(call: Call, arn: str) -> Policy:
    """Return a policy of the caller's account by its ARN.

    Raises:
        NoSuchEntityException: there is none.
        ServiceError: NotImplemented, it is one of AWS's own: their documents are not here.
    """
    if is_aws_managed(arn):
        text = f"AWS managed policies can only be attached: the content of {arn} is not part of Forebay."
        raise ServiceError.of("NotImplemented", text, 501)
    policy = find_policy(call, arn)
    if policy is None:
        raise api.NoSuchEntityException(f"Policy {arn} was not found.")
    return policy


def put_policy(call: Call, policy: Policy) -> None:
    """Keep a policy."""
    call.records.put(POLICY, entity_key(call, policy.name), policy)


def check_attachable(call: Call, arn: str) -> None:
    """Check that a policy can be attached; of AWS's own any can, by its ARN.

    Raises:
        NoSuchEntityException: there is none.
    """
    if not is_aws_managed(arn) and find_policy(call, arn) is None:
        raise api.NoSuchEntityException(f"Policy {arn} does not exist or is not attachable.")


def check_boundary(call: Call, arn: str | None) -> None:
    """Check that a policy can serve as permissions boundary.

    Raises:
        NoSuchEntityException: there is none.
    """
    if arn is not None:
        check_attachable(call, arn)


def count_attachments(call: Call, arn: str) -> int:
    """Return to how many roles, users and groups a policy is attached."""
    policies = [
        *(role.policies for role in list_entities(call, ROLE)),
        *(user.policies for user in list_entities(call, USER)),
        *(group.policies for group in list_entities(call, GROUP)),
    ]
    return sum(arn in each.attached for each in policies)


def count_boundaries(call: Call, arn: str) -> int:
    """Return of how many roles and users a policy is the permissions boundary."""
    boundaries = [
        *(role.boundary for role in list_entities(call, ROLE)),
        *(user.boundary for user in list_entities(call, USER)),
    ]
    return boundaries.count(arn)
