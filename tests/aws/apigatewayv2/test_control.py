"""The control plane: what is kept, shown, refused, and when requests see it."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.aws.apigatewayv2.conftest import Apis

URL = "http://127.0.0.1:9/x"


def refused(act, **given) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        act(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def http(apis: Apis, api_id: str, key: str) -> str:
    return apis.route(api_id, key, IntegrationType="HTTP_PROXY", IntegrationMethod="GET", IntegrationUri=URL)


def test_api_is_kept_shown_changed_and_deleted(apis: Apis):
    client = apis.client
    made = client.create_api(
        Name="n", ProtocolType="HTTP", Description="d", Tags={"a": "1"}, CorsConfiguration={"AllowOrigins": ["*"]}
    )
    api_id = made["ApiId"]
    assert made["ApiEndpoint"] == f"{apis.node.url}/_aws/execute-api/{api_id}"
    assert made["RouteSelectionExpression"] == "$request.method $request.path"
    assert made["ApiKeySelectionExpression"] == "$request.header.x-api-key"
    assert made["DisableExecuteApiEndpoint"] is False
    client.update_api(ApiId=api_id, Name="m", Description="")
    shown = client.get_api(ApiId=api_id)
    assert shown["Name"] == "m"
    assert "Description" not in shown
    assert shown["CreatedDate"] == made["CreatedDate"]
    assert [item["ApiId"] for item in client.get_apis()["Items"]] == [api_id]
    assert apis.node.client("apigatewayv2", region="eu-west-1").get_apis()["Items"] == []
    assert apis.node.client("apigatewayv2", account="111111111111").get_apis()["Items"] == []
    client.delete_api(ApiId=api_id)
    code, text = refused(client.get_api, ApiId=api_id)
    assert (code, text) == ("NotFoundException", f"Invalid API identifier specified 000000000000:{api_id}")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ProtocolType": "WEBSOCKET"}, "NotImplemented"),
        ({"ProtocolType": "TCP"}, "BadRequestException"),
        ({"Name": ""}, "BadRequestException"),
        ({"RouteSelectionExpression": "$request.body.action"}, "BadRequestException"),
        ({"CorsConfiguration": {"AllowOrigins": ["*"], "AllowCredentials": True}}, "BadRequestException"),
        ({"RouteKey": "GET /"}, "BadRequestException"),
        ({"Target": "nonsense"}, "BadRequestException"),
    ],
)
def test_api_that_cannot_be_is_refused(apis: Apis, given: dict, code: str):
    assert refused(apis.client.create_api, **{"Name": "n", "ProtocolType": "HTTP", **given})[0] == code


def test_pages_of_apis(apis: Apis):
    made = sorted(apis.client.create_api(Name=str(i), ProtocolType="HTTP")["ApiId"] for i in range(5))
    first = apis.client.get_apis(MaxResults="3")
    second = apis.client.get_apis(MaxResults="3", NextToken=first["NextToken"])
    assert [item["ApiId"] for item in first["Items"] + second["Items"]] == made
    assert "NextToken" not in second
    assert refused(apis.client.get_apis, MaxResults="x")[0] == "BadRequestException"
    assert refused(apis.client.get_apis, NextToken="?")[0] == "BadRequestException"


def test_routes_and_integrations_refer_to_each_other(apis: Apis):
    client, api_id = apis.client, apis.api()
    integration = client.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=URL
    )
    assert integration["TimeoutInMillis"] == 30000
    assert integration["ConnectionType"] == "INTERNET"
    assert integration["PayloadFormatVersion"] == "1.0"
    target = f"integrations/{integration['IntegrationId']}"
    route = client.create_route(ApiId=api_id, RouteKey="GET /a", Target=target)
    assert route["AuthorizationType"] == "NONE"
    assert route["ApiKeyRequired"] is False
    code, text = refused(client.create_route, ApiId=api_id, RouteKey="GET /a")
    assert (code, text) == ("ConflictException", "Route with key GET /a already exists for this API")
    assert refused(client.create_route, ApiId=api_id, RouteKey="a")[0] == "BadRequestException"
    assert refused(client.create_route, ApiId=api_id, RouteKey="GET /b", Target="integrations/x")[0] == (
        "BadRequestException"
    )
    in_use = refused(client.delete_integration, ApiId=api_id, IntegrationId=integration["IntegrationId"])
    assert in_use[0] == "ConflictException"
    client.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    client.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    assert refused(client.get_route, ApiId=api_id, RouteId=route["RouteId"])[0] == "NotFoundException"
    assert client.get_routes(ApiId=api_id)["Items"] == []


def test_parameters_of_integrations_are_merged(apis: Apis):
    client, api_id = apis.client, apis.api()
    made = client.create_integration(
        ApiId=api_id,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri=URL,
        RequestParameters={"append:header.a": "1", "append:header.b": "2"},
        ResponseParameters={"200": {"append:header.a": "1"}, "404": {"append:header.a": "1"}},
    )
    changed = client.update_integration(
        ApiId=api_id,
        IntegrationId=made["IntegrationId"],
        RequestParameters={"append:header.a": "", "append:header.c": "3"},
        ResponseParameters={"200": {}},
    )
    assert changed["RequestParameters"] == {"append:header.b": "2", "append:header.c": "3"}
    assert changed["ResponseParameters"] == {"404": {"append:header.a": "1"}}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"IntegrationType": "MOCK"}, "BadRequestException"),
        ({"IntegrationUri": "ftp://x"}, "BadRequestException"),
        ({"IntegrationMethod": None}, "BadRequestException"),
        ({"TimeoutInMillis": 30001}, "BadRequestException"),
        ({"ConnectionType": "VPC_LINK", "ConnectionId": "x"}, "NotImplemented"),
        ({"RequestParameters": {"append:header.via": "x"}}, "BadRequestException"),
        ({"ResponseParameters": {"999": {}}}, "BadRequestException"),
        ({"IntegrationType": "AWS_PROXY"}, "BadRequestException"),
    ],
)
def test_integration_that_cannot_be_is_refused(apis: Apis, given: dict, code: str):
    whole = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "IntegrationUri": URL, **given}
    kept = {name: value for name, value in whole.items() if value is not None}
    assert refused(apis.client.create_integration, ApiId=apis.api(), **kept)[0] == code


def test_stage_without_auto_deploy_serves_its_deployment(apis: Apis):
    client = apis.client
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    api_id = client.create_api(Name="n", ProtocolType="HTTP")["ApiId"]
    code, text = refused(client.create_deployment, ApiId=api_id)
    assert (code, text) == ("BadRequestException", "Unable to deploy API because no routes exist in this API")
    apis.service(api_id, "POST /a", "SQS-SendMessage", QueueUrl=queue, MessageBody="a")
    client.create_stage(ApiId=api_id, StageName="prod")
    assert apis.ask("POST", api_id, "/prod/a").status == 404
    first = client.create_deployment(ApiId=api_id, StageName="prod", Description="one")
    assert first["DeploymentStatus"] == "DEPLOYED"
    assert first["AutoDeployed"] is False
    assert apis.ask("POST", api_id, "/prod/a").status == 200
    apis.service(api_id, "POST /b", "SQS-SendMessage", QueueUrl=queue, MessageBody="b")
    assert apis.ask("POST", api_id, "/prod/b").status == 404
    second = client.create_deployment(ApiId=api_id)
    client.update_stage(ApiId=api_id, StageName="prod", DeploymentId=second["DeploymentId"])
    assert apis.ask("POST", api_id, "/prod/b").status == 200
    client.delete_deployment(ApiId=api_id, DeploymentId=first["DeploymentId"])
    in_use = refused(client.delete_deployment, ApiId=api_id, DeploymentId=second["DeploymentId"])
    assert in_use[0] == "BadRequestException"
    client.delete_stage(ApiId=api_id, StageName="prod")
    assert apis.ask("POST", api_id, "/prod/b").status == 404


def test_automatic_deployments_follow_each_change(apis: Apis):
    client, api_id = apis.client, apis.api()
    stage = client.get_stage(ApiId=api_id, StageName="$default")
    assert stage["LastDeploymentStatusMessage"] == (
        "Deployment attempt failed: Unable to deploy API because no routes exist in this API"
    )
    http(apis, api_id, "GET /a")
    stage = client.get_stage(ApiId=api_id, StageName="$default")
    assert stage["LastDeploymentStatusMessage"] == (
        f"Successfully deployed stage with deployment ID '{stage['DeploymentId']}'"
    )
    (deployment,) = client.get_deployments(ApiId=api_id)["Items"]
    assert (deployment["AutoDeployed"], deployment["DeploymentId"]) == (True, stage["DeploymentId"])
    assert refused(client.create_deployment, ApiId=api_id, StageName="$default")[0] == "BadRequestException"


def test_stage_that_cannot_be_is_refused(apis: Apis):
    client, api_id = apis.client, apis.api()
    assert refused(client.create_stage, ApiId=api_id, StageName="$default")[0] == "ConflictException"
    for given in (
        {"StageName": "a b"},
        {"StageVariables": {"a-b": "x"}},
        {"StageVariables": {"a": "<>"}},
        {"DeploymentId": "nothing"},
        {"DefaultRouteSettings": {"LoggingLevel": "INFO"}},
        {"AccessLogSettings": {"DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:g"}},
        {"AccessLogSettings": {"DestinationArn": "nothing", "Format": "x"}},
    ):
        code, _ = refused(client.create_stage, **{"ApiId": api_id, "StageName": "s", **given})
        assert code == "BadRequestException", given


def test_unknown_apis_paths_and_routes_are_not_found(apis: Apis):
    api_id = apis.api()
    http(apis, api_id, "GET /a")
    for asked, path in ((api_id, "/b"), ("nothing123", "/a"), (api_id, "/a/")):
        answer = apis.ask("GET", asked, path)
        assert (answer.status, answer.json()) == (404, {"message": "Not Found"})
    assert apis.ask("GET", api_id, "/metrics").status == 404
    apis.client.update_api(ApiId=api_id, DisableExecuteApiEndpoint=True)
    assert apis.ask("GET", api_id, "/a").status == 404


def test_custom_domain_name_leads_to_its_mappings(apis: Apis):
    client = apis.client
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    api_id = apis.api(DisableExecuteApiEndpoint=True)
    apis.service(api_id, "POST /a", "SQS-SendMessage", QueueUrl=queue, MessageBody="${context.path} ${request.path}")
    made = client.create_domain_name(DomainName="api.example.com", DomainNameConfigurations=[{"CertificateArn": "c"}])
    configuration = made["DomainNameConfigurations"][0]
    assert configuration["DomainNameStatus"] == "AVAILABLE"
    assert configuration["ApiGatewayDomainName"].endswith(".execute-api.us-east-1.amazonaws.com")
    root = client.create_api_mapping(DomainName="api.example.com", ApiId=api_id, Stage="$default")
    client.create_api_mapping(DomainName="api.example.com", ApiId=api_id, Stage="$default", ApiMappingKey="v1/x")
    assert apis.ask("POST", api_id, "/a").status == 404
    assert apis.ask("POST", "", "/a", host="api.example.com:4566").status == 200
    assert apis.ask("POST", "", "/v1/x/a", host="API.example.com").status == 200
    assert apis.ask("POST", "", "/v1/a", host="api.example.com").status == 404
    sqs = apis.node.client("sqs")
    bodies = {item["Body"] for item in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]}
    assert bodies == {"/a /a", "/v1/x/a /a"}
    taken = refused(client.create_api_mapping, DomainName="api.example.com", ApiId=api_id, Stage="$default")
    assert taken[0] == "ConflictException"
    assert refused(client.delete_api, ApiId=api_id)[0] == "BadRequestException"
    assert refused(client.delete_stage, ApiId=api_id, StageName="$default")[0] == "BadRequestException"
    client.delete_api_mapping(DomainName="api.example.com", ApiMappingId=root["ApiMappingId"])
    assert apis.ask("POST", "", "/a", host="api.example.com").status == 404
    client.delete_domain_name(DomainName="api.example.com")
    gone = refused(client.get_domain_name, DomainName="api.example.com")
    assert gone == ("NotFoundException", "Invalid domain name identifier specified")
    client.delete_api(ApiId=api_id)


def test_mapping_on_an_unknown_domain_name_makes_it(apis: Apis):
    api_id = apis.api()
    http(apis, api_id, "GET /a")
    apis.client.create_api_mapping(DomainName="dev.example.com", ApiId=api_id, Stage="$default")
    assert apis.client.get_domain_name(DomainName="dev.example.com")["DomainName"] == "dev.example.com"
    # The backend of the route is nobody, which says that the request got there.
    assert apis.ask("GET", "", "/a", host="dev.example.com").status == 503


def test_everything_is_there_after_a_restart(apis: Apis):
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    api_id = apis.api()
    name = queue.rpartition("/")[2]
    url = f"http://queues/000000000000/{name}"
    apis.service(api_id, "POST /a", "SQS-SendMessage", QueueUrl=url, MessageBody="$request.body")
    apis.client.create_api_mapping(DomainName="dev.example.com", ApiId=api_id, Stage="$default")
    before = apis.client.get_stage(ApiId=api_id, StageName="$default")
    apis.node.restart()
    assert apis.ask("POST", api_id, "/a", b"x").status == 200
    assert apis.ask("POST", "", "/a", b"y", host="dev.example.com").status == 200
    after = apis.client.get_stage(ApiId=api_id, StageName="$default")
    assert {k: v for k, v in before.items() if k != "ResponseMetadata"} == {
        k: v for k, v in after.items() if k != "ResponseMetadata"
    }


def test_tags_of_apis_and_stages(apis: Apis):
    client, api_id = apis.client, apis.api(Tags={"a": "1"})
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api_id}"
    client.tag_resource(ResourceArn=arn, Tags={"b": "2"})
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}
    assert client.get_api(ApiId=api_id)["Tags"] == {"b": "2"}
    stage = arn + "/stages/$default"
    client.tag_resource(ResourceArn=stage, Tags={"s": "3"})
    assert client.get_stage(ApiId=api_id, StageName="$default")["Tags"] == {"s": "3"}
    assert refused(client.get_tags, ResourceArn=arn + "x")[0] == "NotFoundException"
    assert refused(client.get_tags, ResourceArn="nonsense")[0] == "BadRequestException"


def test_models_and_vpc_links_are_kept(apis: Apis):
    client, api_id = apis.client, apis.api()
    model = client.create_model(ApiId=api_id, Name="Pet", Schema='{"type": "object"}')
    assert client.get_model(ApiId=api_id, ModelId=model["ModelId"])["ContentType"] == "application/json"
    assert refused(client.create_model, ApiId=api_id, Name="Pet", Schema="{}")[0] == "ConflictException"
    assert refused(client.create_model, ApiId=api_id, Name="Bad", Schema="{")[0] == "BadRequestException"
    client.delete_model(ApiId=api_id, ModelId=model["ModelId"])
    link = client.create_vpc_link(Name="l", SubnetIds=["subnet-1"])
    assert link["VpcLinkStatus"] == "AVAILABLE"
    client.update_vpc_link(VpcLinkId=link["VpcLinkId"], Name="m")
    assert [item["Name"] for item in client.get_vpc_links()["Items"]] == ["m"]
    client.delete_vpc_link(VpcLinkId=link["VpcLinkId"])
    assert refused(client.get_vpc_link, VpcLinkId=link["VpcLinkId"])[0] == "NotFoundException"


def definition(queue: str, path: str) -> str:
    integration = {
        "type": "aws_proxy",
        "integrationSubtype": "SQS-SendMessage",
        "credentials": "arn:aws:iam::000000000000:role/r",
        "connectionType": "INTERNET",
        "payloadFormatVersion": "1.0",
        "requestParameters": {"MessageBody": "$request.body", "QueueUrl": queue},
    }
    return json.dumps(
        {
            "openapi": "3.0.1",
            "info": {"title": "Leveling", "version": "1"},
            "paths": {path: {"post": {"responses": {}, "x-amazon-apigateway-integration": integration}}},
            "x-amazon-apigateway-cors": {"allowOrigins": ["*"], "allowMethods": ["*"]},
            "x-amazon-apigateway-importexport-version": "1.0",
        }
    )


def test_definition_is_imported_and_imported_again(apis: Apis):
    client = apis.client
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    made = client.import_api(Body=definition(queue, "/submit"))
    api_id = made["ApiId"]
    assert (made["Name"], made["CorsConfiguration"]["AllowOrigins"]) == ("Leveling", ["*"])
    client.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    answer = apis.ask("POST", api_id, "/submit", b"x", {"Origin": "https://a.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")
    client.reimport_api(ApiId=api_id, Body=definition(queue, "/other"))
    assert apis.ask("POST", api_id, "/submit", b"x").status == 404
    assert apis.ask("POST", api_id, "/other", b"x").status == 200
    assert len(client.get_integrations(ApiId=api_id)["Items"]) == 1


def test_definition_with_warnings_can_be_refused(apis: Apis):
    text = json.dumps({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {"/a": {"get": {"responses": {}}}}})
    assert apis.client.import_api(Body=text)["Warnings"]
    assert refused(apis.client.import_api, Body=text, FailOnWarnings=True)[0] == "BadRequestException"
    assert refused(apis.client.import_api, Body="nonsense")[0] == "BadRequestException"


def test_what_is_left_out_says_so(apis: Apis):
    code, text = refused(apis.client.export_api, ApiId=apis.api(), Specification="OAS30", OutputType="JSON")
    assert code == "NotImplemented"
    assert "ExportApi" in text


def test_domain_names_without_what_they_promise_are_refused(apis: Apis):
    make = apis.client.create_domain_name
    assert refused(make, DomainName="a.example.com", RoutingMode="ROUTING_RULE_ONLY")[0] == "NotImplemented"
    trust = {"TruststoreUri": "s3://bucket/key"}
    assert refused(make, DomainName="a.example.com", MutualTlsAuthentication=trust)[0] == "NotImplemented"
    assert refused(make, DomainName="*.example.com")[0] == "BadRequestException"
    make(DomainName="a.example.com")
    assert refused(make, DomainName="a.example.com")[0] == "BadRequestException"
    elsewhere = apis.node.client("apigatewayv2", region="eu-west-1")
    assert refused(elsewhere.create_domain_name, DomainName="a.example.com")[0] == "BadRequestException"


def test_signed_routes_need_a_signature(apis: Apis):
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    api_id = apis.api()
    route = apis.service(api_id, "POST /a", "SQS-SendMessage", QueueUrl=queue, MessageBody="x")
    apis.client.update_route(ApiId=api_id, RouteId=route, AuthorizationType="AWS_IAM")
    assert apis.ask("POST", api_id, "/a").status == 403
    signature = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/execute-api/aws4_request, Signature=0"
    assert apis.ask("POST", api_id, "/a", headers={"Authorization": signature}).status == 200
    apis.client.update_route(ApiId=api_id, RouteId=route, AuthorizationType="NONE")
    assert apis.ask("POST", api_id, "/a").status == 200
