"""AWS::ApiGatewayV2::*: APIs (also imported from OpenAPI), routes, integrations, stages and what is around them."""

import base64
from typing import Any, cast

from forebay.services.cloudformation.resources.calls import any_tags, omit, pick, run_if_there, tag_changes
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.crud import Crud
from forebay.services.cloudformation.resources.schema import json_text

_IMPORT = ("BasePath", "Body", "BodyS3Location", "FailOnWarnings")

# --- AWS::ApiGatewayV2::Api ---


async def _definition(site: Site, properties: Properties) -> str | None:
    """Return the OpenAPI text that the API is imported from, if it is."""
    body = properties.get("Body")
    if body is not None:
        return json_text(body)
    location = properties.get("BodyS3Location")
    if location is None:
        return None
    params = {"Bucket": location["Bucket"], "Key": location["Key"], "VersionId": location.get("Version")}
    answer = await site.run("s3", "GetObject", params)
    data = answer["Body"]
    return (data if isinstance(data, bytes) else base64.b64decode(data)).decode()


def _made(answer: dict[str, Any], site: Site) -> Made:
    api = answer["ApiId"]
    arn = f"arn:aws:execute-api:{site.place.region}:{site.place.account}:{api}"
    return Made(api, {"ApiId": api, "ApiEndpoint": answer.get("ApiEndpoint", ""), "ExecuteApiArn": arn})


async def _create_api(site: Site, properties: Properties) -> Made:
    definition = await _definition(site, properties)
    given = {**omit(properties, "Tags", *_IMPORT), "Tags": _tags(properties)}
    if definition is None:
        return _made(await site.run("apigatewayv2", "CreateApi", given), site)
    answer = await site.run("apigatewayv2", "ImportApi", {"Body": definition, **_import_options(properties)})
    made = _made(answer, site)
    await site.record(made)
    await _override(site, made.physical_id, properties)
    tags = _tags(properties)
    if tags:
        await site.run("apigatewayv2", "TagResource", {"ResourceArn": _arn(site, made.physical_id), "Tags": tags})
    return made


def _import_options(properties: Properties) -> dict[str, Any]:
    options = {"Basepath": properties.get("BasePath"), "FailOnWarnings": properties.get("FailOnWarnings")}
    return {name: value for name, value in options.items() if value is not None}


async def _override(site: Site, api: str, properties: Properties) -> None:
    """Set what the template says beside the definition; it wins over the definition."""
    given = omit(properties, "Tags", "ProtocolType", *_IMPORT)
    if given:
        await site.run("apigatewayv2", "UpdateApi", {"ApiId": api, **given})


def _tags(properties: Properties) -> dict[str, str] | None:
    return any_tags(properties) or None


def _arn(site: Site, resource: str) -> str:
    return f"arn:aws:apigateway:{site.place.region}::/apis/{resource}"


async def _find_api(site: Site, properties: Properties) -> Made | None:
    body = cast("dict[str, Any]", properties.get("Body") or {})
    name = properties.get("Name") or body.get("info", {}).get("title")
    answer = await site.run("apigatewayv2", "GetApis", {"MaxResults": "500"})
    items = cast("list[dict[str, Any]]", answer.get("Items") or [])
    # A name is not unique, so only an API that carries this stack's tags is taken for ours.
    wanted = _tags(properties)
    same = [item for item in items if item.get("Name") == name and wanted and item.get("Tags") == wanted]
    return _made(same[0], site) if same else None


async def _update_api(site: Site, existing: Existing, properties: Properties) -> Made:
    api = existing.physical_id
    definition = await _definition(site, properties)
    if definition is not None:
        await site.run("apigatewayv2", "ReimportApi", {"ApiId": api, "Body": definition, **_import_options(properties)})
    await _override(site, api, properties)
    if "CorsConfiguration" in existing.properties and "CorsConfiguration" not in properties:
        await site.run("apigatewayv2", "DeleteCorsConfiguration", {"ApiId": api})
    await _change_tags(site, _arn(site, api), existing.properties, properties)
    return Made(api, existing.attributes)


async def _change_tags(site: Site, arn: str, old: Properties, new: Properties) -> None:
    tags, removed = tag_changes(old, new)
    if tags:
        await site.run("apigatewayv2", "TagResource", {"ResourceArn": arn, "Tags": tags})
    if removed:
        await site.run("apigatewayv2", "UntagResource", {"ResourceArn": arn, "TagKeys": removed})


async def _delete_api(site: Site, existing: Existing) -> None:
    await run_if_there(site, "apigatewayv2", "DeleteApi", {"ApiId": existing.physical_id})


# --- AWS::ApiGatewayV2::Stage ---


async def _create_stage(site: Site, properties: Properties) -> Made:
    await site.run("apigatewayv2", "CreateStage", {**omit(properties, "Tags"), "Tags": _tags(properties)})
    return Made(properties["StageName"])


async def _update_stage(site: Site, existing: Existing, properties: Properties) -> Made:
    key = {"ApiId": properties["ApiId"], "StageName": existing.physical_id}
    await site.run("apigatewayv2", "UpdateStage", {**omit(properties, "Tags"), **key})
    if "AccessLogSettings" in existing.properties and "AccessLogSettings" not in properties:
        await site.run("apigatewayv2", "DeleteAccessLogSettings", key)
    arn = _arn(site, f"{key['ApiId']}/stages/{key['StageName']}")
    await _change_tags(site, arn, existing.properties, properties)
    return Made(existing.physical_id)


async def _find_stage(site: Site, properties: Properties) -> Made | None:
    found = await run_if_there(site, "apigatewayv2", "GetStage", pick(properties, "ApiId", "StageName"))
    return Made(properties["StageName"]) if found else None


async def _delete_stage(site: Site, existing: Existing) -> None:
    key = {"ApiId": existing.properties["ApiId"], "StageName": existing.physical_id}
    await run_if_there(site, "apigatewayv2", "DeleteStage", key)


# --- the rest ---


def _authorizer(properties: Properties) -> dict[str, Any]:
    params = dict(properties)
    # The schema of older templates allows one text for the list.
    if isinstance(params.get("IdentitySource"), str):
        params["IdentitySource"] = [params["IdentitySource"]]
    return params


def _integration(properties: Properties) -> dict[str, Any]:
    params = dict(properties)
    responses = params.get("ResponseParameters")
    if isinstance(responses, dict):
        by_status = cast("dict[str, dict[str, Any]]", responses)
        params["ResponseParameters"] = {status: _response(value) for status, value in by_status.items()}
    return params


def _response(value: dict[str, Any]) -> dict[str, str]:
    """Return `{"ResponseParameters": [{"Destination": ..., "Source": ...}]}` as the API's map."""
    items = cast("list[dict[str, str]] | None", value.get("ResponseParameters"))
    return value if items is None else {item["Destination"]: item["Source"] for item in items}


_ROUTE = Crud("apigatewayv2", "Route", "RouteId", ("ApiId",), lookup="RouteKey")
_INTEGRATION = Crud("apigatewayv2", "Integration", "IntegrationId", ("ApiId",), prepare=_integration)
_AUTHORIZER = Crud("apigatewayv2", "Authorizer", "AuthorizerId", ("ApiId",), lookup="Name", prepare=_authorizer)
_DEPLOYMENT = Crud("apigatewayv2", "Deployment", "DeploymentId", ("ApiId",), fixed=("StageName",))
_MODEL = Crud("apigatewayv2", "Model", "ModelId", ("ApiId",), lookup="Name")
_MAPPING = Crud("apigatewayv2", "ApiMapping", "ApiMappingId", ("DomainName",))
_LINK = Crud("apigatewayv2", "VpcLink", "VpcLinkId", fixed=("SecurityGroupIds", "SubnetIds", "Tags"))


async def _create_mapping(site: Site, properties: Properties) -> Made:
    made = await _MAPPING.create(site, properties)
    address = f"{site.place.endpoint}/{properties.get('ApiMappingKey') or ''}"
    site.note(f"Answers at {address} to requests with the header `Host: {properties['DomainName']}`.")
    return made


async def _create_domain(site: Site, properties: Properties) -> Made:
    answer = await site.run("apigatewayv2", "CreateDomainName", {**omit(properties, "Tags"), "Tags": _tags(properties)})
    return _domain(site, properties["DomainName"], answer)


def _domain(site: Site, name: str, answer: dict[str, Any]) -> Made:
    configurations = cast("list[dict[str, Any]]", answer.get("DomainNameConfigurations") or [{}])
    configuration = configurations[0]
    return Made(
        name,
        {
            "RegionalDomainName": configuration.get("ApiGatewayDomainName", ""),
            "RegionalHostedZoneId": configuration.get("HostedZoneId", ""),
            "DomainNameArn": f"arn:aws:apigateway:{site.place.region}::/domainnames/{name}",
        },
    )


async def _update_domain(site: Site, existing: Existing, properties: Properties) -> Made:
    answer = await site.run("apigatewayv2", "UpdateDomainName", omit(properties, "Tags"))
    made = _domain(site, existing.physical_id, answer)
    await _change_tags(site, made.attributes["DomainNameArn"], existing.properties, properties)
    return made


async def _delete_domain(site: Site, existing: Existing) -> None:
    await run_if_there(site, "apigatewayv2", "DeleteDomainName", {"DomainName": existing.physical_id})


def _type(name: str, crud: Crud) -> ResourceType:
    return ResourceType(name=name, create=crud.create, update=crud.update, delete=crud.delete, find=crud.find)


TYPES = (
    ResourceType(
        name="AWS::ApiGatewayV2::Api",
        create=_create_api,
        update=_update_api,
        delete=_delete_api,
        find=_find_api,
        without_effect=frozenset({"DisableSchemaValidation"}),
    ),
    ResourceType(
        name="AWS::ApiGatewayV2::Stage",
        create=_create_stage,
        update=_update_stage,
        delete=_delete_stage,
        find=_find_stage,
        without_effect=frozenset({"ClientCertificateId"}),
    ),
    ResourceType(
        name="AWS::ApiGatewayV2::DomainName",
        create=_create_domain,
        update=_update_domain,
        delete=_delete_domain,
    ),
    _type("AWS::ApiGatewayV2::Route", _ROUTE),
    _type("AWS::ApiGatewayV2::Integration", _INTEGRATION),
    _type("AWS::ApiGatewayV2::Authorizer", _AUTHORIZER),
    _type("AWS::ApiGatewayV2::Deployment", _DEPLOYMENT),
    _type("AWS::ApiGatewayV2::Model", _MODEL),
    ResourceType(
        name="AWS::ApiGatewayV2::ApiMapping", create=_create_mapping, update=_MAPPING.update, delete=_MAPPING.delete
    ),
    _type("AWS::ApiGatewayV2::VpcLink", _LINK),
)
