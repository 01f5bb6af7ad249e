"""`forebay deploy`: templates as their authors wrote them, and words for what is wrong with them."""

import json

import pytest


@pytest.fixture
def template(tmp_path):
    """Write a template; a dict is easier to vary than YAML."""

    def write(text):
        path = tmp_path / "stack" / "template.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


API = """
Parameters: {Name: {Type: String}}
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: !Ref Name, ProtocolType: HTTP}}
Outputs:
  Url: {Value: !Sub "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/dev"}
"""


def test_output_that_leads_to_aws_is_shown_with_what_answers_here(node, forebay, template):
    shown = forebay("deploy", template(API), "--parameter", "Name=x").output
    described = node.client("cloudformation").describe_stacks(StackName="stack")["Stacks"][0]
    api = node.client("apigatewayv2").get_apis()["Items"][0]["ApiId"]
    assert described["Outputs"][0]["OutputValue"] == f"https://{api}.execute-api.us-east-1.amazonaws.com/dev"
    assert f"answers here at {node.url}/_aws/execute-api/{api}/dev" in shown
    assert json.loads(forebay("deploy", template(API), "--json").stdout)["local"] == {
        "Url": f"{node.url}/_aws/execute-api/{api}/dev"
    }


def test_missing_parameters_are_told_with_how_to_give_them(forebay, template):
    assert "--parameter Name=..." in forebay("deploy", template(API), code=1).output


def test_reason_that_no_resource_has_is_told(forebay, template):
    text = "Resources: {Q: {Type: AWS::SQS::Queue}}\nOutputs: {O: {Value: !Ref AWS::NotificationARNs}}"
    shown = forebay("deploy", template(text), code=1).output
    assert "ROLLBACK_COMPLETE: Template format error: Output O is malformed." in shown


def test_mapping_of_a_domain_says_how_to_reach_it(node, forebay, template):
    text = """
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: x, ProtocolType: HTTP}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: dev}}
  Mapping:
    Type: AWS::ApiGatewayV2::ApiMapping
    DependsOn: Stage
    Properties: {ApiId: !Ref Api, DomainName: shop.example.com, Stage: dev, ApiMappingKey: v1}
"""
    shown = forebay("deploy", template(text)).output
    assert f"Answers at {node.url}/v1 to requests with the header `Host: shop.example.com`." in shown


def test_rules_are_checked_before_anything_is_made(node, forebay, template):
    text = """
Parameters: {Stage: {Type: String, Default: dev}}
Rules:
  Known: {Assertions: [{Assert: !Contains [[test, prod], !Ref Stage], AssertDescription: "Stage is test or prod."}]}
Resources: {Q: {Type: AWS::SQS::Queue}}
"""
    assert "Stage is test or prod." in forebay("deploy", template(text), code=1).output
    assert "QueueUrls" not in node.client("sqs").list_queues()
    forebay("deploy", template(text), "--parameter", "Stage=prod")


def test_layer_of_another_account_says_what_to_do(forebay, template):
    text = """
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.h
      Role: arn:aws:iam::000000000000:role/r
      Code: {ZipFile: "def h(event, context): pass"}
      Layers: ["arn:aws:lambda:us-east-1:017000801446:layer:Powertools:51"]
"""
    shown = forebay("deploy", template(text), code=1).output
    assert "Layers of account 017000801446 are not on this node" in shown
