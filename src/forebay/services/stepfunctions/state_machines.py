"""Operations on state machines: create, update, describe, list, delete."""

from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions.address import (
    MachineName,
    check_name,
    check_role,
    machine_name,
    own_machine,
    unlabelled,
)
from forebay.services.stepfunctions.configuration import encryption_of, logging_of, tags_of, tracing_of
from forebay.services.stepfunctions.definition import check_definition, part_of, references_of
from forebay.services.stepfunctions.deletion import begin_deletion, forget_later
from forebay.services.stepfunctions.pages import page
from forebay.services.stepfunctions.state_machine import (
    INITIAL,
    REVISION,
    STATE_MACHINE,
    Revision,
    StateMachine,
    Version,
    load_active,
    load_alias,
    load_machine,
    load_revision,
    load_version,
    no_machine,
    revision_key,
)
from forebay.services.stepfunctions.versions import publish
from forebay.store.records import key_prefix


@operation
async def create_state_machine(call: Call, request: api.CreateStateMachineInput) -> api.CreateStateMachineOutput:
    """Make a state machine. The same request again is answered as the first one was; roles and tags do not count.

    Raises:
        InvalidDefinition: the definition is not one; the text names every fault with its place.
        StateMachineAlreadyExists: there is one of that name that differs.
    """
    check_name(request.name)
    _check_description(request.version_description, publishes=request.publish)
    revision = Revision(
        revision_id=f"{INITIAL}-{call.ids.uuid()}",
        definition=request.definition,
        role=request.role_arn,
        type=request.type or "STANDARD",
        created_at=call.now,
        logging=logging_of(request.logging_configuration),
        tracing=tracing_of(request.tracing_configuration),
        encryption=encryption_of(request.encryption_configuration),
    )
    check_role(request.role_arn)
    check_definition(request.definition, revision.type)
    tags = tags_of(request.tags)
    # Checked outside the transaction: a large definition would keep everyone from writing.
    return await call.transact(lambda inner: _create(inner, request, revision, tags))


@operation
async def update_state_machine(call: Call, request: api.UpdateStateMachineInput) -> api.UpdateStateMachineOutput:
    """Change a state machine; executions that run keep what they began with.

    Raises:
        MissingRequiredParameter: nothing is to be changed.
    """
    name = unlabelled(request.state_machine_arn)
    if name.qualifier is not None:
        raise no_machine(name)
    _check_description(request.version_description, publishes=request.publish)
    _check_something_changes(request)
    if request.role_arn is not None:
        check_role(request.role_arn)
    type_ = (await call.look(lambda inner: load_active(inner, name))).type
    if request.definition is not None:
        check_definition(request.definition, type_)
    return await call.transact(lambda inner: _update(inner, name, request))


@operation(readonly=True)
def describe_state_machine(call: Call, request: api.DescribeStateMachineInput) -> api.DescribeStateMachineOutput:
    """Return a state machine, one of its versions (also by alias), or one of its distributed Map states by label."""
    name = machine_name(request.state_machine_arn)
    machine = load_machine(call, name)
    version = _named_version(call, name)
    revision = load_revision(call, name, machine.revision_id if version is None else version.revision_id)
    definition = revision.definition if name.label is None else part_of(revision.definition, name.label)
    if definition is None:
        raise no_machine(name)
    is_bare = request.included_data == "METADATA_ONLY"
    return api.DescribeStateMachineOutput(
        state_machine_arn=name.arn(),
        name=machine.name.name,
        status=machine.status,
        definition="{}" if is_bare else definition,
        role_arn=revision.role,
        type=revision.type,
        creation_date=machine.created_at if version is None else version.created_at,
        logging_configuration=revision.logging,
        tracing_configuration=revision.tracing,
        label=name.label,
        revision_id=revision.shown_id(),
        description=None if version is None or is_bare else version.description,
        encryption_configuration=revision.encryption,
        variable_references=None if is_bare else references_of(definition),
    )


@operation(readonly=True)
def list_state_machines(call: Call, request: api.ListStateMachinesInput) -> api.ListStateMachinesOutput:
    """List the state machines of the caller's account and region, by name."""
    prefix = key_prefix(call.account, call.region)
    machines, token = page(call.reader, STATE_MACHINE, prefix, request.next_token, request.max_results)
    items = [
        api.StateMachineListItem(
            state_machine_arn=machine.name.arn(),
            name=machine.name.name,
            type=machine.type,
            creation_date=machine.created_at,
        )
        for machine in machines
    ]
    return api.ListStateMachinesOutput(state_machines=items, next_token=token)


@operation
def delete_state_machine(call: Call, request: api.DeleteStateMachineInput) -> api.DeleteStateMachineOutput:
    """Delete a state machine with its versions and aliases, once its executions have ended.

    One that is not there is no error. Executions that still run are aborted at their next transition.
    """
    name = unlabelled(request.state_machine_arn)
    machine = call.records.find(STATE_MACHINE, name.base().key())
    if machine is not None and name.qualifier is None:
        begin_deletion(call, machine)
    return api.DeleteStateMachineOutput()


def _create(
    call: Call, request: api.CreateStateMachineInput, revision: Revision, tags: dict[str, str]
) -> api.CreateStateMachineOutput:
    name = own_machine(call, request.name)
    existing = call.records.find(STATE_MACHINE, name.key())
    if existing is not None:
        return _created_before(call, existing, request, revision)
    machine = StateMachine(
        name=name,
        type=revision.type,
        revision_id=revision.revision_id,
        created_at=call.now,
        updated_at=call.now,
        tags=tags,
        published=request.publish or False,
        version_description=request.version_description,
        first_revision_id=revision.revision_id,
    )
    call.records.put(REVISION, revision_key(name, revision.revision_id), revision)
    call.records.put(STATE_MACHINE, name.key(), machine)
    version = publish(call, machine, request.version_description) if request.publish else None
    return _created(machine, version)


def _update(call: Call, name: MachineName, request: api.UpdateStateMachineInput) -> api.UpdateStateMachineOutput:
    machine = load_active(call, name)
    before = load_revision(call, name, machine.revision_id)
    revision = _changed(before, request)
    if not revision.is_like(before):
        revision = replace(revision, revision_id=call.ids.uuid(), created_at=call.now)
        machine = replace(machine, revision_id=revision.revision_id)
        call.records.put(REVISION, revision_key(name, revision.revision_id), revision)
        call.apply(forget_later(name, call.now_ms))
    machine = replace(machine, updated_at=call.now)
    call.records.put(STATE_MACHINE, name.key(), machine)
    version = publish(call, machine, request.version_description) if request.publish else None
    return api.UpdateStateMachineOutput(
        update_date=call.now,
        revision_id=revision.shown_id(),
        state_machine_version_arn=None if version is None else name.qualified(str(version.number)).arn(),
    )


def _created_before(
    call: Call, existing: StateMachine, request: api.CreateStateMachineInput, revision: Revision
) -> api.CreateStateMachineOutput:
    """Answer a creation again if it is the same.

    Raises:
        StateMachineDeleting: the one of that name is being deleted.
        StateMachineAlreadyExists: it differs.
    """
    load_active(call, existing.name)
    current = load_revision(call, existing.name, existing.revision_id)
    is_same = (
        replace(current, role=revision.role).is_like(revision)
        and existing.published == (request.publish or False)
        and existing.version_description == request.version_description
    )
    if not is_same:
        raise api.StateMachineAlreadyExists(f"State Machine Already Exists: '{existing.name.arn()}'")
    version = publish(call, existing, request.version_description) if existing.published else None
    return _created(existing, version)


def _created(machine: StateMachine, version: Version | None) -> api.CreateStateMachineOutput:
    return api.CreateStateMachineOutput(
        state_machine_arn=machine.name.arn(),
        creation_date=machine.created_at,
        state_machine_version_arn=None if version is None else machine.name.qualified(str(version.number)).arn(),
    )


def _check_description(description: str | None, *, publishes: bool | None) -> None:
    if description is not None and not publishes:
        raise api.ValidationException("Version description can only be set when publish is true")


def _check_something_changes(request: api.UpdateStateMachineInput) -> None:
    given = (
        request.definition,
        request.role_arn,
        request.logging_configuration,
        request.tracing_configuration,
        request.encryption_configuration,
    )
    if all(each is None for each in given):
        raise api.MissingRequiredParameter(
            "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration, "
            "or the EncryptionConfiguration must be specified"
        )


def _changed(revision: Revision, request: api.UpdateStateMachineInput) -> Revision:
    return replace(
        revision,
        definition=revision.definition if request.definition is None else request.definition,
        role=revision.role if request.role_arn is None else request.role_arn,
        logging=(
            revision.logging if request.logging_configuration is None else logging_of(request.logging_configuration)
        ),
        tracing=(
            revision.tracing if request.tracing_configuration is None else tracing_of(request.tracing_configuration)
        ),
        encryption=(
            revision.encryption
            if request.encryption_configuration is None
            else encryption_of(request.encryption_configuration)
        ),
    )


def _named_version(call: Call, name: MachineName) -> Version | None:
    """Return the version that a name's qualifier is or leads to: of an alias, the one with the most weight."""
    if name.qualifier is None:
        return None
    if name.version is not None:
        return load_version(call, name, name.version)
    alias = load_alias(call, name)
    number, _ = max(alias.routing, key=lambda route: route[1])
    return load_version(call, name, number)
