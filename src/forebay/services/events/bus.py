"""An event bus as it is kept, and how one is named: by name in the caller's account and region, or by ARN anywhere.

Every account and region has a bus called `default` from the start. It has a record only once something of it was
changed (its policy, its tags). It is as old as EventBridge.
"""

from typing import Self

import msgspec
from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.events.errors import malformed_arn, no_bus, validation_error
from forebay.store.records import Kind, record_key

DEFAULT = "default"
# 11 July 2019.
_DEFAULT_CREATED_AT = 1_562_803_200.0
_ARN_RESOURCE = "event-bus/"


class BusAddress(msgspec.Struct, frozen=True):
    """Where a bus is."""

    account: str
    region: str
    name: str

    @classmethod
    def of(cls, call: Call, text: str | None) -> Self:
        """Read an `EventBusName`: a name, an ARN, or nothing for the default bus."""
        return cls.read(text, call.account, call.region)

    @classmethod
    def read(cls, text: str | None, account: str, region: str) -> Self:
        """Read an `EventBusName` as seen from an account and region.

        Raises:
            ValidationException: the text starts like an ARN and names no bus.
        """
        if text is None:
            return cls(account, region, DEFAULT)
        if not text.startswith("arn:"):
            return cls(account, region, text)
        try:
            return cls.at(Arn.parse(text))
        except ValueError:
            raise malformed_arn(text) from None

    @classmethod
    def at(cls, arn: Arn) -> Self:
        """Return the address that a bus's ARN names.

        Raises:
            ValueError: the ARN is of something else.
        """
        if arn.service != "events" or not arn.resource.startswith(_ARN_RESOURCE):
            raise ValueError(f"not the ARN of an event bus: {arn}")
        return cls(arn.account, arn.region, arn.resource.removeprefix(_ARN_RESOURCE))

    def key(self) -> str:
        """Return the key of the bus's record; its rules' keys begin with it."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the bus's ARN."""
        return str(Arn.of("events", self.region, self.account, _ARN_RESOURCE + self.name))


class EventBus(msgspec.Struct, frozen=True, kw_only=True):
    """One event bus. Times are seconds since the epoch; the record of the default bus may have none."""

    account: str
    region: str
    name: str
    created_at: float | None = None
    modified_at: float | None = None
    description: str | None = None
    kms_key: str | None = None
    dead_letter: api.DeadLetterConfig | None = None
    log_config: api.LogConfig | None = None
    policy: str | None = None
    tags: dict[str, str] = {}

    def address(self) -> BusAddress:
        """Return where the bus is."""
        return BusAddress(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the bus's ARN."""
        return self.address().arn()


BUS = Kind("events.bus", EventBus)


def find_bus(call: Call, address: BusAddress) -> EventBus | None:
    """Return a bus inside a transaction or view; the default bus is always there."""
    bus = call.reader.find(BUS, address.key())
    if address.name != DEFAULT:
        return bus
    bus = bus or EventBus(account=address.account, region=address.region, name=DEFAULT)
    created_at = bus.created_at or _DEFAULT_CREATED_AT
    return replace(bus, created_at=created_at, modified_at=bus.modified_at or created_at)


def load_bus(call: Call, address: BusAddress) -> EventBus:
    """Return a bus inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such bus.
    """
    bus = find_bus(call, address)
    if bus is None:
        raise no_bus(address.name)
    return bus


def check_name(name: str) -> None:
    """Check the name of a new custom bus.

    Raises:
        ResourceAlreadyExistsException: it is the default bus's.
        ValidationException: AWS would refuse the name.
    """
    if name == DEFAULT:
        raise api.ResourceAlreadyExistsException(f"Event bus {name} already exists.")
    if "/" in name:
        raise validation_error("Event bus name must not contain '/'.")
    if name.startswith("aws."):
        raise validation_error("EventBus name starting with 'aws.' is not valid.")
