"""A schedule group as it is kept. Every account and region has one called `default`, made when it is first needed."""

import msgspec

from forebay.api import scheduler as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.scheduler.errors import no_group
from forebay.store.records import Kind, record_key

DEFAULT = "default"
_ARN_RESOURCE = "schedule-group/"


class GroupAddress(msgspec.Struct, frozen=True):
    """Where a schedule group is."""

    account: str
    region: str
    name: str

    @classmethod
    def of(cls, call: Call, name: str | None) -> "GroupAddress":
        """Return the address of a group of the caller's; no name means the default group."""
        return cls(call.account, call.region, name or DEFAULT)

    @classmethod
    def at(cls, text: str) -> "GroupAddress":
        """Return the address that a group's ARN names; the model has checked its form."""
        arn = Arn.parse(text)
        return cls(arn.account, arn.region, arn.resource.removeprefix(_ARN_RESOURCE))

    def key(self) -> str:
        """Return the key of the group's record; its schedules' keys begin with it."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the group's ARN."""
        return str(Arn.of("scheduler", self.region, self.account, _ARN_RESOURCE + self.name))


class ScheduleGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule group. One that is `DELETING` goes when its last schedule has gone."""

    address: GroupAddress
    created_at: float
    modified_at: float
    state: api.ScheduleGroupState = "ACTIVE"
    tags: dict[str, str] = {}
    client_token: str | None = None


GROUP = Kind("scheduler.group", ScheduleGroup)


def find_group(call: Call, address: GroupAddress) -> ScheduleGroup | None:
    """Return a group inside a transaction; the default group is made where it has not been needed yet."""
    group = call.records.find(GROUP, address.key())
    if group is None and address.name == DEFAULT:
        group = ScheduleGroup(address=address, created_at=call.now, modified_at=call.now)
        call.records.put(GROUP, address.key(), group)
    return group


def load_group(call: Call, address: GroupAddress) -> ScheduleGroup:
    """Return a group inside a transaction.

    Raises:
        ResourceNotFoundException: there is no such group.
    """
    group = find_group(call, address)
    if group is None:
        raise no_group(address.name)
    return group
