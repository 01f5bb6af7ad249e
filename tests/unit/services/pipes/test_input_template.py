import json

import pytest

from forebay.services.pipes.input_template import InputTemplate, InvalidInputTemplate, PipeVariables

VARIABLES = PipeVariables("arn:pipe", "p", "arn:source", "arn:enrichment", "arn:target", "2027-01-16T00:00:00Z")
EVENT = {"messageId": "m", "body": '{"order": {"id": 7, "items": ["a", "b"]}, "text": "say \\"hi\\""}', "n": None}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"id": <$.body.order.id>}', {"id": 7}),
        ('{"order": <$.body.order>, "m": "<$.messageId>"}', {"order": {"id": 7, "items": ["a", "b"]}, "m": "m"}),
        ('{"second": <$.body.order.items[1]>}', {"second": "b"}),
        ('{"text": "He: <$.body.text>"}', {"text": 'He: say "hi"'}),
        ('{"missing": "<$.body.nothing>"}', {"missing": ""}),
        ('{"n": <$.n>}', {"n": None}),
        (
            '{"a": "<aws.pipes.pipe-arn>", "n": <aws.pipes.pipe-name>, "s": "<aws.pipes.source-arn>"}',
            {"a": "arn:pipe", "n": "p", "s": "arn:source"},
        ),
        ('{"t": <aws.pipes.event.ingestion-time>}', {"t": "2027-01-16T00:00:00Z"}),
        ('{"e": <aws.pipes.target-arn>, "f": <aws.pipes.enrichment-arn>}', {"e": "arn:target", "f": "arn:enrichment"}),
        ("<$.body.order.items>", ["a", "b"]),
    ],
)
def test_template_is_filled(template, expected):
    assert json.loads(InputTemplate.parse(template).apply(EVENT, VARIABLES)) == expected


def test_body_that_is_no_json_is_a_text():
    template = InputTemplate.parse('{"b": <$.body>}')
    assert json.loads(template.apply({"body": "hello {"}, VARIABLES)) == {"b": "hello {"}


@pytest.mark.parametrize("template", ['{"a": <aws.pipes.nothing>}', '{"a": ', '{"a": <$..b>}'])
def test_wrong_template_is_refused(template):
    with pytest.raises(InvalidInputTemplate):
        InputTemplate.parse(template)
