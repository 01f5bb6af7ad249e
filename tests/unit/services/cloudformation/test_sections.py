from typing import Any

import pytest

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.sections import read_template, transforms_of

QUEUE = {"Type": "AWS::SQS::Queue"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "Template format error: At least one Resources member must be defined."),
        ({"Resources": {}}, "Template format error: At least one Resources member must be defined."),
        ({"Resources": {"A": QUEUE}, "Extra": 1}, "Invalid template property or properties [Extra]"),
        (
            {"Resources": {"A": {}}},
            "Template format error: [/Resources/A] Every Resources object must contain a Type member.",
        ),
        ({"Resources": {"a-b": QUEUE}}, "Template format error: Resource name a-b is non alphanumeric."),
        ({"Resources": {"A": {**QUEUE, "Propertys": {}}}}, "Invalid template resource property 'Propertys'"),
        (
            {"Resources": {"A": QUEUE}, "Outputs": {"O": {}}},
            "Template format error: Every Outputs member must contain a Value object",
        ),
        (
            {"Resources": {"A": QUEUE}, "Parameters": {"P": {}}},
            "Template format error: Every Parameters object must contain a Type member.",
        ),
        (
            {"Resources": {"A": {**QUEUE, "DeletionPolicy": "Keep"}}},
            "Template error: Unrecognized DeletionPolicy Keep for resource A",
        ),
        (
            {"Resources": {"A": QUEUE}, "AWSTemplateFormatVersion": "2020-01-01"},
            "Template format error: unsupported value for AWSTemplateFormatVersion.",
        ),
    ],
)
def test_malformed_section_is_refused(raw: dict[str, Any], text: str) -> None:
    with pytest.raises(ServiceError) as raised:
        read_template(raw)
    assert raised.value.message == text


def test_transforms_are_named_in_every_form() -> None:
    assert transforms_of({}) == ()
    assert transforms_of({"Transform": "A"}) == ("A",)
    assert transforms_of({"Transform": ["A", {"Name": "B"}]}) == ("A", "B")


def test_resource_is_read_whole() -> None:
    raw = {"Resources": {"A": {**QUEUE, "DependsOn": "B", "Condition": "C", "DeletionPolicy": "Retain"}}}
    resource = read_template(raw).resources["A"]
    assert resource.depends_on == ("B",)
    assert resource.condition == "C"
    assert resource.deletion_policy == "Retain"
