"""Deploying: a stage serves a copy of its API that was taken at one moment, and some take a new one at each change."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.http_api import (
    AUTHORIZER,
    DEPLOYMENT,
    INTEGRATION,
    ROUTE,
    STAGE,
    Deployed,
    child_key,
    list_children,
    load_api,
)

NO_ROUTES = "Unable to deploy API because no routes exist in this API"


def deploy(call: Call, api_id: str, description: str | None = None, *, is_automatic: bool = False) -> Deployed:
    """Take a copy of an API as it is and keep it as a deployment."""
    deployment_id = call.ids.token(limits.DEPLOYMENT_ID_CHARACTERS)
    shown = api.Deployment(
        auto_deployed=is_automatic,
        created_date=call.now,
        deployment_id=deployment_id,
        deployment_status="DEPLOYED",
        description=description
        or ("Automatic deployment triggered by changes to the Api configuration" if is_automatic else None),
    )
    deployed = Deployed(
        shown,
        list_children(call, ROUTE, api_id),
        list_children(call, INTEGRATION, api_id),
        list_children(call, AUTHORIZER, api_id),
        load_api(call, api_id).cors_configuration,
    )
    call.records.put(DEPLOYMENT, child_key(call, api_id, deployment_id), deployed)
    return deployed


def deploy_changes(call: Call, api_id: str) -> None:
    """Deploy an API to those of its stages that are deployed automatically; called after each change to it."""
    automatic = [stage for stage in list_children(call, STAGE, api_id) if stage.auto_deploy]
    if not automatic:
        return
    deployed = deploy(call, api_id, is_automatic=True) if list_children(call, ROUTE, api_id) else None
    for stage in automatic:
        put_stage(call, api_id, with_deployment(stage, deployed))
    drop_unused(call, api_id)


def with_deployment(stage: api.Stage, deployed: Deployed | None) -> api.Stage:
    """Return a stage that serves a deployment; None: deploying failed, for want of routes."""
    if deployed is None:
        message = f"Deployment attempt failed: {NO_ROUTES}"
        return msgspec.structs.replace(stage, deployment_id=None, last_deployment_status_message=message)
    deployment_id = deployed.shown.deployment_id
    message = f"Successfully deployed stage with deployment ID '{deployment_id}'"
    return msgspec.structs.replace(stage, deployment_id=deployment_id, last_deployment_status_message=message)


def put_stage(call: Call, api_id: str, stage: api.Stage) -> None:
    """Keep a stage."""
    stage = msgspec.structs.replace(stage, last_updated_date=call.now)
    call.records.put(STAGE, child_key(call, api_id, stage.stage_name), stage)


def drop_unused(call: Call, api_id: str) -> None:
    """Delete automatic deployments that no stage serves any more; each change leaves one behind."""
    used = {stage.deployment_id for stage in list_children(call, STAGE, api_id)}
    for deployed in list_children(call, DEPLOYMENT, api_id):
        shown = deployed.shown
        if shown.auto_deployed and shown.deployment_id is not None and shown.deployment_id not in used:
            call.records.delete(DEPLOYMENT, child_key(call, api_id, shown.deployment_id))
