"""The generator's own promises: modules are current, expressions mean in Python what they mean in Java."""

import re
from importlib import import_module

import pytest

from forebay.core.schema import ListOf, MapOf, Text, schema_of
from forebay.core.shapes import Shape
from tools.generate_api import main
from tools.patterns import translate
from tools.services import SERVICES


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


def patterns() -> set[tuple[str, int]]:
    """Give every generated expression with the longest text it is matched against."""
    found: set[tuple[str, int]] = set()
    for service in SERVICES:
        for type_ in vars(import_module(f"forebay.api.{service.module}")).values():
            if not (isinstance(type_, type) and issubclass(type_, Shape)):
                continue
            nodes = [member.node for member in schema_of(type_).members]
            while nodes:
                node = nodes.pop()
                if isinstance(node, ListOf):
                    nodes.append(node.item)
                elif isinstance(node, MapOf):
                    nodes += [node.key, node.value]
                elif isinstance(node, Text) and node.pattern:
                    found.add((node.pattern, min(node.most or 5000, 5000)))
    return found


# A bad expression takes ages for these, and the test's timeout then says so.
@pytest.mark.timeout(60)
@pytest.mark.parametrize("run", ["a", "0", "-", " ", "a-", "a.", "a/", "a0", "a:", "%", "*"])
def test_no_expression_takes_for_ever(run):
    for pattern, most in patterns():
        re.search(pattern, (run * most)[: most - 1] + "\x01")


@pytest.mark.parametrize("text", ["a", " a", "\ta\t\tb ", "a b", " ", "\t", "", "a\n", "a:b", "\t \t"])
@pytest.mark.parametrize("word", ["[^\\x00-\\x1F:\\x7F]", "[\\x20-\\x7E]"])
def test_respelled_expressions_match_the_same_texts(word, text):
    slow = f"^[ \\t]*{word}+([ \\t]+{word}+)*[ \\t]*$"
    assert bool(re.search(translate(slow), text)) == bool(re.fullmatch(slow[1:-1], text))
