"""What PartiQL statements do: a SELECT is a reading, all else a write, as if it had come by its own operation."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import msgspec

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.condition import CompiledCondition, Test, compile_tree
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.key_condition import KeyCondition, read_range
from forebay.languages.dynamodb.partiql.parser import parse_statement
from forebay.languages.dynamodb.partiql.statement import Delete, Insert, Select, Statement, Update
from forebay.languages.dynamodb.projection import Projection, project_paths
from forebay.languages.dynamodb.scope import Scope, Values, check_distinct
from forebay.languages.dynamodb.syntax import (
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Junction,
    Operand,
    RawPath,
    ValueRef,
)
from forebay.languages.dynamodb.update import compile_actions
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.languages.dynamodb.value import Value, check_item, check_value, plain_value
from forebay.operations.call import Call
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.address import find_layout
from forebay.services.dynamodb.items import prepare_delete, prepare_put, prepare_update, returned_attributes
from forebay.services.dynamodb.layout import Layout, index_entry
from forebay.services.dynamodb.parameters import check_key_untouched
from forebay.services.dynamodb.reading import Filter, Found, Reading, Start, check_select, find_index, read_page
from forebay.services.dynamodb.writing import Change, Guard, Outcome, Write, decide_check
from forebay.store.items import ItemKey

DUPLICATE = "Duplicate primary key exists in table"
_KEY_MISSING = "Where clause does not contain a mandatory equality on all key attributes"
_MIRRORED = {"=": "EQ", "<": "GT", "<=": "GE", ">": "LT", ">=": "LE"}
_OPERATORS = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}


@dataclass(frozen=True)
class Prepared:
    """A statement with its values and its table."""

    statement: Statement
    values: Values
    layout: Layout

    def shown(self, item: Attributes) -> Attributes | None:
        """Return what a SELECT gives of an item, None where the item does not meet its WHERE."""
        assert isinstance(self.statement, Select)
        if self.statement.where is not None and not _filter(_compiled(self.statement.where), self.values)(item):
            return None
        projection = _projection(self.statement)
        return item if projection is None else projection.apply(item)


async def prepare(call: Call, text: str, parameters: Sequence[api.AttributeValue] | None) -> Prepared:
    """Parse a statement, put its parameters in and find its table.

    Raises:
        ValidationException: it is not well formed, or its parameters do not go with it.
        ResourceNotFoundException: there is no such table.
    """
    statement = parse_statement(text)
    given: list[Value] = [plain_value(parameter) for parameter in parameters or ()]
    for value in given:
        check_value(value)
    if len(given) != statement.literals.parameters:
        raise invalid("Number of parameters in request and statement don't match.")
    values = statement.literals.values(given)
    for value in values.values():
        check_value(value)
    kind = "Read" if isinstance(statement, Select) else "Write"
    return Prepared(statement, values, await find_layout(call, statement.table, kind))


# --- Reading ---


class Token(msgspec.Struct, frozen=True, array_like=True):
    """Where a SELECT goes on: in which of its partitions, and behind what."""

    digest: int
    part: int
    item: tuple[bytes, bytes] | None = None
    position: tuple[bytes, bytes] | None = None


def decode_token(text: str, statement: str) -> Token:
    """Return a token of ours that was made for this statement."""
    try:
        token = msgspec.msgpack.decode(base64.b64decode(text, validate=True), type=Token)
    except (binascii.Error, ValueError):
        raise invalid("Invalid NextToken") from None
    if token.digest != crc32(statement.encode()):
        raise invalid("NextToken does not match request")
    return token


@dataclass
class Selected:
    """A page of a SELECT, and the token of the next one."""

    found: Found
    reading: Reading
    token: str | None = None


async def select(
    call: Call, prepared: Prepared, text: str, *, token: Token | None, limit: int | None, is_consistent: bool
) -> Selected:
    """Read a page of what a SELECT asks for: of each partition that it names, or of the whole table."""
    statement = prepared.statement
    assert isinstance(statement, Select)
    readings = _readings(prepared, statement, is_consistent=is_consistent)
    part = 0 if token is None else token.part
    if part >= len(readings):
        raise invalid("Invalid NextToken")
    total = Found()
    reading = readings[part]
    while part < len(readings):
        reading = replace(readings[part], limit=None if limit is None else limit - total.scanned)
        if token is not None and token.part == part and token.item is not None:
            position = None if token.position is None else ItemKey(*token.position)
            reading = replace(reading, start=Start(ItemKey(*token.item), position))
        found = await read_page(call, reading)
        _add(total, found)
        if found.last is not None:
            total.last = found.last
            return Selected(total, reading, _next_token(text, part, reading, found.last))
        part += 1
        is_full = total.size >= limits.PAGE_BYTES_MAX or (limit is not None and total.scanned >= limit)
        if is_full and part < len(readings):
            return Selected(total, reading, _encode_token(Token(crc32(text.encode()), part)))
    return Selected(total, reading)


def _add(total: Found, found: Found) -> None:
    total.items += found.items
    total.count += found.count
    total.scanned += found.scanned
    total.size += found.size
    total.fetched_units += found.fetched_units


def _next_token(text: str, part: int, reading: Reading, last: Attributes) -> str:
    layout, index = reading.layout, reading.index
    item = layout.lookup_key(layout.key_of(last))
    position: tuple[bytes, bytes] | None = None
    if index is not None:
        entry = index_entry(index, last, item)
        assert entry is not None
        position = (entry.partition, entry.sort)
    return _encode_token(Token(crc32(text.encode()), part, (item.partition, item.sort), position))


def _encode_token(token: Token) -> str:
    return base64.b64encode(msgspec.msgpack.encode(token)).decode()


def _readings(prepared: Prepared, statement: Select, *, is_consistent: bool) -> list[Reading]:
    layout, values = prepared.layout, prepared.values
    index = find_index(layout, statement.index, is_consistent=is_consistent)
    key = layout.key if index is None else index.key
    projection = _projection(statement)
    test = None if statement.where is None else _filter(_compiled(statement.where), values)
    reading = Reading(
        layout,
        index,
        filter=test,
        projection=projection,
        fetches=check_select(index, None, projection),
        is_backward=_is_backward(statement, key.sort),
    )
    keyed = _key_conditions(statement.where, values, key.names)
    choices = _partition_choices(keyed, key.partition)
    if choices is None:
        if statement.order:
            raise invalid("Must have WHERE clause in the statement when using ORDER BY clause.")
        return [reading]
    sorts = [condition for name in key.sort for condition in keyed.get(name, ()) if condition.operator != "IN"][:1]
    if sorts and sorts[0].name != key.sort[0]:
        sorts = []
    types = key.types
    usable = [one for one in sorts if all(types[one.name] in value for value in one.values)]
    found = [
        replace(reading, range=read_range(key, [*choice, *usable]))
        for choice in choices
        if all(types[condition.name] in condition.values[0] for condition in choice)
    ]
    # A key of another type matches nothing: what is read has nothing that is answered.
    return found or [replace(reading, filter=_nothing, limit=1)]


def _nothing(_item: Attributes) -> bool:
    return False


def _projection(statement: Select) -> Projection | None:
    if statement.paths is None:
        return None
    scope = Scope("Statement", None)
    paths = [scope.path(path) for path in statement.paths]
    check_distinct(scope, paths)
    return project_paths(paths)


def _is_backward(statement: Select, sort: tuple[str, ...]) -> bool:
    if not statement.order:
        return False
    name, is_descending = statement.order[-1]
    if sort and name == sort[0]:
        return is_descending
    return False


def _compiled(where: Condition) -> CompiledCondition:
    return compile_tree(Scope("Statement", None), where)


def _filter(condition: CompiledCondition, values: Values) -> Filter:
    condition.check(values)
    test: Test = condition.test
    return lambda item: test(item, values)


def _conjuncts(where: Condition | None) -> list[Condition]:
    if where is None:
        return []
    if isinstance(where, Junction) and where.word == "AND":
        return [part for condition in where.conditions for part in _conjuncts(condition)]
    return [where]


def _key_conditions(where: Condition | None, values: Values, names: Sequence[str]) -> Mapping[str, list[KeyCondition]]:
    """Return those conditions of a WHERE that hold for every item and are about key attributes."""
    found: dict[str, list[KeyCondition]] = {}
    for part in _conjuncts(where):
        condition = _key_condition(part, values)
        if condition is not None and condition.name in names:
            found.setdefault(condition.name, []).append(condition)
    return found


def _key_condition(part: Condition, values: Values) -> KeyCondition | None:
    match part:
        case Comparison(sign, RawPath((str(name),)), ValueRef(ref)) if sign in _OPERATORS:
            return KeyCondition(name, _OPERATORS[sign], (values[ref],))
        case Comparison(sign, ValueRef(ref), RawPath((str(name),))) if sign in _MIRRORED:
            return KeyCondition(name, _MIRRORED[sign], (values[ref],))
        case Between(RawPath((str(name),)), ValueRef(low), ValueRef(high)):
            return KeyCondition(name, "BETWEEN", (values[low], values[high]))
        case In(RawPath((str(name),)), others) if all(isinstance(other, ValueRef) for other in others):
            return KeyCondition(
                name, "IN", tuple(values[other.name] for other in others if isinstance(other, ValueRef))
            )
        case Function("begins_with", (RawPath((str(name),)), ValueRef(ref))):
            return KeyCondition(name, "BEGINS_WITH", (values[ref],))
        case _:
            return None


def _partition_choices(
    keyed: Mapping[str, list[KeyCondition]], partition: tuple[str, ...]
) -> list[list[KeyCondition]] | None:
    """Return the equalities of each partition that is to be read; None where the whole table is."""
    choices: list[list[KeyCondition]] = [[]]
    for name in partition:
        exact = next((one for one in keyed.get(name, ()) if one.operator in {"EQ", "IN"}), None)
        if exact is None:
            return None
        values = list({repr(value): value for value in exact.values}.values())
        choices = [[*choice, KeyCondition(name, "EQ", (value,))] for choice in choices for value in values]
    return choices


# --- Writing ---


def whole_key(prepared: Prepared, where: Condition | None) -> Attributes | None:
    """Return the key of the one item that a WHERE is about, None where it is not about one."""
    key = prepared.layout.key
    keyed = _key_conditions(where, prepared.values, key.names)
    exact: Attributes = {}
    for name in key.names:
        found = next((one for one in keyed.get(name, ()) if one.operator == "EQ"), None)
        if found is None:
            return None
        exact[name] = found.values[0]
    return exact


def prepare_write(call: Call, prepared: Prepared, *, shows_item: bool) -> tuple[Write, Change | None]:
    """Return the write that a statement makes, with its update where it is one."""
    statement, layout, values = prepared.statement, prepared.layout, prepared.values
    if isinstance(statement, Insert):
        return _prepare_insert(call, prepared), None
    assert isinstance(statement, Update | Delete)
    key = whole_key(prepared, statement.where)
    if key is None:
        raise invalid(_KEY_MISSING)
    condition = _compiled(statement.where)
    condition.check(values)
    if isinstance(statement, Update):
        update = compile_actions(Scope("UpdateExpression", None), statement.actions)
        update.check(values)
        check_key_untouched(update.attributes, layout.key.names)
        change = Change(update, values)
        # The key is part of the condition, so that an item that is not there does not meet it.
        return prepare_update(call, layout, key, change, Guard(condition.test, values, shows_item)), change
    further = [part for part in _conjuncts(statement.where) if not _is_key_equality(part, layout)]
    guard = Guard(condition.test, values, shows_item) if further else None
    return prepare_delete(call, layout, key, guard), None


def _is_key_equality(part: Condition, layout: Layout) -> bool:
    names: list[Operand] = [RawPath((name,)) for name in layout.key.names]
    return isinstance(part, Comparison) and part.sign == "=" and (part.left in names or part.right in names)


def _prepare_insert(call: Call, prepared: Prepared) -> Write:
    value = prepared.values[":0"]
    if "M" not in value:
        raise invalid("Unsupported operation: Inserting a value that is not a map is not supported")
    item: Attributes = dict(value["M"])
    size = check_item(item)
    if size > limits.ITEM_BYTES_MAX:
        raise invalid("Item size has exceeded the maximum allowed size")
    return prepare_put(call, prepared.layout, item, size, Guard(lambda present, _values: not present, {}))


def prepare_check(prepared: Prepared, *, shows_item: bool) -> Write:
    """Return the check that an item is there which an EXISTS asks for."""
    statement = prepared.statement
    assert isinstance(statement, Select)
    key = whole_key(prepared, statement.where)
    if key is None or statement.where is None:
        raise invalid(_KEY_MISSING)
    condition = _compiled(statement.where)
    condition.check(prepared.values)
    guard = Guard(condition.test, prepared.values, shows_item)
    return Write(prepared.layout, prepared.layout.lookup_key(key), key, decide_check(guard))


def inserted_error(statement: Statement, error: ServiceError) -> ServiceError:
    """Return a write's error as PartiQL words it: an INSERT does not fail by a condition."""
    if isinstance(statement, Insert) and error.code == "ConditionalCheckFailedException":
        return api.DuplicateItemException(DUPLICATE)
    return error


def returned(statement: Statement, outcome: Outcome, change: Change | None) -> Attributes | None:
    """Return the item that RETURNING asks for."""
    if isinstance(statement, Update | Delete) and statement.returning != "NONE":
        return returned_attributes(statement.returning, change, outcome)
    return None
