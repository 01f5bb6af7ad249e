"""Operations on deployments."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2.deployment import NO_ROUTES, deploy, put_stage, with_deployment
from forebay.services.apigatewayv2.errors import bad_request, invalid_identifier
from forebay.services.apigatewayv2.http_api import (
    DEPLOYMENT,
    ROUTE,
    STAGE,
    Deployed,
    child_key,
    list_children,
    load_api,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.member import copied


@operation
def create_deployment(call: Call, request: api.CreateDeploymentRequest) -> api.CreateDeploymentResponse:
    """Deploy an API as it is now, and make a stage serve it if one is named."""
    load_api(call, request.api_id)
    if not list_children(call, ROUTE, request.api_id):
        raise bad_request(NO_ROUTES)
    stage = None
    if request.stage_name is not None:
        stage = call.reader.find(STAGE, child_key(call, request.api_id, request.stage_name))
        if stage is None:
            raise invalid_identifier("Stage")
        if stage.auto_deploy:
            raise bad_request("Deployments can not be created for stages with AutoDeploy enabled")
    deployed = deploy(call, request.api_id, request.description)
    if stage is not None:
        put_stage(call, request.api_id, with_deployment(stage, deployed))
    return copied(api.CreateDeploymentResponse, deployed.shown)


@operation(readonly=True)
def get_deployment(call: Call, request: api.GetDeploymentRequest) -> api.GetDeploymentResponse:
    """Return a deployment."""
    return copied(api.GetDeploymentResponse, _load(call, request.api_id, request.deployment_id).shown)


@operation(readonly=True)
def get_deployments(call: Call, request: api.GetDeploymentsRequest) -> api.GetDeploymentsResponse:
    """List the deployments of an API; automatic ones that no stage serves any more are gone."""
    load_api(call, request.api_id)
    page, token = page_children(call, DEPLOYMENT, (request.api_id,), request.next_token, request.max_results)
    return api.GetDeploymentsResponse(items=[deployed.shown for deployed in page], next_token=token)


@operation
def update_deployment(call: Call, request: api.UpdateDeploymentRequest) -> api.UpdateDeploymentResponse:
    """Change a deployment's description."""
    deployed = _load(call, request.api_id, request.deployment_id)
    if request.description is not None:
        shown = msgspec.structs.replace(deployed.shown, description=request.description or None)
        deployed = msgspec.structs.replace(deployed, shown=shown)
        call.records.put(DEPLOYMENT, child_key(call, request.api_id, request.deployment_id), deployed)
    return copied(api.UpdateDeploymentResponse, deployed.shown)


@operation
def delete_deployment(call: Call, request: api.DeleteDeploymentRequest) -> None:
    """Delete a deployment that no stage serves."""
    _load(call, request.api_id, request.deployment_id)
    if any(stage.deployment_id == request.deployment_id for stage in list_children(call, STAGE, request.api_id)):
        raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    call.records.delete(DEPLOYMENT, child_key(call, request.api_id, request.deployment_id))


def _load(call: Call, api_id: str, deployment_id: str) -> Deployed:
    return load_child(call, DEPLOYMENT, api_id, deployment_id, "Deployment")
