"""The operation on definitions: ValidateStateMachineDefinition."""

from forebay.api import stepfunctions as api
from forebay.languages.asl import parse
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.task_rules import task_rules


@operation(readonly=True)
def validate_state_machine_definition(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.ValidateStateMachineDefinitionInput,
) -> api.ValidateStateMachineDefinitionOutput:
    """Return what is wrong with a definition, and with severity WARNING also what may be."""
    parsed = parse(request.definition, express=request.type == "EXPRESS", task_rules=task_rules)
    wanted = {"ERROR", "WARNING"} if request.severity == "WARNING" else {"ERROR"}
    diagnostics = [
        api.ValidateStateMachineDefinitionDiagnostic(
            severity=each.severity,
            code=each.code,
            message=each.message,
            location=each.location,
        )
        for each in parsed.diagnostics
        if each.severity in wanted
    ]
    most = request.max_results or limits.DIAGNOSTICS_MAX
    return api.ValidateStateMachineDefinitionOutput(
        result="OK" if parsed.machine is not None else "FAIL",
        diagnostics=diagnostics[:most],
        truncated=len(diagnostics) > most,
    )
