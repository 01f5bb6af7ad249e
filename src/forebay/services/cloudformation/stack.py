"""Domain: stacks, their revisions, resources, events and exports, as the store keeps them."""

from typing import Any, Literal

import msgspec

from forebay.core.arn import Arn
from forebay.services.cloudformation.template.parameters import Bound
from forebay.store.records import Kind, record_key

ALLOW_IGNORED_TAG = "forebay:allow-ignored"
"""A stack tag: with the value `true`, unknown types and properties are left out and listed instead of refused."""

# CloudFormation shows deleted stacks and their events for 90 days.
RETENTION_SECONDS = 90 * 24 * 3600.0

STACK_TYPE = "AWS::CloudFormation::Stack"


class Revision(msgspec.Struct, frozen=True):
    """One state that a stack has been asked to take: its template and everything that the template was given."""

    body: str
    # The template after macros, as JSON.
    processed: str
    parameters: dict[str, Bound] = {}
    tags: dict[str, str] = {}
    capabilities: tuple[str, ...] = ()
    notification_arns: tuple[str, ...] = ()
    role_arn: str | None = None
    description: str | None = None
    rollback_configuration: dict[str, Any] | None = None

    @property
    def allows_ignored(self) -> bool:
        """Whether what this platform cannot do is left out instead of refused."""
        return self.tags.get(ALLOW_IGNORED_TAG, "").lower() == "true"


class StackOutput(msgspec.Struct, frozen=True):
    """One output with its value."""

    key: str
    value: str
    description: str | None = None
    export: str | None = None


class Stack(msgspec.Struct, frozen=True):
    """One stack; `revision` is what is deployed, or being deployed while an operation runs."""

    id: str
    name: str
    uuid: str
    status: str
    created_at: float
    revision: Revision
    reason: str | None = None
    updated_at: float | None = None
    deleted_at: float | None = None
    outputs: tuple[StackOutput, ...] = ()
    disable_rollback: bool = False
    retain_except_on_create: bool = False
    timeout_minutes: int | None = None
    termination_protection: bool = False
    policy: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    change_set_id: str | None = None
    # Whether a deployment has ever begun; a stack that only has change sets is REVIEW_IN_PROGRESS.
    deployments: int = 0

    @property
    def account(self) -> str:
        """The account that the stack is in."""
        return Arn.parse(self.id).account

    @property
    def region(self) -> str:
        """The region that the stack is in."""
        return Arn.parse(self.id).region

    @property
    def is_busy(self) -> bool:
        """Whether an operation runs on it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def is_live(self) -> bool:
        """Whether it is not deleted."""
        return self.status != "DELETE_COMPLETE"


class Snapshot(msgspec.Struct, frozen=True):
    """A physical resource: what is needed to change it back or to delete it."""

    physical_id: str
    type: str
    properties: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    retain: bool = False


Action = Literal["", "create", "update", "replace", "delete"]


class StackResource(msgspec.Struct, frozen=True):
    """One resource of a stack.

    `previous` is what it was before the deployment that touched it last, until that deployment is over: an update is
    undone with it, and a replaced physical resource is deleted by it. `action` and `name` are the intent that is
    recorded before a step, so that an interrupted one is resumed.
    """

    logical_id: str
    type: str
    status: str
    changed_at: float
    physical_id: str | None = None
    reason: str | None = None
    properties: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    depends_on: tuple[str, ...] = ()
    deletion_policy: str | None = None
    update_replace_policy: str | None = None
    metadata: str | None = None
    previous: Snapshot | None = None
    deployment: int = 0
    # Whether the deployment that touched it last made it: rolling back deletes it.
    is_new: bool = False
    action: Action = ""
    name: str = ""
    pending: dict[str, Any] | None = None
    is_ignored: bool = False

    def snapshot(self) -> Snapshot | None:
        """Return the physical resource, if there is one."""
        if self.physical_id is None:
            return None
        retain = self.update_replace_policy in {"Retain", "RetainExceptOnCreate"}
        return Snapshot(self.physical_id, self.type, self.properties, self.attributes, retain)


class StackEvent(msgspec.Struct, frozen=True):
    """One event of a stack's history."""

    id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    at: float
    reason: str | None = None
    properties: str | None = None
    token: str | None = None


class Export(msgspec.Struct, frozen=True):
    """A value that a stack exports to the others of its account and region."""

    name: str
    value: str
    stack_id: str


class Deployment(msgspec.Struct, frozen=True):
    """An operation that runs on a stack: the durable state that a worker drives to its end.

    `phase` moves from `forward` over `cleanup` to the end, or over `rollback` and `rollback_cleanup`.
    """

    kind: Literal["CREATE", "UPDATE", "DELETE"]
    number: int
    token: str
    access_key: str
    principal: str
    endpoint: str
    phase: Literal["forward", "cleanup", "rollback", "rollback_cleanup"] = "forward"
    previous: Revision | None = None
    previous_outputs: tuple[StackOutput, ...] = ()
    on_failure: Literal["ROLLBACK", "DELETE", "DO_NOTHING"] = "ROLLBACK"
    deadline: float | None = None
    retain: tuple[str, ...] = ()
    # A stack operation under way is cancelled by CancelUpdateStack and by DeleteStack.
    cancelled: bool = False
    client_token: str | None = None
    failed: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


STACK = Kind("cloudformation.stack", Stack)
"""Under account, region and the id's UUID."""

STACK_NAME = Kind("cloudformation.stack_name", str)
"""The UUID of the live stack of a name, under account, region and name."""

RESOURCE = Kind("cloudformation.resource", StackResource)
"""Under account, region, the stack's UUID and the logical id."""

DEPLOYMENT = Kind("cloudformation.deployment", Deployment)
"""The operation that runs on a stack, under account, region and the stack's UUID."""

EXPORT = Kind("cloudformation.export", Export)
"""Under account, region and the export's name."""

IMPORT = Kind("cloudformation.import", str)
"""The name of a stack that imports a value, under account, region, the export's name and the stack's UUID."""


def stack_key(stack: Stack) -> str:
    """Return the key of a stack's record."""
    return record_key(stack.account, stack.region, stack.uuid)


def event_stream(uuid: str) -> str:
    """Return the log stream that holds a stack's events."""
    return f"cloudformation/{uuid}"
