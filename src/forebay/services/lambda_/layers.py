"""Operations on layers: publish, get, list, delete, and their policies."""

from typing import Any, cast

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_.code import CodeStore
from forebay.services.lambda_.code_links import CodeLinks
from forebay.services.lambda_.errors import check_revision, conflict, invalid, not_found
from forebay.services.lambda_.layer import (
    LAYER,
    LAYER_VERSION,
    Layer,
    LayerVersion,
    find_by_arn,
    layer_key,
    layer_version_key,
)
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.policy import LAYER_POLICY, layer_statement, with_statement
from forebay.services.lambda_.uploads import read_archive
from forebay.store.records import key_prefix

_GONE = "The resource you requested does not exist."


@operation
async def publish_layer_version(call: Call, request: api.PublishLayerVersionRequest) -> api.PublishLayerVersionResponse:
    """Make a layer's next version from an archive."""
    archive = await read_archive(call, request.content, "PublishLayerVersion")
    sha256 = await call.part(CodeStore).keep(archive)
    account, region, name = _layer_of(call, request.layer_name)
    key = layer_key(account, region, name)

    def create(inner: Call) -> LayerVersion:
        last = inner.records.find(LAYER, key)
        number = 1 if last is None else last.last_version + 1
        layer = LayerVersion(
            account=account,
            region=region,
            name=name,
            version=number,
            code=sha256,
            code_bytes=len(archive),
            created_at=call.now,
            description=request.description or "",
            architectures=_tuple(request.compatible_architectures),
            runtimes=_tuple(request.compatible_runtimes),
            license_info=request.license_info,
        )
        inner.records.put(LAYER, key, Layer(number))
        inner.records.put(LAYER_VERSION, layer_version_key(key, number), layer)
        return layer

    return _whole(call, await call.transact(create), api.PublishLayerVersionResponse)


@operation
async def get_layer_version(call: Call, request: api.GetLayerVersionRequest) -> api.GetLayerVersionResponse:
    """Return a layer's version and where its archive can be fetched."""
    layer = await call.look(lambda inner: _load(inner, request.layer_name, request.version_number))
    return _whole(call, layer, api.GetLayerVersionResponse)


@operation
async def get_layer_version_by_arn(call: Call, request: api.GetLayerVersionByArnRequest) -> api.GetLayerVersionResponse:
    """Return a layer's version by its ARN."""
    layer = await call.look(lambda inner: find_by_arn(inner, request.arn))
    if layer is None:
        raise not_found(_GONE)
    return _whole(call, layer, api.GetLayerVersionResponse)


@operation(readonly=True)
def list_layer_versions(call: Call, request: api.ListLayerVersionsRequest) -> api.ListLayerVersionsResponse:
    """List a layer's versions, newest first."""
    key = layer_key(*_layer_of(call, request.layer_name))
    layers = [layer for _, layer in call.reader.list(LAYER_VERSION, key_prefix(key))]
    layers = [layer for layer in reversed(layers) if _fits(layer, request)]
    # Newest first, so the numbers count down; the marker's order must go up.
    items, marker = page(layers, lambda layer: f"{10**10 - layer.version:011}", request.marker, request.max_items)
    return api.ListLayerVersionsResponse(layer_versions=[layer.show() for layer in items], next_marker=marker)


@operation(readonly=True)
def list_layers(call: Call, request: api.ListLayersRequest) -> api.ListLayersResponse:
    """List the layers of the account and region by name, each with its newest version that fits."""
    newest: dict[str, LayerVersion] = {}
    for _, layer in call.reader.list(LAYER_VERSION, key_prefix(call.account, call.region)):
        if _fits(layer, request):
            newest[layer.name] = layer
    items, marker = page(list(newest.values()), lambda layer: layer.name, request.marker, request.max_items)
    return api.ListLayersResponse(
        layers=[
            api.LayersListItem(layer_name=layer.name, layer_arn=layer.layer_arn, latest_matching_version=layer.show())
            for layer in items
        ],
        next_marker=marker,
    )


@operation
def delete_layer_version(call: Call, request: api.DeleteLayerVersionRequest) -> None:
    """Delete a layer's version; functions that use it keep it. One that is not there is as good as deleted."""
    key = layer_version_key(layer_key(*_layer_of(call, request.layer_name)), request.version_number)
    call.records.delete(LAYER_VERSION, key)
    call.records.delete(LAYER_POLICY, key)


@operation
def add_layer_version_permission(
    call: Call, request: api.AddLayerVersionPermissionRequest
) -> api.AddLayerVersionPermissionResponse:
    """Add a statement to the policy of a layer's version."""
    layer = _load(call, request.layer_name, request.version_number)
    key = _policy_key(layer)
    policy = call.records.find(LAYER_POLICY, key)
    if policy is not None:
        check_revision(request.revision_id, policy.revision)
        if policy.has(request.statement_id):
            raise conflict(
                f"The statement id ({request.statement_id}) provided already exists. "
                "Please provide a new statement id, or remove the existing statement."
            )
    statement = layer_statement(request, layer.arn)
    policy = with_statement(policy, statement, call.ids.uuid())
    call.records.put(LAYER_POLICY, key, policy)
    return api.AddLayerVersionPermissionResponse(statement=statement.text, revision_id=policy.revision)


@operation
def remove_layer_version_permission(call: Call, request: api.RemoveLayerVersionPermissionRequest) -> None:
    """Remove a statement from the policy of a layer's version."""
    key = _policy_key(_load(call, request.layer_name, request.version_number))
    policy = call.records.find(LAYER_POLICY, key)
    if policy is None or not policy.has(request.statement_id):
        raise not_found(f"Statement {request.statement_id} is not found in resource policy.")
    check_revision(request.revision_id, policy.revision)
    rest = policy.without(request.statement_id, call.ids.uuid())
    if rest is None:
        call.records.delete(LAYER_POLICY, key)
    else:
        call.records.put(LAYER_POLICY, key, rest)


@operation(readonly=True)
def get_layer_version_policy(
    call: Call, request: api.GetLayerVersionPolicyRequest
) -> api.GetLayerVersionPolicyResponse:
    """Return the policy document of a layer's version."""
    layer = _load(call, request.layer_name, request.version_number)
    policy = call.reader.find(LAYER_POLICY, _policy_key(layer))
    if policy is None:
        raise not_found("No policy is associated with the given resource.")
    return api.GetLayerVersionPolicyResponse(policy=policy.document(), revision_id=policy.revision)


def _layer_of(call: Call, name: str) -> tuple[str, str, str]:
    """Return account, region and name of the layer that a name or an ARN names."""
    if not name.startswith("arn:"):
        return call.account, call.region, name
    try:
        arn = Arn.parse(name)
        _, layer = arn.resource.split(":")
    except ValueError:
        # The model's pattern lets an ARN without a partition pass.
        raise invalid(f"Invalid Layer name: {name}") from None
    return arn.account, arn.region, layer


def _load(call: Call, name: str, version: int) -> LayerVersion:
    layer = call.reader.find(LAYER_VERSION, layer_version_key(layer_key(*_layer_of(call, name)), version))
    if layer is None:
        raise not_found(_GONE)
    return layer


def _policy_key(layer: LayerVersion) -> str:
    return layer_version_key(layer_key(layer.account, layer.region, layer.name), layer.version)


def _fits(layer: LayerVersion, request: api.ListLayersRequest | api.ListLayerVersionsRequest) -> bool:
    runtime, architecture = request.compatible_runtime, request.compatible_architecture
    is_right_runtime = runtime is None or runtime in (layer.runtimes or ())
    return is_right_runtime and (architecture is None or architecture in (layer.architectures or ()))


def _whole(call: Call, layer: LayerVersion, answer: type[Any]) -> Any:
    """Return a version with its content, in whichever of the two equal shapes."""
    shown = layer.show()
    link = call.part(CodeLinks).link(call.caller.endpoint, layer.code, call.now)
    members = {name: getattr(shown, name) for name in msgspec.structs.asdict(shown)}
    return answer(content=layer.content(link), layer_arn=layer.layer_arn, **members)


def _tuple(values: list[Any] | None) -> tuple[str, ...] | None:
    return None if values is None else cast("tuple[str, ...]", tuple(values))
