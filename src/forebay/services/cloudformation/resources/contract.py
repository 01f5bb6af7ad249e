"""What a resource type is: its name, its properties and the steps that make, change and unmake one.

A step is given a `Site` (where and for whom) and resolved properties, and acts only through the operation table. Steps
may be run again after a crash: the engine records its intent, with the physical name, before the first one.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.names import NameRule

Properties = Mapping[str, Any]


class Made(msgspec.Struct, frozen=True):
    """A resource as it stands: the physical id is what `Ref` gives, attributes are what `Fn::GetAtt` gives."""

    physical_id: str
    attributes: dict[str, Any] = {}


class Existing(msgspec.Struct, frozen=True):
    """A resource as it was last made, for the steps that change or delete it."""

    physical_id: str
    properties: dict[str, Any]
    attributes: dict[str, Any] = {}


class Place(msgspec.Struct, frozen=True):
    """Where a resource is made: whose stack, in which region, reached how.

    `name` is the physical name chosen for the resource where the template gives none; `token` tells one deployment from
    the next and stays the same when a step is resumed.
    """

    account: str
    region: str
    endpoint: str
    stack_id: str
    stack_name: str
    logical_id: str
    type: str
    name: str
    token: str
    capabilities: tuple[str, ...] = ()
    tags: dict[str, str] = {}


class Site(Protocol):
    """A place, and the way from it to the services."""

    @property
    def place(self) -> Place:
        """Where this is."""
        ...

    async def run(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run an operation as the stack's caller; None members are left out. Raises `ServiceError`."""
        ...

    async def record(self, made: Made) -> None:
        """Keep what has been made so far, durably: for creates of more than one step, after the first."""
        ...

    def note(self, text: str) -> None:
        """Have the deploy say something of the resource that the user should know."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait before looking again. Raises `ServiceError` where the deployment was cancelled meanwhile."""
        ...

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        ...


Create = Callable[[Site, Properties], Awaitable[Made]]
Update = Callable[[Site, Existing, Properties], Awaitable[Made]]
Delete = Callable[[Site, Existing], Awaitable[None]]
Find = Callable[[Site, Properties], Awaitable[Made | None]]


async def keep(_site: Site, _existing: Existing) -> None:
    """Delete nothing: for resources that end with another one."""


@dataclass(frozen=True)
class ResourceType:
    """One type. `update` None means that every change needs a replacement.

    `find` looks for a resource that an interrupted create may have made, where its id is the service's choice.
    `without_effect` are properties that are accepted and kept but change nothing on this platform; a deploy lists them.
    `unsupported` are refused by name. `attributes` are those beside the schema's; `*` allows any.
    """

    name: str
    create: Create
    delete: Delete
    update: Update | None = None
    find: Find | None = None
    naming: NameRule | None = None
    attributes: frozenset[str] = frozenset()
    without_effect: frozenset[str] = frozenset()
    unsupported: frozenset[str] = frozenset()
    # Beyond the schema's create-only properties: whether this change needs a replacement.
    replaces: Callable[[Properties, Properties], bool] | None = None
    # Types whose properties are anybody's (custom resources) are not checked by name.
    open_properties: bool = False
    schema_name: str | None = field(default=None)


# Codes that say "it is gone": deleting what is not there is done.
NOT_FOUND_CODES = frozenset(
    {
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchEntityException",
        "NotFound",
        "NotFoundException",
        "ParameterNotFound",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)

# Codes that say "it is there already": after a crash, what the last attempt made.
EXISTS_CODES = frozenset(
    {
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "ConflictException",
        "EntityAlreadyExists",
        "EntityAlreadyExistsException",
        "ParameterAlreadyExists",
        "QueueAlreadyExists",
        "QueueNameExists",
        "ResourceAlreadyExistsException",
        "ResourceConflictException",
        "ResourceExistsException",
    }
)


def is_not_found(error: ServiceError) -> bool:
    """Return whether an operation failed because the resource is not there."""
    return error.code in NOT_FOUND_CODES or error.query_code in NOT_FOUND_CODES


def is_existing(error: ServiceError) -> bool:
    """Return whether an operation failed because the resource is there already."""
    return error.code in EXISTS_CODES or error.query_code in EXISTS_CODES
