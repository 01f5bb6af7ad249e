"""Operations on the versions of state machines."""

from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.pages import encode_token
from forebay.operations.service import operation
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.address import unlabelled
from forebay.services.stepfunctions.pages import page_size, token_text
from forebay.services.stepfunctions.state_machine import (
    ALIAS,
    INITIAL,
    STATE_MACHINE,
    VERSION,
    StateMachine,
    Version,
    load_active,
    no_machine,
    version_key,
)


@operation
def publish_state_machine_version(
    call: Call, request: api.PublishStateMachineVersionInput
) -> api.PublishStateMachineVersionOutput:
    """Make a version of the current revision, or return the one that it has.

    Raises:
        ConflictException: the current revision is another than the one that the request names.
    """
    name = unlabelled(request.state_machine_arn)
    if name.qualifier is not None:
        raise no_machine(name)
    machine = load_active(call, name)
    current = INITIAL if machine.revision_id == machine.first_revision_id else machine.revision_id
    if request.revision_id is not None and request.revision_id != current:
        raise api.ConflictException(
            f"Failed to publish the State Machine version for revision {request.revision_id}. "
            f"The current State Machine revision is {current}."
        )
    version = publish(call, machine, request.description)
    return api.PublishStateMachineVersionOutput(
        creation_date=version.created_at, state_machine_version_arn=name.qualified(str(version.number)).arn()
    )


@operation
def delete_state_machine_version(
    call: Call, request: api.DeleteStateMachineVersionInput
) -> api.DeleteStateMachineVersionOutput:
    """Delete a version; one that is not there is no error. Its executions go on.

    Raises:
        ConflictException: an alias routes to it.
    """
    name = unlabelled(request.state_machine_version_arn)
    number = name.version
    if number is None:
        raise api.ValidationException(f"State Machine Version ARN is expected: '{name.arn()}'")
    aliases = [
        alias.name
        for _, alias in call.records.list(ALIAS, name.prefix())
        if any(version == number for version, _ in alias.routing)
    ]
    if aliases:
        raise api.ConflictException(
            "Version to be deleted must not be referenced by an alias. "
            f"Current list of aliases referencing this version: [{', '.join(aliases)}]"
        )
    call.records.delete(VERSION, version_key(name, number))
    return api.DeleteStateMachineVersionOutput()


@operation(readonly=True)
def list_state_machine_versions(
    call: Call, request: api.ListStateMachineVersionsInput
) -> api.ListStateMachineVersionsOutput:
    """List the versions of a state machine, the newest first; none where there is no such state machine."""
    name = unlabelled(request.state_machine_arn)
    if name.qualifier is not None:
        raise no_machine(name)
    # At most a thousand, each of some bytes.
    numbers = [version for _, version in reversed(call.reader.list(VERSION, name.prefix()))]
    after = token_text(request.next_token)
    rest = [version for version in numbers if not after or version.number < int(after)]
    shown = rest[: page_size(request.max_results)]
    return api.ListStateMachineVersionsOutput(
        state_machine_versions=[
            api.StateMachineVersionListItem(
                state_machine_version_arn=name.qualified(str(version.number)).arn(), creation_date=version.created_at
            )
            for version in shown
        ],
        next_token=encode_token(str(shown[-1].number)) if len(rest) > len(shown) else None,
    )


def publish(call: Call, machine: StateMachine, description: str | None) -> Version:
    """Return the version of a state machine's current revision, making it if there is none.

    Raises:
        ServiceQuotaExceededException: it has as many versions as it can have.
    """
    versions = [version for _, version in call.records.list(VERSION, machine.name.prefix())]
    for version in versions:
        if version.revision_id == machine.revision_id:
            return version
    if len(versions) >= limits.VERSIONS_MAX:
        raise api.ServiceQuotaExceededException(
            f"The number of versions of the state machine exceeds the limit of {limits.VERSIONS_MAX}."
        )
    # Read anew: the caller may have changed it in this transaction.
    kept = call.records.find(STATE_MACHINE, machine.name.key()) or machine
    version = Version(kept.version_last + 1, machine.revision_id, call.now, description)
    call.records.put(VERSION, version_key(machine.name, version.number), version)
    call.records.put(STATE_MACHINE, machine.name.key(), replace(kept, version_last=version.number))
    return version
