import pytest

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.dynamic_references import (
    DynamicReference,
    dynamic_references_in,
    replace_dynamic_references,
    secret_value,
)


def only(text: str) -> DynamicReference:
    (reference,) = dynamic_references_in({"a": [text]})
    return reference


def test_parameter_references_are_read() -> None:
    reference = only("x {{resolve:ssm:/a/b:3}} y")
    assert (reference.service, reference.name, reference.version) == ("ssm", "/a/b", "3")
    assert only("{{resolve:ssm:name}}").version is None


def test_secret_references_are_read() -> None:
    reference = only("{{resolve:secretsmanager:db:SecretString:password:AWSCURRENT}}")
    assert (reference.name, reference.json_key, reference.version_stage) == ("db", "password", "AWSCURRENT")
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
    assert only("{{resolve:secretsmanager:" + arn + ":SecretString:user}}").name == arn
    assert only("{{resolve:secretsmanager:" + arn + "}}").name == arn


def test_unknown_service_is_refused() -> None:
    with pytest.raises(ServiceError, match="not supported"):
        dynamic_references_in("{{resolve:vault:x}}")


def test_values_take_the_place_of_references() -> None:
    value = {"a": "user={{resolve:ssm:u}}", "b": ["{{resolve:ssm:u}}", 1]}
    assert replace_dynamic_references(value, {"{{resolve:ssm:u}}": "me"}) == {"a": "user=me", "b": ["me", 1]}


def test_key_of_a_secret_is_taken() -> None:
    reference = only("{{resolve:secretsmanager:db:SecretString:port}}")
    assert secret_value(reference, '{"port": 5432}') == "5432"
    with pytest.raises(ServiceError):
        secret_value(reference, "not json")
