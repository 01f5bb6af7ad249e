"""The filter pattern language of CloudWatch Logs ("Filter pattern syntax", CloudWatch Logs user guide). Pure.

A pattern in braces looks into JSON, one in square brackets into fields; any other is a list of terms: a word or a
quoted phrase must be in the message, `-` means that it must not, `?` that one of several is enough, and `%...%` is a
regular expression.
"""

import re
from collections.abc import Callable

from forebay.services.logs.delimited_pattern import parse_delimited_pattern
from forebay.services.logs.expression import invalid_pattern, regex_search
from forebay.services.logs.json_pattern import parse_json_pattern

Matches = Callable[[str], bool]

_TERM = re.compile(r'\s*(?P<sign>[-?]?)(?:"(?P<quoted>(?:\\.|[^"\\])*)"|%(?P<regex>[^%]*)%|(?P<word>[^\s"%]+))')
_WORD = re.compile(r"\w+")


def parse_filter_pattern(text: str) -> Matches:
    """Return the predicate of a pattern on messages; the empty pattern matches all.

    Raises:
        InvalidParameterException: it is no pattern.
    """
    text = text.strip()
    if text.startswith("{"):
        return parse_json_pattern(text)
    if text.startswith("["):
        return parse_delimited_pattern(text)
    return _parse_terms(text)


def _parse_terms(text: str) -> Matches:
    required: list[Matches] = []
    excluded: list[Matches] = []
    optional: list[Matches] = []
    by_sign = {"": required, "-": excluded, "?": optional}
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise invalid_pattern(f"Invalid character(s) in term '{text[at:].strip()}'")
        by_sign[match["sign"]].append(_term(match))
        at = match.end()
    if required or excluded:
        # "If you combine ? with other terms, those with ? are ignored" (user guide, "Match terms").
        return lambda message: all(each(message) for each in required) and not any(each(message) for each in excluded)
    return lambda message: not optional or any(each(message) for each in optional)


def _term(match: re.Match[str]) -> Matches:
    if match["regex"] is not None:
        return regex_search(match["regex"])
    if match["quoted"] is not None:
        phrase = re.sub(r"\\(.)", r"\1", match["quoted"])
        if not phrase:
            raise invalid_pattern("Invalid character(s) in term '\"\"'")
    else:
        phrase = match["word"]
        if _WORD.fullmatch(phrase) is None:
            raise invalid_pattern(f"Invalid character(s) in term '{phrase}'")
    return lambda message: phrase in message
