"""The generator's own promises: modules are current, expressions mean in Python what they mean in Java."""

import re

import pytest

from tools.generate_api import main
from tools.patterns import translate


def test_generated_modules_are_current(monkeypatch):
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    assert main() == 0


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("[a-z]+", "abc", "abc\n"),
        ("a|b", "b", "bc"),
        ("\\w+", "a_1", "é"),
        ("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", "é 雪_", "a*"),
        ("[\\w-_]*", "a-_", "a+"),
        ("(?i)all|[0-9]{12}", "ALL", "alls"),
        ("\\p{ASCII}*", "a~", "é"),
        ("[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\r\\n\\t]*", "a\U0001f600\n", "\x01"),
    ],
)
def test_translate_matches_whole_texts_as_java_does(pattern, matching, other):
    translated = translate(pattern)
    assert translated is not None
    assert re.search(translated, matching)
    assert not re.search(translated, other)


def test_translate_gives_up_visibly():
    assert translate("[\\p{P}]+") is None
