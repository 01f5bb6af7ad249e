"""Operations on models: kept and shown; HTTP APIs check no request against them, here as on AWS."""

import json

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.errors import bad_request
from forebay.services.apigatewayv2.http_api import (
    MODEL,
    child_key,
    list_children,
    load_api,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.member import changed, copied


@operation
def create_model(call: Call, request: api.CreateModelRequest) -> api.CreateModelResponse:
    """Create a model."""
    load_api(call, request.api_id)
    draft = copied(api.Model, request, model_id=call.ids.token(limits.CHILD_ID_CHARACTERS))
    return copied(api.CreateModelResponse, _put(call, request.api_id, draft))


@operation(readonly=True)
def get_model(call: Call, request: api.GetModelRequest) -> api.GetModelResponse:
    """Return a model."""
    return copied(api.GetModelResponse, _load(call, request.api_id, request.model_id))


@operation(readonly=True)
def get_models(call: Call, request: api.GetModelsRequest) -> api.GetModelsResponse:
    """List the models of an API."""
    load_api(call, request.api_id)
    page, token = page_children(call, MODEL, (request.api_id,), request.next_token, request.max_results)
    return api.GetModelsResponse(items=page, next_token=token)


@operation
def update_model(call: Call, request: api.UpdateModelRequest) -> api.UpdateModelResponse:
    """Change what is given."""
    existing = _load(call, request.api_id, request.model_id)
    model = changed(existing, request, fixed=("model_id", "name"))
    model = msgspec.structs.replace(model, name=request.name or existing.name)
    return copied(api.UpdateModelResponse, _put(call, request.api_id, model))


@operation
def delete_model(call: Call, request: api.DeleteModelRequest) -> None:
    """Delete a model."""
    _load(call, request.api_id, request.model_id)
    call.records.delete(MODEL, child_key(call, request.api_id, request.model_id))


def _put(call: Call, api_id: str, draft: api.Model) -> api.Model:
    model = msgspec.structs.replace(draft, content_type=draft.content_type or "application/json")
    if not model.name.isalnum():
        raise bad_request("Model name must be alphanumeric: " + model.name)
    try:
        json.loads(model.schema or "")
    except (ValueError, RecursionError):
        raise bad_request("Invalid model schema specified") from None
    for other in list_children(call, MODEL, api_id):
        if other.name == model.name and other.model_id != model.model_id:
            raise api.ConflictException(f"Model name already exists for this API: {model.name}")
    call.records.put(MODEL, child_key(call, api_id, model.model_id or ""), model)
    return model


def _load(call: Call, api_id: str, model_id: str) -> api.Model:
    return load_child(call, MODEL, api_id, model_id, "Model")
