import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.parsing import parse_template, parse_value


def problem(text: str) -> str:
    with pytest.raises(ServiceError) as raised:
        parse_template(text)
    return raised.value.message


def test_short_tags_become_functions() -> None:
    text = """
    A: !Ref Queue
    B: !GetAtt Queue.Arn
    C: !Sub "${Queue}-x"
    D: !Join [",", [a, !Ref B]]
    E: !If [IsProd, 1, !Ref "AWS::NoValue"]
    F: !Condition IsProd
    G: !GetAtt [Nested, Outputs.X]
    H: !Transform {Name: AWS::Include, Parameters: {Location: a.yaml}}
    """
    assert parse_value(text) == {
        "A": {"Ref": "Queue"},
        "B": {"Fn::GetAtt": ["Queue", "Arn"]},
        "C": {"Fn::Sub": "${Queue}-x"},
        "D": {"Fn::Join": [",", ["a", {"Ref": "B"}]]},
        "E": {"Fn::If": ["IsProd", 1, {"Ref": "AWS::NoValue"}]},
        "F": {"Condition": "IsProd"},
        "G": {"Fn::GetAtt": ["Nested", "Outputs.X"]},
        "H": {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "a.yaml"}}},
    }


def test_dates_stay_texts() -> None:
    assert parse_value("Version: 2012-10-17") == {"Version": "2012-10-17"}


def test_account_ids_keep_their_leading_zeros() -> None:
    assert parse_value("Account: 012345670123") == {"Account": "012345670123"}
    assert parse_value("Number: 42") == {"Number": 42}


def test_numeric_keys_become_texts() -> None:
    assert parse_value("responses:\n  200: {a: b}\n") == {"responses": {"200": {"a": "b"}}}


def test_merge_keys_are_merged() -> None:
    assert parse_value("A: &a {x: 1}\nB:\n  <<: *a\n  y: 2\n") == {"A": {"x": 1}, "B": {"x": 1, "y": 2}}


def test_duplicate_keys_are_refused() -> None:
    assert problem("A: 1\nB: 2\nA: 3\n") == "Template format error: Duplicate key A"
    assert problem('{"A": 1, "A": 2}') == "Template format error: Duplicate key A"


def test_malformed_yaml_is_refused_with_its_place() -> None:
    assert problem("A: [1, 2\nB: }") == "Template format error: YAML not well-formed. (line 2, column 2)"


def test_malformed_json_is_refused_with_its_place() -> None:
    assert problem('{"A": 1,, }') == "Template format error: JSON not well-formed. (line 1, column 9)"


def test_a_template_is_a_map() -> None:
    assert problem("just a text") == "Template format error: unsupported structure."
    assert problem("[1]") == "Template format error: unsupported structure."


def test_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join(f'*a{i - 1}' for _ in range(10))}]" for i in range(1, 9)]
    assert "too large" in problem("\n".join(lines))


def test_alias_to_itself_is_refused() -> None:
    with pytest.raises(ServiceError):
        parse_template("a: &a [*a]")


def test_deep_nesting_is_refused() -> None:
    assert "Template format error" in problem("[" * 5000)
    assert "Template format error" in problem("a: " + "[" * 5000)


@given(st.text(max_size=200))
def test_any_text_is_a_template_or_a_validation_error(text: str) -> None:
    try:
        parse_template(text)
    except ServiceError as error:
        assert error.code == "ValidationError"  # noqa: PT017 - not every text raises
