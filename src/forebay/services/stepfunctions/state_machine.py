"""A state machine as it is kept: its current revision, its versions and aliases. Pure rules and loading."""

import msgspec

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.services.stepfunctions.address import MachineName
from forebay.services.stepfunctions.configuration import AWS_KEY, NO_LOGGING, NO_TRACING
from forebay.store.records import Kind, record_key

INITIAL = "INITIAL"
"""What PublishStateMachineVersion calls the first revision, which has no id."""


class Revision(msgspec.Struct, frozen=True):
    """What an execution runs: once made it never changes. `created_at` is when the state machine became it."""

    revision_id: str
    definition: str
    role: str
    type: api.StateMachineType
    created_at: float
    logging: api.LoggingConfiguration = NO_LOGGING
    tracing: api.TracingConfiguration = NO_TRACING
    encryption: api.EncryptionConfiguration = AWS_KEY

    def shown_id(self) -> str | None:
        """Return the id as answers show it: the first revision has none."""
        return None if self.revision_id.startswith(INITIAL) else self.revision_id

    def is_like(self, other: "Revision") -> bool:
        """Tell whether another revision says the same."""
        return msgspec.structs.replace(other, revision_id=self.revision_id, created_at=self.created_at) == self


class StateMachine(msgspec.Struct, frozen=True):
    """A state machine. Its revision is a record of its own, because definitions are large."""

    name: MachineName
    type: api.StateMachineType
    revision_id: str
    created_at: float
    updated_at: float
    status: api.StateMachineStatus = "ACTIVE"
    tags: dict[str, str] = {}
    # The number of the last version, of which none is given twice.
    version_last: int = 0
    # What the creation asked beside the revision, for telling whether it is asked again.
    published: bool = False
    version_description: str | None = None
    first_revision_id: str = ""


class Version(msgspec.Struct, frozen=True):
    """A published version."""

    number: int
    revision_id: str
    created_at: float
    description: str | None = None


class Alias(msgspec.Struct, frozen=True):
    """A name for one version, or for two by weight (version number and percentage)."""

    machine: MachineName
    name: str
    routing: tuple[tuple[int, int], ...]
    created_at: float
    updated_at: float
    description: str | None = None

    def arn(self) -> str:
        """Return the alias's ARN."""
        return self.machine.qualified(self.name).arn()

    def choose(self, chance: float) -> int:
        """Return the version for an execution; `chance` is a random number in [0, 100)."""
        edge = 0
        for version, weight in self.routing:
            edge += weight
            if chance < edge:
                return version
        return self.routing[-1][0]


STATE_MACHINE = Kind("stepfunctions.state_machine", StateMachine)
REVISION = Kind("stepfunctions.revision", Revision)
VERSION = Kind("stepfunctions.version", Version)
ALIAS = Kind("stepfunctions.alias", Alias)


def revision_key(machine: MachineName, revision_id: str) -> str:
    """Return the key of a revision."""
    return record_key(machine.account, machine.region, machine.name, revision_id)


def version_key(machine: MachineName, number: int) -> str:
    """Return the key of a version; keys sort by number."""
    return record_key(machine.account, machine.region, machine.name, f"{number:010d}")


def alias_key(machine: MachineName, name: str) -> str:
    """Return the key of an alias."""
    return record_key(machine.account, machine.region, machine.name, name)


def load_machine(call: Call, machine: MachineName) -> StateMachine:
    """Return a state machine.

    Raises:
        StateMachineDoesNotExist: there is none of that name.
    """
    found = call.reader.find(STATE_MACHINE, machine.key())
    if found is None:
        raise no_machine(machine)
    return found


def load_active(call: Call, machine: MachineName) -> StateMachine:
    """Return a state machine that is not being deleted.

    Raises:
        StateMachineDoesNotExist: there is none of that name.
        StateMachineDeleting: it is being deleted.
    """
    found = load_machine(call, machine)
    if found.status == "DELETING":
        raise api.StateMachineDeleting(f"State Machine is being deleted: '{machine.base().arn()}'")
    return found


def load_revision(call: Call, machine: MachineName, revision_id: str) -> Revision:
    """Return a revision of which a state machine, a version or an execution says that it is there."""
    revision = call.reader.find(REVISION, revision_key(machine, revision_id))
    assert revision is not None, "revisions outlive all that names them"
    return revision


def load_version(call: Call, machine: MachineName, number: int) -> Version:
    """Return a version.

    Raises:
        StateMachineDoesNotExist: there is none of that number.
    """
    version = call.reader.find(VERSION, version_key(machine, number))
    if version is None:
        raise no_machine(machine.qualified(str(number)))
    return version


def load_alias(call: Call, machine: MachineName) -> Alias:
    """Return the alias that a name's qualifier is.

    Raises:
        ResourceNotFound: there is none.
    """
    alias = call.reader.find(ALIAS, alias_key(machine, machine.qualifier or ""))
    if alias is None:
        raise no_resource(machine.arn())
    return alias


def no_machine(machine: MachineName) -> api.StateMachineDoesNotExist:
    """Return the answer for a state machine that is not there."""
    return api.StateMachineDoesNotExist(f"State Machine Does Not Exist: '{machine.arn()}'")


def no_resource(arn: str) -> api.ResourceNotFound:
    """Return the answer for a version, alias, map run or tagged resource that is not there."""
    return api.ResourceNotFound(f"Resource not found: '{arn}'", resource_name=arn)
