"""Operations on the labels of versions."""

from msgspec.structs import replace

from forebay.api import ssm as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.ssm import limits
from forebay.services.ssm.parameter import find_version, is_valid_label, load_parameter, put_parameter_record


@operation
def label_parameter_version(call: Call, request: api.LabelParameterVersionRequest) -> api.LabelParameterVersionResult:
    """Attach labels to a version, by default the latest, taking them from others; bad ones are returned."""
    parameter = load_parameter(call, request.name)
    number = request.parameter_version or parameter.latest.number
    find_version(call, parameter, number)
    invalid = [label for label in request.labels if not is_valid_label(label)]
    if invalid:
        return api.LabelParameterVersionResult(invalid_labels=invalid, parameter_version=number)
    labelled = replace(parameter, labels={**parameter.labels, **dict.fromkeys(request.labels, number)})
    if len(labelled.labels_of(number)) > limits.LABELS_MAX:
        text = "A parameter version can have maximum 10 labels."
        raise api.ParameterVersionLabelLimitExceeded(text + "Move one or more labels to another version and try again.")
    put_parameter_record(call, labelled)
    return api.LabelParameterVersionResult(invalid_labels=[], parameter_version=number)


@operation
def unlabel_parameter_version(
    call: Call, request: api.UnlabelParameterVersionRequest
) -> api.UnlabelParameterVersionResult:
    """Detach labels from a version; those that it does not have are returned as invalid."""
    parameter = load_parameter(call, request.name)
    find_version(call, parameter, request.parameter_version)
    there = parameter.labels_of(request.parameter_version)
    removed = [label for label in request.labels if label in there]
    labels = {label: number for label, number in parameter.labels.items() if label not in removed}
    put_parameter_record(call, replace(parameter, labels=labels))
    invalid = [label for label in request.labels if label not in there]
    return api.UnlabelParameterVersionResult(removed_labels=removed, invalid_labels=invalid)
