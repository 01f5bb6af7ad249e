"""What a header can carry."""

import pytest

from forebay.core.http import header_text, is_header_name


@pytest.mark.parametrize(
    ("text", "carried"),
    [
        ("plain", "plain"),
        ("tab\there", "tab\there"),
        ("a\r\nb: c\0", "ab: c"),
        ("\xe9", "\xe9"),
        # UTF-8's bytes, as a client that reads Latin-1 sees them.
        ("\u96ea", "\xe9\x9b\xaa"),
        ("\ud800", "?"),
    ],
)
def test_header_text_is_what_http_can_carry(text, carried):
    assert header_text(text) == carried
    header_text(text).encode("latin-1")


@pytest.mark.parametrize(
    ("text", "is_name"), [("x-a", True), ("", False), ("a b", False), ("a\r\nb", False), ("\xe9", False)]
)
def test_header_names_are_tokens(text, is_name):
    assert is_header_name(text) is is_name
