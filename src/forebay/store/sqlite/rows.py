"""Statements over many rows. One step of SQLite is one release of the interpreter's lock, so rows go in together."""

import sqlite3
from collections.abc import Sequence
from typing import Any

# Statements of every size up to this stay compiled; larger sets run in pieces.
ROWS_MAX = 64


class Statements:
    """One statement in all sizes: `{rows}` in the text stands for as many copies of `row` as there are rows."""

    __slots__ = ("_texts", "_width")

    def __init__(self, text: str, row: str) -> None:
        self._texts = tuple(text.format(rows=",".join([row] * size)) for size in range(ROWS_MAX + 1))
        self._width = row.count("?")

    def run(self, connection: sqlite3.Connection, values: Sequence[object]) -> None:
        """Execute with the values of all rows in one flat sequence."""
        width = self._width
        rows = len(values) // width
        if rows <= ROWS_MAX:
            if rows:
                connection.execute(self._texts[rows], values)
            return
        piece = ROWS_MAX * width
        for start in range(0, len(values), piece):
            part = values[start : start + piece]
            connection.execute(self._texts[len(part) // width], part)

    def fetch(self, connection: sqlite3.Connection, values: Sequence[object]) -> list[Any]:
        """Execute and return what the statement returns for all rows."""
        width = self._width
        piece = ROWS_MAX * width
        found: list[Any] = []
        for start in range(0, len(values), piece):
            part = values[start : start + piece]
            found += connection.execute(self._texts[len(part) // width], part).fetchall()
        return found
