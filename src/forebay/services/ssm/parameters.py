"""Operations on parameters: put, get, delete, describe, history."""

import base64
from collections.abc import Sequence

from msgspec.structs import replace

from forebay.api import ssm as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.ssm import limits
from forebay.services.ssm.filter import matching, matching_legacy
from forebay.services.ssm.parameter import (
    KEY_DEFAULT,
    OLDER,
    PARAMETER,
    SECURE,
    Parameter,
    Version,
    check_name,
    check_path,
    check_value,
    find_parameter,
    load_parameter,
    name_of,
    older_key,
    older_versions,
    parameter_key,
    put_parameter_record,
    select_version,
    split_selector,
    tier_for,
)
from forebay.services.ssm.tags import merged_tags
from forebay.store.records import key_prefix

_OPAQUE_BYTES = 96


@operation
def put_parameter(call: Call, request: api.PutParameterRequest) -> api.PutParameterResult:
    """Create a parameter, or with `Overwrite` a new version of it."""
    check_name(request.name)
    _check_unsupported(request)
    parameter = find_parameter(call, request.name)
    if parameter is not None and not request.overwrite:
        raise api.ParameterAlreadyExists(
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
        )
    if request.tags and request.overwrite:
        raise ServiceError.of(
            "ValidationException",
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource.",
        )
    latest = None if parameter is None else parameter.latest
    version = _next_version(call, request, latest)
    if parameter is None:
        parameter = Parameter(call.account, call.region, request.name, version, {}, merged_tags({}, request.tags))
    else:
        call.records.put(OLDER, older_key(call, parameter.name, parameter.latest.number), parameter.latest)
        parameter = replace(_without_oldest(call, parameter), latest=version)
    put_parameter_record(call, parameter)
    return api.PutParameterResult(version=version.number, tier=version.tier)


def _next_version(call: Call, request: api.PutParameterRequest, latest: Version | None) -> Version:
    type_ = request.type or (latest.type if latest is not None else None)
    if type_ is None:
        text = "A parameter type is required when you create a parameter."
        raise ServiceError.of("ValidationException", text)
    if latest is not None and type_ != latest.type:
        raise api.HierarchyTypeMismatchException(
            "Parameter Store doesn't support changing a parameter type in a hierarchy. For example, you can't change a "
            "parameter from a String type to a SecureString type. You must create a new, unique parameter."
        )
    pattern = request.allowed_pattern if latest is None or request.allowed_pattern else latest.allowed_pattern
    check_value(request.value, pattern)
    is_secure = type_ == SECURE
    return Version(
        number=1 if latest is None else latest.number + 1,
        value=request.value,
        type=type_,
        modified_at=call.now,
        modified_by=call.caller.principal,
        tier=tier_for(request.value, request.tier, None if latest is None else latest.tier),
        data_type=request.data_type or "text",
        description=request.description if latest is None or request.description else latest.description,
        key_id=(request.key_id or (latest.key_id if latest is not None else None) or KEY_DEFAULT)
        if is_secure
        else None,
        allowed_pattern=pattern,
        opaque=base64.b64encode(call.ids.bytes(_OPAQUE_BYTES)).decode() if is_secure else "",
    )


def _without_oldest(call: Call, parameter: Parameter) -> Parameter:
    """Drop the oldest version where there would be too many.

    Raises:
        ParameterMaxVersionLimitExceeded: it has a label.
    """
    older = older_versions(call, parameter.name)
    if len(older) < limits.VERSIONS_MAX:
        return parameter
    oldest = older[0]
    if parameter.labels_of(oldest.number):
        text = (
            f"You attempted to create a new version of {parameter.name} by calling the PutParameter API with the "
            f"overwrite flag. Version {oldest.number}, the oldest version, can't be deleted because it has a label "
            "associated with it. Move the label to another version of the parameter, and try again."
        )
        raise api.ParameterMaxVersionLimitExceeded(text)
    call.records.delete(OLDER, older_key(call, parameter.name, oldest.number))
    return parameter


def _check_unsupported(request: api.PutParameterRequest) -> None:
    if request.policies and request.policies.strip() not in ("[]", "{}"):
        raise ServiceError.of("NotImplemented", "Parameter policies are not implemented by Forebay.", 501)
    if request.data_type not in (None, "text"):
        text = f"The parameter data type {request.data_type} is not implemented by Forebay."
        raise ServiceError.of("NotImplemented", text, 501)


@operation(readonly=True)
def get_parameter(call: Call, request: api.GetParameterRequest) -> api.GetParameterResult:
    """Return a parameter: its latest version, or the one that `name:selector` names."""
    name, selector = split_selector(request.name)
    parameter = load_parameter(call, name)
    version = select_version(call, parameter, selector)
    return api.GetParameterResult(
        parameter=parameter.described(
            version, with_decryption=request.with_decryption, selector=None if selector is None else f":{selector}"
        )
    )


@operation(readonly=True)
def get_parameters(call: Call, request: api.GetParametersRequest) -> api.GetParametersResult:
    """Return up to ten parameters, and the names of those that are not there."""
    found: list[api.Parameter] = []
    invalid: list[str] = []
    for each in dict.fromkeys(request.names):
        name, selector = split_selector(each)
        parameter = find_parameter(call, name)
        try:
            version = None if parameter is None else select_version(call, parameter, selector)
        except api.ParameterVersionNotFound:
            version = None
        if parameter is None or version is None:
            invalid.append(each)
            continue
        shown = None if selector is None else f":{selector}"
        found.append(parameter.described(version, with_decryption=request.with_decryption, selector=shown))
    return api.GetParametersResult(parameters=found, invalid_parameters=invalid)


@operation(readonly=True)
def get_parameters_by_path(call: Call, request: api.GetParametersByPathRequest) -> api.GetParametersByPathResult:
    """Return a page of the parameters below a path: one level, or all of them."""
    check_path(request.path)
    path = request.path.rstrip("/") + "/"
    below = [
        parameter
        for _, parameter in call.reader.list(PARAMETER, key_prefix(call.account, call.region) + path)
        if request.recursive or "/" not in parameter.name[len(path) :]
    ]
    kept = [parameter for parameter in below if matching(parameter, request.parameter_filters, by_path=True)]
    found, token = _page(kept, request.next_token, request.max_results or limits.PAGE_BY_PATH_DEFAULT)
    described = [parameter.described(parameter.latest, with_decryption=request.with_decryption) for parameter in found]
    return api.GetParametersByPathResult(parameters=described, next_token=token)


@operation(readonly=True)
def describe_parameters(call: Call, request: api.DescribeParametersRequest) -> api.DescribeParametersResult:
    """Return a page of parameters without their values, by name."""
    if request.filters and request.parameter_filters:
        text = "You can use either Filters or ParameterFilters in a single request."
        raise ServiceError.of("ValidationException", text)
    kept = [
        parameter
        for _, parameter in call.reader.list(PARAMETER, key_prefix(call.account, call.region))
        if matching(parameter, request.parameter_filters, by_path=False) and matching_legacy(parameter, request.filters)
    ]
    found, token = _page(kept, request.next_token, request.max_results or limits.PAGE_DEFAULT)
    return api.DescribeParametersResult(parameters=[each.metadata() for each in found], next_token=token)


@operation(readonly=True)
def get_parameter_history(call: Call, request: api.GetParameterHistoryRequest) -> api.GetParameterHistoryResult:
    """Return a page of a parameter's versions, the oldest first."""
    parameter = load_parameter(call, request.name)
    versions = [*older_versions(call, parameter.name), parameter.latest]
    limit = request.max_results or limits.PAGE_DEFAULT
    try:
        found, token = page_of(versions, lambda version: f"{version.number:010d}", request.next_token, limit)
    except ValueError:
        raise _invalid_token() from None
    history = [parameter.history(version, with_decryption=request.with_decryption) for version in found]
    return api.GetParameterHistoryResult(parameters=history, next_token=token)


@operation
def delete_parameter(call: Call, request: api.DeleteParameterRequest) -> api.DeleteParameterResult:
    """Delete a parameter with its versions."""
    _delete(call, load_parameter(call, request.name))
    return api.DeleteParameterResult()


@operation
def delete_parameters(call: Call, request: api.DeleteParametersRequest) -> api.DeleteParametersResult:
    """Delete up to ten parameters; return which were there and which were not."""
    deleted: list[str] = []
    invalid: list[str] = []
    for name in dict.fromkeys(request.names):
        parameter = find_parameter(call, name)
        if parameter is None:
            invalid.append(name)
            continue
        _delete(call, parameter)
        deleted.append(name)
    return api.DeleteParametersResult(deleted_parameters=deleted, invalid_parameters=invalid)


def _delete(call: Call, parameter: Parameter) -> None:
    for version in older_versions(call, parameter.name):
        call.records.delete(OLDER, older_key(call, parameter.name, version.number))
    call.records.delete(PARAMETER, parameter_key(call, name_of(parameter.name)))


def _page(parameters: Sequence[Parameter], token: str | None, limit: int) -> tuple[list[Parameter], str | None]:
    try:
        return page_of(parameters, lambda parameter: parameter.name, token, limit)
    except ValueError:
        raise _invalid_token() from None


def _invalid_token() -> api.InvalidNextToken:
    return api.InvalidNextToken("The specified token isn't valid.")
