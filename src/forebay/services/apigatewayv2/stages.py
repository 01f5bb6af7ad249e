"""Operations on stages: their deployment, variables, throttling settings and access logs."""

import re
from collections.abc import Mapping

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2.access_log import check_settings, kept_settings
from forebay.services.apigatewayv2.deployment import deploy, drop_unused, put_stage, with_deployment
from forebay.services.apigatewayv2.errors import bad_request, invalid_identifier
from forebay.services.apigatewayv2.http_api import (
    API_MAPPING,
    DEPLOYMENT,
    ROUTE,
    STAGE,
    child_key,
    list_children,
    load_api,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.member import changed, copied
from forebay.services.apigatewayv2.tags import check_tags
from forebay.store.records import key_prefix

_NAME = re.compile(r"\$default|[A-Za-z0-9_-]{1,128}")
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_VARIABLE_VALUE = re.compile(r"[A-Za-z0-9\-._~:/?#&=,]{0,512}")


@operation
def create_stage(call: Call, request: api.CreateStageRequest) -> api.CreateStageResponse:
    """Create a stage; one that is deployed automatically is deployed at once."""
    load_api(call, request.api_id)
    if call.reader.find(STAGE, child_key(call, request.api_id, request.stage_name)) is not None:
        raise api.ConflictException("Stage already exists")
    stage = copied(
        api.Stage,
        request,
        auto_deploy=bool(request.auto_deploy),
        created_date=call.now,
        default_route_settings=request.default_route_settings or api.RouteSettings(detailed_metrics_enabled=False),
        route_settings=request.route_settings or {},
        stage_variables=request.stage_variables or {},
    )
    check_tags(stage.tags)
    return copied(api.CreateStageResponse, _put(call, request.api_id, stage))


@operation(readonly=True)
def get_stage(call: Call, request: api.GetStageRequest) -> api.GetStageResponse:
    """Return a stage."""
    return copied(api.GetStageResponse, _load(call, request.api_id, request.stage_name))


@operation(readonly=True)
def get_stages(call: Call, request: api.GetStagesRequest) -> api.GetStagesResponse:
    """List the stages of an API."""
    load_api(call, request.api_id)
    page, token = page_children(call, STAGE, (request.api_id,), request.next_token, request.max_results)
    return api.GetStagesResponse(items=page, next_token=token)


@operation
def update_stage(call: Call, request: api.UpdateStageRequest) -> api.UpdateStageResponse:
    """Change what is given. Maps are merged: an empty variable is taken away."""
    existing = _load(call, request.api_id, request.stage_name)
    variables = existing.stage_variables or {}
    if request.stage_variables is not None:
        merged = {**variables, **request.stage_variables} if request.stage_variables else {}
        variables = {name: value for name, value in merged.items() if value}
    settings = existing.route_settings or {}
    if request.route_settings is not None:
        settings = {**settings, **request.route_settings} if request.route_settings else {}
    stage = changed(existing, request, fixed=("stage_name", "stage_variables", "route_settings"))
    stage = msgspec.structs.replace(
        stage,
        stage_variables=variables,
        route_settings=settings,
        default_route_settings=_merged_settings(existing.default_route_settings, request.default_route_settings),
    )
    return copied(api.UpdateStageResponse, _put(call, request.api_id, stage))


@operation
def delete_stage(call: Call, request: api.DeleteStageRequest) -> None:
    """Delete a stage that no API mapping leads to."""
    _load(call, request.api_id, request.stage_name)
    for _, mapping in call.reader.list(API_MAPPING, key_prefix(call.account, call.region)):
        if mapping.api_id == request.api_id and mapping.stage == request.stage_name:
            raise bad_request(
                f"Deleting stage {request.stage_name} failed. Please remove all API mappings related to the stage in "
                "your domain names"
            )
    call.records.delete(STAGE, child_key(call, request.api_id, request.stage_name))
    drop_unused(call, request.api_id)


@operation
def delete_access_log_settings(call: Call, request: api.DeleteAccessLogSettingsRequest) -> None:
    """Write no access log any more."""
    stage = _load(call, request.api_id, request.stage_name)
    put_stage(call, request.api_id, msgspec.structs.replace(stage, access_log_settings=None))


@operation
def delete_route_settings(call: Call, request: api.DeleteRouteSettingsRequest) -> None:
    """Take a route's own settings away; the stage's apply to it again."""
    stage = _load(call, request.api_id, request.stage_name)
    settings = dict(stage.route_settings or {})
    if settings.pop(request.route_key, None) is None:
        raise invalid_identifier("RouteSettings")
    put_stage(call, request.api_id, msgspec.structs.replace(stage, route_settings=settings))


def _load(call: Call, api_id: str, stage_name: str) -> api.Stage:
    return load_child(call, STAGE, api_id, stage_name, "Stage")


def _put(call: Call, api_id: str, draft: api.Stage) -> api.Stage:
    _check(call, api_id, draft)
    stage = draft = msgspec.structs.replace(draft, access_log_settings=kept_settings(draft.access_log_settings))
    if draft.auto_deploy:
        routes = list_children(call, ROUTE, api_id)
        stage = with_deployment(draft, deploy(call, api_id, is_automatic=True) if routes else None)
    put_stage(call, api_id, stage)
    drop_unused(call, api_id)
    return msgspec.structs.replace(stage, last_updated_date=call.now)


def _check(call: Call, api_id: str, stage: api.Stage) -> None:
    if _NAME.fullmatch(stage.stage_name) is None:
        raise bad_request("Stage name only allows a-zA-Z0-9_- characters, or $default")
    _check_variables(stage.stage_variables or {})
    for settings in (stage.default_route_settings, *(stage.route_settings or {}).values()):
        if settings is not None:
            _check_settings(settings)
    check_settings(stage.access_log_settings)
    if not stage.auto_deploy and stage.deployment_id is not None:
        key = child_key(call, api_id, stage.deployment_id)
        if call.reader.find(DEPLOYMENT, key) is None:
            raise bad_request("Deployment id does not exist")


def _check_variables(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if _VARIABLE_NAME.fullmatch(name) is None:
            raise bad_request(f"Stage variable name {name} is invalid: only alphanumeric and underscore are allowed")
        if _VARIABLE_VALUE.fullmatch(value) is None:
            raise bad_request(r"Stage variable value must match the pattern [A-Za-z0-9-._~:/?#&=,]+")


def _check_settings(settings: api.RouteSettings) -> None:
    if settings.throttling_burst_limit is not None and settings.throttling_burst_limit < 0:
        raise bad_request("Invalid throttlingBurstLimit specified: it must not be negative")
    if settings.throttling_rate_limit is not None and settings.throttling_rate_limit < 0:
        raise bad_request("Invalid throttlingRateLimit specified: it must not be negative")
    if settings.data_trace_enabled or settings.logging_level not in (None, "OFF"):
        raise bad_request("Execution logs are not supported on protocol type HTTP")


def _merged_settings(old: api.RouteSettings | None, given: api.RouteSettings | None) -> api.RouteSettings | None:
    return old if old is None or given is None else changed(old, given)
