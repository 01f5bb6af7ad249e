"""Whatever the event holds, a valid template yields valid JSON."""

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.languages.input_transformer import InvalidTemplate, Reserved, Transformer

RESERVED = Reserved("arn", "name", "time")
VALUES = st.recursive(
    st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip
TEMPLATES = ['{"a": <x>, "b": "t <x> \\"<y>\\"", "c": [<y>, 1]}', '"<x>"', "<x>", "[<x>,<aws.events.event>]"]


@given(st.sampled_from(TEMPLATES), VALUES, VALUES)
@settings(max_examples=300, deadline=None)
def test_filled_template_is_compact_json(template, x, y):
    transformer = Transformer.parse({"x": "$.detail.x", "y": "$.detail.y"}, template)
    filled = transformer.apply({"source": "s", "detail": {"x": x, "y": y}}, RESERVED)
    assert json.dumps(json.loads(filled), ensure_ascii=False, separators=(",", ":")) == filled
    if template == "<x>":
        assert json.loads(filled) == x


@given(st.text(st.sampled_from('{}[]":,<xy>1 \\\n'), max_size=30))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_template_or_is_refused(template):
    with contextlib.suppress(InvalidTemplate):
        filled = Transformer.parse({"x": "$.x", "y": "$.y"}, template).apply({"x": 1}, RESERVED)
        for line in filled.split("\n"):
            json.loads(line)
