"""From the name or ARN in a request to the table."""

from collections.abc import Mapping

from forebay.core.arn import Arn
from forebay.core.validation import Violation, show, violations_error
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.table_name import LENGTH_TEXT, NAMES_CONSTRAINT, broken_constraints, has_length
from forebay.operations.call import Call
from forebay.services.dynamodb.errors import check_own, no_resource, no_table
from forebay.services.dynamodb.layout import Layout
from forebay.services.dynamodb.table import TABLE, Table, table_key
from forebay.services.dynamodb.throttle import Kind, TableLimits
from forebay.store.contract import Store


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


def check_name(name: str) -> None:
    """Refuse a text that is no table's name, in the words of the model as the service knows it."""
    broken = broken_constraints(name)
    if broken:
        raise violations_error("dynamodb", [Violation("tableName", f"'{name}'", words) for words in broken])


def check_names(tables: Mapping[str, object]) -> None:
    """Refuse a batch of which a table's name is none."""
    if any(map(broken_constraints, tables)):
        words = f"Map keys must satisfy constraint: {NAMES_CONSTRAINT}"
        raise violations_error("dynamodb", [Violation("requestItems", f"'{show(dict(tables))}'", words)])


def check_length(name: str) -> None:
    """Refuse a name that is too short or long, in the words of operations on tables."""
    if not has_length(name):
        raise invalid(LENGTH_TEXT)


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
