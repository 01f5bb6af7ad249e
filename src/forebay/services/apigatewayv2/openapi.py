"""OpenAPI 3.0 definitions with API Gateway's extensions, read into what an HTTP API is made of. Pure.

See AWS's developer guide, "Working with OpenAPI definitions for HTTP APIs" and "OpenAPI extensions for API Gateway".
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import yaml

from forebay.api import apigatewayv2 as api
from forebay.services.apigatewayv2.route_key import DEFAULT

Node = Mapping[str, Any]

_INTEGRATION = "x-amazon-apigateway-integration"
_METHODS = {
    "get": "GET",
    "put": "PUT",
    "post": "POST",
    "delete": "DELETE",
    "options": "OPTIONS",
    "head": "HEAD",
    "patch": "PATCH",
    "x-amazon-apigateway-any-method": "ANY",
}
_DIGITS_MAX = 10
_BASE_PATHS = ("ignore", "prepend", "split")


class InvalidDefinition(ValueError):
    """A text is not a definition that can be imported; it says why."""


class DefinedRoute(msgspec.Struct, frozen=True):
    """An operation of the definition; the integration and authorizer are the definition's, still without ids."""

    route: api.Route
    integration: api.Integration | None
    authorizer: str | None = None


class Definition(msgspec.Struct, frozen=True):
    """All that a definition says about an HTTP API, and what it says in vain."""

    draft: api.Api
    routes: list[DefinedRoute]
    authorizers: dict[str, api.Authorizer]
    warnings: list[str]


def parse_definition(text: str, base_path: str | None = None) -> Definition:
    """Read a definition in JSON or YAML; `base_path` says what becomes of the servers' path.

    Raises:
        InvalidDefinition: it is not OpenAPI 3.0, or lacks what an API needs.
    """
    document = _load(text)
    if not str(document.get("openapi", "")).startswith("3."):
        raise InvalidDefinition("Unable to parse API definition: only OpenAPI 3.0 definitions can be imported")
    info = _node(document.get("info"), "info")
    if not info.get("title"):
        raise InvalidDefinition("Unable to create API: missing info.title")
    if base_path not in (None, *_BASE_PATHS):
        raise InvalidDefinition("Invalid basepath specified. Must be one of [ignore, prepend, split]")
    return _Importer(document, _prefix(document, base_path or "ignore")).definition(info)


class _Importer:
    """Walks over one document."""

    def __init__(self, document: Node, prefix: str) -> None:
        self._document = document
        self._prefix = prefix
        self._warnings: list[str] = []
        self._authorizers: dict[str, api.Authorizer] = {}
        self._iam: set[str] = set()

    def definition(self, info: Node) -> Definition:
        """Return what the document defines."""
        components = _node(self._document.get("components"), "components")
        for name, scheme in _node(components.get("securitySchemes"), "securitySchemes").items():
            self._read_scheme(name, _node(scheme, name))
        routes: list[DefinedRoute] = []
        for path, item in _node(self._document.get("paths"), "paths").items():
            routes += self._path(path, _node(item, path))
        endpoint = _node(self._document.get("x-amazon-apigateway-endpoint-configuration"), "endpoint configuration")
        made = api.Api(
            name=_text(info["title"]),
            protocol_type="HTTP",
            route_selection_expression="",
            description=None if info.get("description") is None else _text(info["description"]),
            version=None if info.get("version") is None else _text(info["version"]),
            cors_configuration=_cors(self._document.get("x-amazon-apigateway-cors")),
            disable_execute_api_endpoint=bool(endpoint.get("disableExecuteApiEndpoint")) or None,
            tags=self._tags() or None,
        )
        return Definition(made, routes, self._authorizers, self._warnings)

    def _path(self, path: str, item: Node) -> list[DefinedRoute]:
        return [
            self._operation(path, _METHODS[name], _node(operation, path))
            for name, operation in item.items()
            if name in _METHODS
        ]

    def _operation(self, path: str, method: str, operation: Node) -> DefinedRoute:
        key = DEFAULT if path.strip("/") == DEFAULT else f"{method} {self._prefix}{path}"
        raw = operation.get(_INTEGRATION)
        integration = None
        if raw is None:
            self._warnings.append(f"No integration defined for route '{key}': it will answer nothing")
        else:
            integration = self._integration(key, self._resolve(_node(raw, key)))
        kind, authorizer, scopes = self._authorization(operation)
        route = api.Route(
            route_key=key,
            authorization_type=kind,
            authorization_scopes=scopes or None,
            operation_name=None if operation.get("operationId") is None else str(operation["operationId"]),
        )
        return DefinedRoute(route, integration, authorizer)

    def _integration(self, key: str, raw: Node) -> api.Integration:
        kind = str(raw.get("type", "")).upper()
        mappings: dict[str, str] = {}
        for name, value in _node(raw.get("requestParameters"), key).items():
            if name.startswith("integration."):
                self._warnings.append(f"Request parameter {name} of route '{key}' is not supported for HTTP APIs")
            else:
                mappings[name] = _text(value)
        tls = _node(raw.get("tlsConfig"), key)
        uri = raw.get("uri")
        return api.Integration(
            integration_type=kind,
            integration_subtype=_optional(raw.get("integrationSubtype")),
            integration_uri=_optional(uri),
            # The method of a Lambda integration is API Gateway's own, whatever the definition says.
            integration_method="POST" if kind == "AWS_PROXY" and uri else _optional(raw.get("httpMethod")),
            connection_id=_optional(raw.get("connectionId")),
            connection_type=_optional(raw.get("connectionType")),
            credentials_arn=_optional(raw.get("credentials")),
            payload_format_version=_optional(raw.get("payloadFormatVersion")),
            request_parameters=mappings or None,
            response_parameters=_responses(raw, key),
            timeout_in_millis=_integer(raw, "timeoutInMillis"),
            tls_config=api.TlsConfig(server_name_to_verify=_optional(tls.get("serverNameToVerify"))) if tls else None,
        )

    def _resolve(self, raw: Node) -> Node:
        reference = raw.get("$ref")
        if reference is None:
            return raw
        node: Any = self._document
        for part in str(reference).removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            node = cast("Node", node).get(name) if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping):
            raise InvalidDefinition(f"Unable to resolve reference {reference}")
        return _node(cast("Node", node), str(reference))

    def _read_scheme(self, name: str, scheme: Node) -> None:
        if str(scheme.get("x-amazon-apigateway-authtype", "")).lower() == "awssigv4":
            self._iam.add(name)
        raw = scheme.get("x-amazon-apigateway-authorizer")
        if raw is None:
            return
        node = _node(raw, name)
        jwt = _node(node.get("jwtConfiguration"), name)
        source = node.get("identitySource")
        if isinstance(source, str):
            source = [part.strip() for part in source.split(",")]
        self._authorizers[name] = api.Authorizer(
            name=name,
            authorizer_type=str(node.get("type", "")).upper(),
            authorizer_uri=_optional(node.get("authorizerUri")),
            authorizer_credentials_arn=_optional(node.get("authorizerCredentials")),
            authorizer_payload_format_version=_optional(node.get("authorizerPayloadFormatVersion")),
            authorizer_result_ttl_in_seconds=_integer(node, "authorizerResultTtlInSeconds"),
            enable_simple_responses=_flag(node, "enableSimpleResponses"),
            identity_source=_texts(source),
            jwt_configuration=(
                api.JWTConfiguration(audience=_texts(jwt.get("audience")), issuer=_optional(jwt.get("issuer")))
                if jwt
                else None
            ),
        )

    def _authorization(self, operation: Node) -> tuple[str, str | None, list[str]]:
        """Return an operation's authorization type, the name of its authorizer and its scopes."""
        own = _node(operation.get("x-amazon-apigateway-auth"), "x-amazon-apigateway-auth")
        if own.get("type"):
            return str(own["type"]).upper(), None, []
        requirements = operation.get("security", self._document.get("security"))
        for requirement in _list(requirements, "security"):
            for name, scopes in _node(requirement, "security").items():
                if name in self._iam:
                    return "AWS_IAM", None, []
                authorizer = self._authorizers.get(name)
                if authorizer is not None:
                    kind = "JWT" if authorizer.authorizer_type == "JWT" else "CUSTOM"
                    return kind, name, _texts(scopes) or []
                self._warnings.append(f"Security scheme {name} has no authorizer: it is ignored")
        return "NONE", None, []

    def _tags(self) -> dict[str, str]:
        nodes = [_node(tag, "tags") for tag in _list(self._document.get("tags"), "tags")]
        value = "x-amazon-apigateway-tag-value"
        return {str(node["name"]): str(node[value]) for node in nodes if value in node and "name" in node}


def _load(text: str) -> Node:
    try:
        try:
            document = json.loads(text)
        except ValueError:
            document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a loader that only knows plain values
    except InvalidDefinition:
        raise
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidDefinition("Unable to parse API definition: it is neither JSON nor YAML") from None
    return _node(document, "the definition")


class _Loader(yaml.SafeLoader):
    """Plain values; what looks like a date stays text, as in JSON.

    Aliases are refused: a few of them inside each other stand for more than any memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):  # pyright: ignore[reportUnknownMemberType] - its stub lacks types
            raise InvalidDefinition("Unable to parse API definition: YAML aliases are not supported")
        return super().compose_node(parent, index)


_Loader.add_constructor(
    "tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(cast("yaml.ScalarNode", node))
)


def _prefix(document: Node, base_path: str) -> str:
    if base_path == "ignore":
        return ""
    servers = _list(document.get("servers"), "servers")
    if not servers:
        return ""
    server = _node(servers[0], "servers")
    url = str(server.get("url", ""))
    for name, variable in _node(server.get("variables"), "variables").items():
        url = url.replace("{" + name + "}", str(_node(variable, name).get("default", "")))
    path = "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url
    path = "/" + path.strip("/") if path.strip("/") else ""
    return (
        "/" + path[1:].partition("/")[2]
        if base_path == "split" and path.count("/") > 1
        else ("" if base_path == "split" else path)
    )


def _cors(raw: object) -> api.Cors | None:
    if raw is None:
        return None
    node = _node(raw, "x-amazon-apigateway-cors")
    return api.Cors(
        allow_credentials=_flag(node, "allowCredentials"),
        allow_headers=_texts(node.get("allowHeaders")),
        allow_methods=_texts(node.get("allowMethods")),
        allow_origins=_texts(node.get("allowOrigins")),
        expose_headers=_texts(node.get("exposeHeaders")),
        max_age=_integer(node, "maxAge"),
    )


def _responses(raw: Node, key: str) -> dict[str, dict[str, str]] | None:
    given = _node(raw.get("responseParameters"), key)
    return {
        str(status): {name: _text(value) for name, value in _node(mappings, key).items()}
        for status, mappings in given.items()
    } or None


def _node(value: object, where: str) -> Node:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidDefinition(f"Unable to parse API definition: {where} must be an object")
    # YAML's keys can be numbers (200) or nothing at all.
    return {str(name): item for name, item in cast("dict[object, Any]", value).items()}


def _list(value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidDefinition(f"Unable to parse API definition: {where} must be an array")
    return cast("list[Any]", value)


def _integer(node: Node, name: str) -> int | None:
    value = node.get(name)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _DIGITS_MAX:
        return int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**_DIGITS_MAX:
        raise InvalidDefinition(f"Unable to parse API definition: {name} must be a number")
    return value


def _flag(node: Node, name: str) -> bool | None:
    value = node.get(name)
    if value is None or isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidDefinition(f"Unable to parse API definition: {name} must be a boolean")


def _texts(value: object) -> list[str] | None:
    if value is None:
        return None
    return [_text(item) for item in cast("list[Any]", value)] if isinstance(value, list) else [_text(value)]


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)
