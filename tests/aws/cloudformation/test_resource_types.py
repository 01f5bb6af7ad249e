"""Each service's resources: made, changed and taken away through a stack, and seen through the service itself."""

import json
from typing import Any

from tests.aws.cloudformation.stacks import create, delete, events, outputs, parameter, queue, update
from tests.harness import RunningNode

NAMED = {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def complete(client: Any, stack: dict[str, Any]) -> dict[str, Any]:
    failures = [event for event in events(client, stack["StackName"]) if event[1].endswith("FAILED")]
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, failures
    return stack


def test_roles_and_policies(node: RunningNode) -> None:
    client, iam = node.client("cloudformation"), node.client("iam")

    def resources(action: str, managed: list[str], tags: dict[str, str]) -> dict[str, Any]:
        role = {
            "AssumeRolePolicyDocument": TRUST,
            "RoleName": "worker",
            "Policies": [{"PolicyName": "inline", "PolicyDocument": policy(action)}],
            "ManagedPolicyArns": managed,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        return {
            "Role": {"Type": "AWS::IAM::Role", "Properties": role},
            "Shared": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": policy(action), "Roles": [{"Ref": "Role"}]},
            },
            "Extra": {
                "Type": "AWS::IAM::Policy",
                "Properties": {"PolicyName": "extra", "PolicyDocument": policy(action), "Roles": [{"Ref": "Role"}]},
            },
        }

    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    sections = {"Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}, "Policy": {"Value": {"Ref": "Shared"}}}}
    stack = complete(client, create(client, "one", resources("sqs:*", [basic], {"a": "1"}), **sections, **NAMED))
    found = outputs(stack)
    assert found["Arn"] == "arn:aws:iam::000000000000:role/worker"
    attached = iam.list_attached_role_policies(RoleName="worker")["AttachedPolicies"]
    assert {item["PolicyArn"] for item in attached} == {basic, found["Policy"]}
    assert iam.list_role_policies(RoleName="worker")["PolicyNames"] == ["extra", "inline"]
    complete(client, update(client, "one", resources("sns:*", [], {"b": "2"}), **sections, **NAMED))
    inline = iam.get_role_policy(RoleName="worker", PolicyName="inline")["PolicyDocument"]
    assert inline["Statement"][0]["Action"] == "sns:*"
    assert iam.list_role_tags(RoleName="worker")["Tags"] == [{"Key": "b", "Value": "2"}]
    attached = iam.list_attached_role_policies(RoleName="worker")["AttachedPolicies"]
    assert [item["PolicyArn"] for item in attached] == [found["Policy"]]
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert iam.list_roles()["Roles"] == []


def test_log_groups(node: RunningNode) -> None:
    client, logs = node.client("cloudformation"), node.client("logs")

    def group(**properties: Any) -> dict[str, Any]:
        return {"G": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/x/y", **properties}}}

    sections = {"Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["G", "Arn"]}}}}
    stack = complete(client, create(client, "one", group(RetentionInDays="7"), **sections))
    assert outputs(stack)["Arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/x/y:*"
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 7
    complete(client, update(client, "one", group(), **sections))
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert logs.describe_log_groups()["logGroups"] == []


def test_parameters(node: RunningNode) -> None:
    client, ssm = node.client("cloudformation"), node.client("ssm")
    sections = {"Outputs": {"V": {"Value": {"Fn::GetAtt": ["P", "Value"]}}}}
    create(client, "one", {"P": parameter("a", Name="/p", Tags={"k": "v"})}, **sections)
    assert ssm.get_parameter(Name="/p")["Parameter"]["Value"] == "a"
    stack = complete(client, update(client, "one", {"P": parameter("b", Name="/p")}, **sections))
    assert ssm.get_parameter(Name="/p")["Parameter"]["Value"] == "b"
    assert outputs(stack)["V"] == "b"
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert ssm.describe_parameters()["Parameters"] == []


def test_secrets(node: RunningNode) -> None:
    client, secrets = node.client("cloudformation"), node.client("secretsmanager")
    rule = {"SecretStringTemplate": '{"user": "me"}', "GenerateStringKey": "password", "PasswordLength": 20}
    resources = {"S": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": rule}}}
    stack = complete(client, create(client, "one", resources, Outputs={"Arn": {"Value": {"Ref": "S"}}}))
    value = json.loads(secrets.get_secret_value(SecretId=outputs(stack)["Arn"])["SecretString"])
    assert value["user"] == "me"
    assert len(value["password"]) == 20
    text = "{{resolve:secretsmanager:" + outputs(stack)["Arn"] + ":SecretString:user}}"
    complete(client, create(client, "two", {"P": parameter(text, Name="/user")}))
    assert node.client("ssm").get_parameter(Name="/user")["Parameter"]["Value"] == "me"
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert secrets.list_secrets()["SecretList"] == []


def test_buckets(node: RunningNode) -> None:
    client, s3 = node.client("cloudformation"), node.client("s3")
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "Tags": [{"Key": "a", "Value": "b"}],
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
        },
    }
    sections = {"Outputs": {"Name": {"Value": {"Ref": "B"}}, "Arn": {"Value": {"Fn::GetAtt": ["B", "Arn"]}}}}
    stack = complete(client, create(client, "My-Stack", {"B": bucket}, **sections))
    name = outputs(stack)["Name"]
    assert name.startswith("my-stack-b-")
    assert outputs(stack)["Arn"] == f"arn:aws:s3:::{name}"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "a", "Value": "b"}]
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    version = s3.put_object(Bucket=name, Key="a", Body=b"x")["VersionId"]
    assert delete(client, "My-Stack") == "DELETE_FAILED"
    s3.delete_object(Bucket=name, Key="a", VersionId=version)
    assert delete(client, "My-Stack") == "DELETE_COMPLETE"


def test_buses_and_rules(node: RunningNode) -> None:
    client, bridge = node.client("cloudformation"), node.client("events")

    def resources(source: str, targets: list[str]) -> dict[str, Any]:
        rule = {
            "EventBusName": {"Ref": "Bus"},
            "EventPattern": {"source": [source], "account": [{"Ref": "AWS::AccountId"}]},
            "Targets": [{"Id": name, "Arn": {"Fn::GetAtt": [name, "Arn"]}} for name in targets],
        }
        return {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "claims"}},
            "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
            "A": queue(QueueName="a"),
            "B": queue(QueueName="b"),
        }

    sections = {"Outputs": {"Rule": {"Value": {"Ref": "Rule"}}, "Arn": {"Value": {"Fn::GetAtt": ["Rule", "Arn"]}}}}
    stack = complete(client, create(client, "one", resources("x", ["A", "B"]), **sections))
    bus, _, name = outputs(stack)["Rule"].partition("|")
    assert bus == "claims"
    assert outputs(stack)["Arn"].endswith(f":rule/claims/{name}")
    listed = bridge.list_targets_by_rule(Rule=name, EventBusName="claims")["Targets"]
    assert sorted(target["Id"] for target in listed) == ["A", "B"]
    complete(client, update(client, "one", resources("y", ["B"]), **sections))
    listed = bridge.list_targets_by_rule(Rule=name, EventBusName="claims")["Targets"]
    assert [target["Id"] for target in listed] == ["B"]
    pattern = json.loads(bridge.describe_rule(Name=name, EventBusName="claims")["EventPattern"])
    assert pattern == {"source": ["y"], "account": ["000000000000"]}
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert [item["Name"] for item in bridge.list_event_buses()["EventBuses"]] == ["default"]


def test_queue_policies(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    document = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "SQS:SendMessage", "Resource": "*"}]}
    rule = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Q"}], "PolicyDocument": document}}
    complete(client, create(client, "one", {"Q": queue(QueueName="q"), "P": rule}))
    url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    assert (
        json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
        == document
    )
    complete(client, update(client, "one", {"Q": queue(QueueName="q")}))
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])


def test_nested_stacks(node: RunningNode) -> None:
    client, s3 = node.client("cloudformation"), node.client("s3")
    s3.create_bucket(Bucket="templates")

    def store(delay: int) -> dict[str, Any]:
        inner = {
            "Parameters": {"Name": {"Type": "String"}},
            "Resources": {"Q": queue(QueueName={"Ref": "Name"}, DelaySeconds=delay)},
            "Outputs": {"Url": {"Value": {"Ref": "Q"}}},
        }
        key = f"inner-{delay}.json"
        s3.put_object(Bucket="templates", Key=key, Body=json.dumps(inner))
        properties = {"TemplateURL": f"https://s3.amazonaws.com/templates/{key}", "Parameters": {"Name": "nested"}}
        return {"Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": properties}}

    sections = {"Outputs": {"Url": {"Value": {"Fn::GetAtt": ["Inner", "Outputs.Url"]}}}}
    stack = complete(client, create(client, "outer", store(1), **sections))
    assert outputs(stack)["Url"].endswith("/nested")
    complete(client, update(client, "outer", store(5), **sections))
    url = node.client("sqs").get_queue_url(QueueName="nested")["QueueUrl"]
    attributes = node.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    assert attributes == {"DelaySeconds": "5"}
    assert delete(client, "outer") == "DELETE_COMPLETE"
    assert client.describe_stacks()["Stacks"] == []


def test_wait_condition_is_signalled_by_url(node: RunningNode) -> None:
    from urllib.request import Request, urlopen

    client = node.client("cloudformation")
    resources = {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Wait": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "60"},
        },
    }
    client.create_stack(
        StackName="one",
        TemplateBody=json.dumps(
            {"Resources": resources, "Outputs": {"D": {"Value": {"Fn::GetAtt": ["Wait", "Data"]}}}}
        ),
    )
    found = client.describe_stack_resource(StackName="one", LogicalResourceId="Handle")["StackResourceDetail"]
    signal = json.dumps({"Status": "SUCCESS", "UniqueId": "1", "Data": "ready", "Reason": "done"}).encode()
    with urlopen(Request(found["PhysicalResourceId"], signal, {"content-type": ""}, method="PUT")) as answer:
        assert answer.status == 200
    client.get_waiter("stack_create_complete").wait(StackName="one", WaiterConfig={"Delay": 1})
    (stack,) = client.describe_stacks(StackName="one")["Stacks"]
    assert outputs(stack)["D"] == '{"1": "ready"}'


def test_subscriptions_of_functions_to_logs(node: RunningNode) -> None:
    client, logs = node.client("cloudformation"), node.client("logs")

    def resources(pattern: str) -> dict[str, Any]:
        function = {"Runtime": "python3.11", "Handler": "index.h", "Role": {"Fn::GetAtt": ["Role", "Arn"]}}
        subscription = {
            "LogGroupName": {"Ref": "Group"},
            "FilterPattern": pattern,
            "DestinationArn": {"Fn::GetAtt": ["Function", "Arn"]},
        }
        return {
            "Group": {"Type": "AWS::Logs::LogGroup"},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {**function, "Code": {"ZipFile": "def h(event, context): pass"}},
            },
            "Subscription": {"Type": "AWS::Logs::SubscriptionFilter", "Properties": subscription},
        }

    sections = {"Outputs": {"Group": {"Value": {"Ref": "Group"}}}}
    stack = complete(client, create(client, "one", resources("ERROR"), **sections, **NAMED))
    group = outputs(stack)["Group"]

    def patterns() -> list[str]:
        found = logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
        return [item["filterPattern"] for item in found]

    assert patterns() == ["ERROR"]
    complete(client, update(client, "one", resources("WARN"), **sections, **NAMED))
    assert patterns() == ["WARN"]
    complete(client, update(client, "one", {"Group": {"Type": "AWS::Logs::LogGroup"}}, **sections, **NAMED))
    assert patterns() == []


def test_queue_waits_until_its_name_is_free_again(node: RunningNode) -> None:
    client = node.client("cloudformation")
    resources = {"Q": queue(QueueName="named")}
    complete(client, create(client, "one", resources))
    assert delete(client, "one") == "DELETE_COMPLETE"
    client.create_stack(StackName="one", TemplateBody=json.dumps({"Resources": resources}))
    stack = client.describe_stacks(StackName="one")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_IN_PROGRESS"
    node.clock.freeze()
    node.clock.advance(61)
    node.clock.resume()
    client.get_waiter("stack_create_complete").wait(StackName="one", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
