"""Finds stacks and what belongs to them in the store, by the names and ids that callers give."""

from collections.abc import Sequence

from forebay.core.arn import Arn
from forebay.services.cloudformation.stack import (
    DEPLOYMENT,
    EXPORT,
    IMPORT,
    RESOURCE,
    STACK,
    STACK_NAME,
    Deployment,
    Export,
    Stack,
    StackResource,
    stack_key,
)
from forebay.services.cloudformation.template.errors import invalid
from forebay.store.records import RecordReader, key_parts, key_prefix, record_key


def find_stack(reader: RecordReader, account: str, region: str, name: str) -> Stack | None:
    """Return a stack by its id (deleted ones too) or by its name (live ones only)."""
    if name.startswith("arn:"):
        return _by_id(reader, account, region, name)
    uuid = reader.find(STACK_NAME, record_key(account, region, name))
    return None if uuid is None else reader.find(STACK, record_key(account, region, uuid))


def _by_id(reader: RecordReader, account: str, region: str, stack_id: str) -> Stack | None:
    try:
        arn = Arn.parse(stack_id)
    except ValueError:
        return None
    if (arn.account, arn.region) != (account, region):
        return None
    return reader.find(STACK, record_key(account, region, arn.resource.rpartition("/")[2]))


def load_stack(reader: RecordReader, account: str, region: str, name: str) -> Stack:
    """Return a stack by id or name.

    Raises:
        ServiceError: there is none; `ValidationError` in the text of DescribeStacks.
    """
    stack = find_stack(reader, account, region, name)
    if stack is None:
        raise invalid(f"Stack with id {name} does not exist")
    return stack


def load_live_stack(reader: RecordReader, account: str, region: str, name: str) -> Stack:
    """Return a stack that is not deleted.

    Raises:
        ServiceError: there is none; `ValidationError` in the text of the operations that change stacks.
    """
    stack = find_stack(reader, account, region, name)
    if stack is None or not stack.is_live:
        raise invalid(f"Stack [{name}] does not exist")
    return stack


def list_resources(reader: RecordReader, stack: Stack) -> dict[str, StackResource]:
    """Return a stack's resources by logical id."""
    found = reader.list(RESOURCE, key_prefix(stack.account, stack.region, stack.uuid))
    return {resource.logical_id: resource for _, resource in found}


def resource_key(stack: Stack, logical_id: str) -> str:
    """Return the key of a resource's record."""
    return record_key(stack.account, stack.region, stack.uuid, logical_id)


def find_deployment(reader: RecordReader, stack: Stack) -> Deployment | None:
    """Return the operation that runs on a stack, if one does."""
    return reader.find(DEPLOYMENT, stack_key(stack))


def list_exports(reader: RecordReader, account: str, region: str) -> dict[str, Export]:
    """Return all exports of an account and region by name."""
    return {export.name: export for _, export in reader.list(EXPORT, key_prefix(account, region))}


def list_importers(reader: RecordReader, account: str, region: str, export: str) -> Sequence[str]:
    """Return the names of the stacks that import a value."""
    return [name for _, name in reader.list(IMPORT, key_prefix(account, region, export))]


def list_imports(reader: RecordReader, stack: Stack) -> list[str]:
    """Return the keys of the records that say what a stack imports."""
    found = reader.list(IMPORT, key_prefix(stack.account, stack.region))
    return [key for key, _ in found if key_parts(key)[-1] == stack.uuid]
