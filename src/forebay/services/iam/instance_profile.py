"""An instance profile: a container for one role."""

from collections.abc import Mapping

import msgspec

from forebay.api import iam as api
from forebay.operations.call import Call
from forebay.services.iam.entity import entity_arn, entity_key, tags_of
from forebay.services.iam.role import load_role
from forebay.store.records import Kind


class InstanceProfile(msgspec.Struct, frozen=True):
    """An instance profile as it is kept; `roles` are names."""

    account: str
    name: str
    path: str
    profile_id: str
    created_at: float
    roles: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """The profile's ARN, path included."""
        return entity_arn(self.account, "instance-profile", self.path, self.name)

    def described(self, call: Call) -> api.InstanceProfile:
        """Return it in AWS's form, with its roles."""
        return api.InstanceProfile(
            path=self.path,
            instance_profile_name=self.name,
            instance_profile_id=self.profile_id,
            arn=self.arn,
            create_date=self.created_at,
            roles=[load_role(call, name).listed() for name in self.roles],
            tags=tags_of(self.tags),
        )


INSTANCE_PROFILE = Kind("iam.instance_profile", InstanceProfile)


def load_instance_profile(call: Call, name: str) -> InstanceProfile:
    """Return an instance profile of the caller's account.

    Raises:
        NoSuchEntityException: there is none.
    """
    profile = call.reader.find(INSTANCE_PROFILE, entity_key(call, name))
    if profile is None:
        raise api.NoSuchEntityException(f"Instance Profile {name} cannot be found.")
    return profile


def put_instance_profile(call: Call, profile: InstanceProfile) -> None:
    """Keep an instance profile."""
    call.records.put(INSTANCE_PROFILE, entity_key(call, profile.name), profile)
