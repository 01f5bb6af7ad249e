"""From the name or ARN in a request to the table."""

import re
from functools import lru_cache

from forebay.core.arn import Arn
from forebay.languages.dynamodb.errors import invalid
from forebay.operations.call import Call
from forebay.services.dynamodb.errors import check_own, no_resource, no_table
from forebay.services.dynamodb.layout import Layout
from forebay.services.dynamodb.table import TABLE, Table, table_key
from forebay.services.dynamodb.throttle import Kind, TableLimits
from forebay.store.contract import Store

_NAME = re.compile(r"[a-zA-Z0-9_.-]+\Z")
_PATTERN = "[a-zA-Z0-9_.-]+"


class Layouts:
    """The layouts of tables in use, by the tables' keys."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._layouts: dict[str, Layout] = {}
        store.watch(TABLE, self._forget)

    def of(self, table: Table) -> Layout:
        """Return a table's layout."""
        key = table.key()
        layout = self._layouts.get(key)
        if layout is None or layout.table is not table:
            layout = self._layouts[key] = Layout(table)
        return layout

    async def find(self, key: str) -> Layout | None:
        """Return the layout of the table under a key, or None where there is none."""
        table = await self._store.find(TABLE, key)
        if table is None:
            return None
        layout = self._layouts.get(key)
        if layout is None or layout.table is not table:
            layout = self._layouts[key] = Layout(table)
        return layout

    def _forget(self, key: str, _table: Table | None) -> None:
        self._layouts.pop(key, None)


def address_key(call: Call, text: str) -> str:
    """Return the record's key for a table's name or ARN.

    Raises:
        ValidationException: it is neither.
    """
    if text.startswith("arn:"):
        arn = parse_table_arn(text)
        check_own(call, arn)
        return table_key(arn.account, arn.region, arn.resource.removeprefix("table/").partition("/")[0])
    check_name(text)
    return table_key(call.account, call.region, text)


def parse_table_arn(text: str) -> Arn:
    """Return the ARN of a table or of something that belongs to one."""
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {text}") from None
    if arn.service != "dynamodb" or not arn.resource.startswith("table/"):
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {text}")
    return arn


@lru_cache(maxsize=4096)
def check_name(name: str, member: str = "tableName") -> None:
    """Refuse a text that is no table's name, in the words of the model as the service knows it."""
    violations: list[str] = []
    if len(name) > 255:
        violations.append("Member must have length less than or equal to 255")
    if len(name) < 3:
        violations.append("Member must have length greater than or equal to 3")
    if not _NAME.match(name):
        violations.append(f"Member must satisfy regular expression pattern: {_PATTERN}")
    if violations:
        errors = "error" if len(violations) == 1 else "errors"
        listed = "; ".join(f"Value '{name}' at '{member}' failed to satisfy constraint: {text}" for text in violations)
        raise invalid(f"{len(violations)} validation {errors} detected: {listed}")


def check_length(name: str) -> None:
    """Refuse a name that is too short or long, in the words of operations on tables."""
    if not name.startswith("arn:") and not 3 <= len(name) <= 255:
        raise invalid("TableName must be at least 3 characters long and at most 255 characters long")


async def find_layout(call: Call, name: str, kind: Kind) -> Layout:
    """Return the layout of a table whose items can be used, to read or to write them.

    Raises:
        ResourceNotFoundException: there is none.
        ProvisionedThroughputExceededException: it has no units left, where that counts.
    """
    layout = await call.part(Layouts).find(address_key(call, name))
    if layout is None or layout.table.filling is not None:
        raise no_resource()
    call.part(TableLimits).admit(layout, kind)
    return layout


def load_table(call: Call, name: str) -> Table:
    """Return a table, inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is none.
    """
    check_length(name)
    table = call.reader.find(TABLE, address_key(call, name))
    if table is None:
        raise no_table(name)
    return table
