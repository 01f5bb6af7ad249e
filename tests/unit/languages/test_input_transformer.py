import pytest

from forebay.languages.input_transformer import InvalidTemplate, Reserved, Transformer
from forebay.languages.json_path import InvalidJsonPath
from tests.unit.languages.cases import cases_of

RESERVED = Reserved("arn:aws:events:eu-central-1:1:rule/r", "r", "2026-01-02T03:04:05Z")


@pytest.mark.parametrize(("given", "expected"), cases_of("input_transformer"))
def test_template_is_filled_as_documented(given, expected):
    transformer = Transformer.parse(given["paths"], given["template"])
    assert transformer.apply(given["event"], RESERVED) == expected


@pytest.mark.parametrize(("given", "expected"), cases_of("input_transformer_errors"))
def test_invalid_template_is_refused_in_aws_words(given, expected):
    with pytest.raises(InvalidTemplate) as refused:
        Transformer.parse(given["paths"], given["template"])
    assert refused.value.text_for("T1") == expected


def test_invalid_path_is_refused():
    with pytest.raises(InvalidJsonPath):
        Transformer.parse({"a": "detail.a"}, '"<a>"')
