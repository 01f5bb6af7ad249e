"""A group of users; who is in it is kept with the users."""

import msgspec

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.services.iam.entity import Policies, entity_arn, entity_key
from forebay.store.records import Kind


class Group(msgspec.Struct, frozen=True):
    """A group as it is kept."""

    account: str
    name: str
    path: str
    group_id: str
    created_at: float
    policies: Policies = Policies()

    @property
    def arn(self) -> str:
        """The group's ARN, path included."""
        return entity_arn(self.account, "group", self.path, self.name)

    def described(self) -> api.Group:
        """Return it in AWS's form."""
        return api.Group(
            path=self.path, group_name=self.name, group_id=self.group_id, arn=self.arn, create_date=self.created_at
        )


GROUP = Kind("iam.group", Group)


def load_group(call: Call, name: str) -> Group:
    """Return a group of the caller's account.

    Raises:
        NoSuchEntityException: there is none.
    """
    group = call.reader.find(GROUP, entity_key(call, name))
    if group is None:
        raise api.NoSuchEntityException(f"The group with name {name} cannot be found.")
    return group


def put_group(call: Call, group: Group) -> None:
    """Keep a group."""
    call.records.put(GROUP, entity_key(call, group.name), group)
