"""Every type is tied to AWS's schema of it, so that a misspelt property or attribute here fails."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.ids import Ids
from forebay.services.cloudformation.plan import check_replaceable, decide, reverse
from forebay.services.cloudformation.resources.lambda_function import inline_archive
from forebay.services.cloudformation.resources.names import NameRule, physical_name
from forebay.services.cloudformation.resources.registry import find_type, is_known_to_aws, supported_types
from forebay.services.cloudformation.resources.schema import coerce
from forebay.services.cloudformation.stack import StackResource


@pytest.mark.parametrize("name", supported_types())
def test_type_speaks_of_properties_that_its_schema_has(name: str) -> None:
    registered = find_type(name)
    assert registered is not None
    settable = registered.schema.settable
    assert registered.type.without_effect <= settable
    assert registered.type.unsupported <= settable
    assert not registered.type.without_effect & registered.type.unsupported
    if registered.type.naming is not None:
        assert registered.type.naming.property in {*registered.schema.properties, "StackName"}


def test_unknown_properties_are_found_at_every_depth() -> None:
    queue, rule = find_type("AWS::SQS::Queue"), find_type("AWS::Events::Rule")
    assert queue is not None
    assert rule is not None
    assert queue.unknown({"QueueName": "a", "Colour": 1}) == ["Colour"]
    assert queue.unknown({"Arn": "x"}) == ["Arn"]
    assert rule.unknown({"Targets": [{"Arn": "a", "Id": "b", "Colour": 1}]}) == ["Targets/0/Colour"]
    assert rule.unknown({"Targets": {"Fn::If": ["C", [], []]}}) == []
    assert rule.unknown({"EventPattern": {"anything": {"goes": 1}}}) == []


def test_scalars_take_the_type_of_their_schema() -> None:
    queue = find_type("AWS::SQS::Queue")
    assert queue is not None
    given_ = {"DelaySeconds": "5", "FifoQueue": "true", "QueueName": 12, "RedrivePolicy": {"maxReceiveCount": "3"}}
    assert coerce(queue.schema, given_) == {
        "DelaySeconds": 5,
        "FifoQueue": True,
        "QueueName": "12",
        "RedrivePolicy": {"maxReceiveCount": 3},
    }


def test_values_of_free_maps_are_texts() -> None:
    function = find_type("AWS::Lambda::Function")
    assert function is not None
    given_ = {"Environment": {"Variables": {"A": 1234, "B": True, "C": 1.5, "D": "x"}}}
    variables = {"A": "1234", "B": "true", "C": "1.5", "D": "x"}
    assert coerce(function.schema, given_) == {"Environment": {"Variables": variables}}


def test_custom_resources_take_anything() -> None:
    custom = find_type("Custom::Anything")
    assert custom is not None
    assert custom.unknown({"ServiceToken": "x", "Whatever": 1}) == []
    assert custom.has_attribute("Whatever")


def test_types_that_aws_has_are_told_from_misspelt_ones() -> None:
    assert find_type("AWS::EC2::Instance") is None
    assert is_known_to_aws("AWS::EC2::Instance")
    assert not is_known_to_aws("AWS::SQS::Queeue")


def resource(properties: dict[str, object], physical_id: str | None = "id") -> StackResource:
    return StackResource("A", "AWS::SQS::Queue", "CREATE_COMPLETE", 0.0, physical_id, properties=properties)


def test_changes_decide_what_is_done() -> None:
    queue = find_type("AWS::SQS::Queue")
    assert decide(queue, None, {}).action == "create"
    assert decide(queue, resource({}, None), {}).action == "create"
    assert decide(queue, resource({"DelaySeconds": 1}), {"DelaySeconds": 1}).action == ""
    assert decide(queue, resource({"DelaySeconds": 1}), {}).action == "update"
    assert decide(queue, resource({"QueueName": "a"}), {"QueueName": "b"}).action == "replace"
    permission = find_type("AWS::Lambda::Permission")
    assert decide(permission, resource({"Action": "a"}), {"Action": "b"}).action == "replace"


def test_named_resource_cannot_be_replaced_by_itself() -> None:
    queue = find_type("AWS::SQS::Queue")
    assert queue is not None
    old = resource({"QueueName": "a.fifo", "FifoQueue": True})
    with pytest.raises(Exception, match="cannot update a stack when a custom-named resource requires replacing"):
        check_replaceable(queue, old, {"QueueName": "a.fifo"})
    check_replaceable(queue, old, {"QueueName": "b"})


def test_reverse_turns_needs_round() -> None:
    assert reverse({"A": frozenset({"B"}), "B": frozenset()}) == {"A": frozenset(), "B": frozenset({"A"})}


@given(
    st.from_regex(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", fullmatch=True), st.from_regex(r"[A-Za-z0-9]{1,255}", fullmatch=True)
)
def test_physical_names_fit(stack: str, logical_id: str) -> None:
    for rule in (NameRule("N", 64), NameRule("N", 80), NameRule("N", 63, lower=True), NameRule("N", 48)):
        name = physical_name(rule, stack, logical_id, Ids(1), ".fifo" if rule.length_max == 80 else "")
        assert len(name) <= rule.length_max
        assert name == name.lower() or not rule.lower
        assert name[0].isalpha()


def test_inline_code_becomes_an_archive_with_the_answering_module() -> None:
    archive = zipfile.ZipFile(io.BytesIO(inline_archive("def handler(e, c): ...", "python3.12")))
    assert sorted(archive.namelist()) == ["cfnresponse.py", "index.py"]
    assert zipfile.ZipFile(io.BytesIO(inline_archive("x", "nodejs22.x"))).namelist() == ["index.js", "cfn-response.js"]
    assert inline_archive("a", "python3.12") == inline_archive("a", "python3.12")
