"""Operations on exports: list them, and who imports them."""

from forebay.api import cloudformation as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.cloudformation.lookup import list_exports as find_exports
from forebay.services.cloudformation.lookup import list_importers
from forebay.services.cloudformation.template.errors import invalid


@operation(readonly=True)
def list_exports(call: Call, request: api.ListExportsInput) -> api.ListExportsOutput:
    """List the exports of the account and region."""
    del request
    found = find_exports(call.reader, call.account, call.region)
    return api.ListExportsOutput(
        exports=[
            api.Export(exporting_stack_id=item.stack_id, name=item.name, value=item.value)
            for _, item in sorted(found.items())
        ]
    )


@operation(readonly=True)
def list_imports(call: Call, request: api.ListImportsInput) -> api.ListImportsOutput:
    """List the stacks that import a value."""
    importers = list_importers(call.reader, call.account, call.region, request.export_name)
    if not importers:
        raise invalid(f"Export '{request.export_name}' is not imported by any stack.")
    return api.ListImportsOutput(imports=sorted(importers))
