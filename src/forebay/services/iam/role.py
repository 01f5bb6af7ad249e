"""A role."""

from collections.abc import Mapping

import msgspec

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.services.iam.document import encode_document
from forebay.services.iam.entity import Policies, boundary_of, entity_arn, entity_key, tags_of
from forebay.store.records import Kind

SESSION_SECONDS_DEFAULT = 3600


class Role(msgspec.Struct, frozen=True):
    """A role as it is kept."""

    account: str
    name: str
    path: str
    role_id: str
    created_at: float
    trust_policy: str
    description: str | None = None
    session_seconds_max: int = SESSION_SECONDS_DEFAULT
    boundary: str | None = None
    tags: Mapping[str, str] = {}
    policies: Policies = Policies()

    @property
    def arn(self) -> str:
        """The role's ARN, path included."""
        return entity_arn(self.account, "role", self.path, self.name)

    def created(self) -> api.Role:
        """Return what CreateRole answers, which leaves out description and session duration."""
        return api.Role(
            path=self.path,
            role_name=self.name,
            role_id=self.role_id,
            arn=self.arn,
            create_date=self.created_at,
            assume_role_policy_document=encode_document(self.trust_policy),
            permissions_boundary=boundary_of(self.boundary),
            tags=tags_of(self.tags) or None,
        )

    def listed(self) -> api.Role:
        """Return what lists answer, which leave out tags and boundary."""
        return api.Role(
            path=self.path,
            role_name=self.name,
            role_id=self.role_id,
            arn=self.arn,
            create_date=self.created_at,
            assume_role_policy_document=encode_document(self.trust_policy),
            description=self.description,
            max_session_duration=self.session_seconds_max,
        )

    def described(self) -> api.Role:
        """Return all of it, as GetRole answers."""
        return msgspec.structs.replace(
            self.listed(),
            permissions_boundary=boundary_of(self.boundary),
            tags=tags_of(self.tags) or None,
            role_last_used=api.RoleLastUsed(),
        )


ROLE = Kind("iam.role", Role)


def load_role(call: Call, name: str) -> Role:
    """Return a role of the caller's account.

    Raises:
        NoSuchEntityException: there is none.
    """
    role = call.reader.find(ROLE, entity_key(call, name))
    if role is None:
        raise api.NoSuchEntityException(f"The role with name {name} cannot be found.")
    return role


def put_role(call: Call, role: Role) -> None:
    """Keep a role."""
    call.records.put(ROLE, entity_key(call, role.name), role)
