"""A user."""

from collections.abc import Mapping

import msgspec

from forebay.api import iam as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.iam.entity import Policies, boundary_of, entity_arn, entity_key, last_name, tags_of
from forebay.store.records import Kind


class User(msgspec.Struct, frozen=True):
    """A user as it is kept; `groups` are names."""

    account: str
    name: str
    path: str
    user_id: str
    created_at: float
    boundary: str | None = None
    tags: Mapping[str, str] = {}
    policies: Policies = Policies()
    groups: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        """The user's ARN, path included."""
        return entity_arn(self.account, "user", self.path, self.name)

    def listed(self) -> api.User:
        """Return what lists answer, which leave out tags and boundary."""
        return api.User(
            path=self.path, user_name=self.name, user_id=self.user_id, arn=self.arn, create_date=self.created_at
        )

    def described(self) -> api.User:
        """Return all of it."""
        return msgspec.structs.replace(
            self.listed(), permissions_boundary=boundary_of(self.boundary), tags=tags_of(self.tags) or None
        )


USER = Kind("iam.user", User)


def load_user(call: Call, name: str | None) -> User:
    """Return a user of the caller's account; without a name, the user who calls.

    Raises:
        NoSuchEntityException: there is none.
        ServiceError: ValidationError, no name is given and the caller is no user.
    """
    if name is None:
        if ":user/" not in call.caller.principal:
            raise ServiceError.of("ValidationError", "Must specify userName when calling with non-User credentials")
        name = last_name(call.caller.principal)
    user = call.reader.find(USER, entity_key(call, name))
    if user is None:
        raise api.NoSuchEntityException(f"The user with name {name} cannot be found.")
    return user


def put_user(call: Call, user: User) -> None:
    """Keep a user."""
    call.records.put(USER, entity_key(call, user.name), user)
