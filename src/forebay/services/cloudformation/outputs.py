"""A stack's outputs and exports: evaluated when its resources are there, committed with its status."""

from collections.abc import Callable, Iterable, Sequence

from forebay.services.cloudformation.lookup import list_importers, list_imports
from forebay.services.cloudformation.scope import StackScope
from forebay.services.cloudformation.stack import EXPORT, IMPORT, Export, Stack, StackOutput
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.functions import text_of
from forebay.services.cloudformation.template.sections import Output
from forebay.store.contract import Transaction
from forebay.store.records import key_prefix, record_key


def evaluate_outputs(scope: StackScope) -> tuple[StackOutput, ...]:
    """Return the outputs whose conditions hold.

    Raises:
        ServiceError: one cannot be evaluated, or is not a text.
    """
    outputs = scope.template.outputs.values()
    return tuple(
        _evaluate(scope, item) for item in outputs if item.condition is None or scope.scope.condition(item.condition)
    )


def _evaluate(scope: StackScope, output: Output) -> StackOutput:
    value = scope.scope.resolve(output.value)
    if isinstance(value, (dict, list)):
        raise invalid(
            f"Template format error: Output {output.key} is malformed. The Value field of every Outputs member must "
            "evaluate to a String."
        )
    export = None if output.export is None else text_of(scope.scope.resolve(output.export))
    return StackOutput(output.key, text_of(value), output.description, export)


def commit_outputs(
    stack: Stack, outputs: Sequence[StackOutput], imports: Iterable[str]
) -> Callable[[Transaction], None]:
    """Return the work that puts a stack's exports and imports in force.

    The work raises `ValidationError` where an export is another stack's, or one in use would change.
    """
    exported = {output.export: output.value for output in outputs if output.export is not None}
    wanted = tuple(imports)

    def work(transaction: Transaction) -> None:
        problem = release_exports(transaction, stack, tuple(exported.items()))
        if problem is not None:
            raise invalid(problem)
        records = transaction.records
        for name, value in exported.items():
            key = record_key(stack.account, stack.region, name)
            existing = records.find(EXPORT, key)
            if existing is not None and existing.stack_id != stack.id:
                owner = existing.stack_id.split("/")[1]
                raise invalid(f"Export with name {name} is already exported by stack {owner}")
            records.put(EXPORT, key, Export(name, value, stack.id))
        for name in wanted:
            records.put(IMPORT, record_key(stack.account, stack.region, name, stack.uuid), stack.name)

    return work


def release_exports(
    transaction: Transaction, stack: Stack, kept: Sequence[tuple[str, str]], *, check_only: bool = False
) -> str | None:
    """Take away a stack's exports but those kept, and its imports; return what stands against it.

    An export that another stack imports can be neither taken away nor changed.
    """
    records = transaction.records
    staying = dict(kept)
    mine = [
        export
        for _, export in records.list(EXPORT, key_prefix(stack.account, stack.region))
        if export.stack_id == stack.id
    ]
    for export in mine:
        if staying.get(export.name) == export.value:
            continue
        users = list_importers(records, stack.account, stack.region, export.name)
        if users:
            verb = "updated" if export.name in staying else "deleted"
            return f"Export {export.name} cannot be {verb} as it is in use by {' and '.join(sorted(users))}"
    if check_only:
        return None
    for export in mine:
        if export.name not in staying:
            records.delete(EXPORT, record_key(stack.account, stack.region, export.name))
    for key in list_imports(records, stack):
        records.delete(IMPORT, key)
    return None
