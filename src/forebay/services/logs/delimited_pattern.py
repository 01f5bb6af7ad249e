"""Filter patterns for messages of fields with spaces between: `[ip, user, ..., status = 4*, bytes > 1000]`. Pure.

In a message, what stands in quotes or square brackets is one field.
"""

import re
from collections.abc import Callable

from forebay.services.logs.expression import Find, Parser, invalid_pattern, tokens_of

_FIELD = re.compile(r'"((?:\\.|[^"\\])*)"|\[([^\]]*)\]|(\S+)')
_REST = "..."

Fields = list[str]


def parse_delimited_pattern(text: str) -> Callable[[str], bool]:
    """Return the predicate of a pattern in square brackets on messages.

    Raises:
        InvalidParameterException: it is no pattern.
    """
    if not text.endswith("]"):
        raise invalid_pattern("If a filter pattern starts with '[' it must end with ']'")
    columns = [column.strip() for column in _split(text[1:-1])]
    if columns.count(_REST) > 1 or not all(columns):
        raise invalid_pattern()
    head = columns.index(_REST) if _REST in columns else len(columns)
    tail = columns[head + 1 :]
    conditions = [_condition(column, index) for index, column in enumerate(columns[:head])]
    conditions += [_condition(column, index - len(tail)) for index, column in enumerate(tail)]
    least, is_exact = head + len(tail), head == len(columns)

    def matches(message: str) -> bool:
        fields = fields_of(message)
        if len(fields) != least if is_exact else len(fields) < least:
            return False
        return all(condition(fields) for condition in conditions)

    return matches


def fields_of(message: str) -> Fields:
    """Return the fields of a message."""
    return [next((part for part in match.groups() if part is not None), "") for match in _FIELD.finditer(message)]


def _condition(column: str, index: int) -> Callable[[Fields], bool]:
    tokens = tokens_of(column)
    if len(tokens) == 1:
        # A name alone takes any field.
        return lambda _fields: True

    names: set[str] = set()

    def selector(name: str) -> Find[Fields]:
        names.add(name)
        if len(names) > 1:
            # A column is one field, so it cannot be compared under two names.
            raise invalid_pattern()
        return lambda fields: [fields[index]]

    return Parser(tokens, selector).parse()


def _split(text: str) -> list[str]:
    """Split columns at the commas outside quotes and regular expressions."""
    return re.findall(r'(?:"(?:\\.|[^"\\])*"|%[^%]*%|[^,"%])+', text) if text.strip() else [""]
