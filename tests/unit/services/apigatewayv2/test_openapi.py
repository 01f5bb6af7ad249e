"""Definitions, and what is made of them."""

import copy
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from forebay.services.apigatewayv2.http_api import API, AUTHORIZER, INTEGRATION, ROUTE
from forebay.services.apigatewayv2.openapi import InvalidDefinition, parse_definition

YAML = """
openapi: "3.0.1"
info:
  title: Queue Based Leveling
  version: 2021-03-31
tags:
  - name: team
    x-amazon-apigateway-tag-value: blue
paths:
  /submit:
    post:
      operationId: submit
      responses: {}
      x-amazon-apigateway-integration:
        type: aws_proxy
        integrationSubtype: SQS-SendMessage
        credentials: arn:aws:iam::123456789012:role/r
        connectionType: INTERNET
        payloadFormatVersion: "1.0"
        requestParameters:
          MessageBody: $request.body
          DelaySeconds: 5
          QueueUrl: http://localhost/123456789012/q
  /$default:
    x-amazon-apigateway-any-method:
      isDefaultRoute: true
      x-amazon-apigateway-integration:
        $ref: '#/components/x-amazon-apigateway-integrations/fn'
  /guarded/{id}:
    get:
      security: [{mine: []}]
      x-amazon-apigateway-integration:
        $ref: '#/components/x-amazon-apigateway-integrations/fn'
    parameters: []
  /signed:
    get:
      security: [{iam: []}]
components:
  x-amazon-apigateway-integrations:
    fn:
      type: AWS_PROXY
      httpMethod: GET
      payloadFormatVersion: 2.0
      uri: arn:aws:lambda:us-east-1:123456789012:function:f
      timeoutInMillis: 1000
      responseParameters:
        "200":
          append:header.x: y
  securitySchemes:
    mine:
      type: apiKey
      in: header
      name: auth
      x-amazon-apigateway-authorizer:
        type: request
        identitySource: $request.header.auth, $request.querystring.q
        authorizerUri: arn:aws:lambda:us-east-1:123456789012:function:a
        authorizerPayloadFormatVersion: "2.0"
        authorizerResultTtlInSeconds: 60
        enableSimpleResponses: true
    iam:
      type: apiKey
      in: header
      name: Authorization
      x-amazon-apigateway-authtype: awsSigv4
x-amazon-apigateway-cors:
  allowMethods: ["*"]
  allowOrigins: ["*"]
  allowCredentials: false
  maxAge: 0
x-amazon-apigateway-importexport-version: "1.0"
"""


def test_definition_is_read_whole():
    definition = parse_definition(YAML)
    draft = definition.draft
    assert (draft.name, draft.version, draft.tags) == ("Queue Based Leveling", "2021-03-31", {"team": "blue"})
    assert draft.cors_configuration.allow_origins == ["*"]
    assert draft.cors_configuration.max_age == 0
    by_key = {item.route.route_key: item for item in definition.routes}
    assert list(by_key) == ["POST /submit", "$default", "GET /guarded/{id}", "GET /signed"]
    send = by_key["POST /submit"].integration
    assert send.integration_type == "AWS_PROXY"
    assert send.integration_subtype == "SQS-SendMessage"
    assert send.request_parameters["DelaySeconds"] == "5"
    assert by_key["POST /submit"].route.operation_name == "submit"
    function = by_key["$default"].integration
    assert (function.integration_method, function.payload_format_version) == ("POST", "2.0")
    assert function.timeout_in_millis == 1000
    assert function.response_parameters == {"200": {"append:header.x": "y"}}
    guarded = by_key["GET /guarded/{id}"]
    assert (guarded.route.authorization_type, guarded.authorizer) == ("CUSTOM", "mine")
    assert definition.authorizers["mine"].identity_source == ["$request.header.auth", "$request.querystring.q"]
    assert by_key["GET /signed"].route.authorization_type == "AWS_IAM"
    assert definition.warnings == ["No integration defined for route 'GET /signed': it will answer nothing"]


def minimal(**more):
    return json.dumps({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {}, **more})


@pytest.mark.parametrize(
    ("url", "mode", "expected"),
    [
        ("https://x.example/a/b", "ignore", "GET /p"),
        ("https://x.example/a/b", "prepend", "GET /a/b/p"),
        ("https://x.example/a/b", "split", "GET /b/p"),
        ("https://x.example/a", "split", "GET /p"),
        ("https://x.example/", "prepend", "GET /p"),
        ("https://x.example/{base}", "prepend", "GET /dev/p"),
    ],
)
def test_base_path_goes_where_it_is_told(url, mode, expected):
    text = minimal(
        servers=[{"url": url, "variables": {"base": {"default": "dev"}}}], paths={"/p": {"get": {"responses": {}}}}
    )
    assert parse_definition(text, mode).routes[0].route.route_key == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: [",
        "just text",
        '{"swagger": "2.0", "info": {"title": "t"}, "paths": {}}',
        '{"openapi": "3.0.1", "paths": {}}',
        '{"openapi": "3.0.1", "info": {"title": "t"}, "paths": []}',
        minimal(paths={"/p": {"get": {"x-amazon-apigateway-integration": {"$ref": "#/components/nothing"}}}}),
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidDefinition):
        parse_definition(text)


def test_yaml_makes_no_objects():
    with pytest.raises(InvalidDefinition):
        parse_definition("!!python/object/apply:os.getcwd []")


def test_aliases_are_refused():
    with pytest.raises(InvalidDefinition, match="aliases"):
        parse_definition("a: &x [1]\nb: *x")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_is_refused(text):
    with pytest.raises(InvalidDefinition):
        parse_definition(text)


WHOLE = yaml.safe_load(YAML.replace("2021-03-31", '"2021"'))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        yield from places(value, (*path, name))


@given(st.sampled_from(list(places(WHOLE))), ANYTHING)
def test_any_change_is_read_or_refused(place, value):
    document = copy.deepcopy(WHOLE)
    if not place:
        document = value
    else:
        node = document
        for name in place[:-1]:
            node = node[name]
        node[place[-1]] = value
    try:
        definition = parse_definition(json.dumps(document))
    except InvalidDefinition:
        return
    # What was read is what can be kept.
    kept = [(API, definition.draft), *((AUTHORIZER, item) for item in definition.authorizers.values())]
    for item in definition.routes:
        kept.append((ROUTE, item.route))
        if item.integration is not None:
            kept.append((INTEGRATION, item.integration))
    for kind, entity in kept:
        assert kind.decode(kind.encode(entity)) == entity
