"""Statements to what they mean."""

from forebay.languages.dynamodb.caching import keep_short
from forebay.languages.dynamodb.partiql.lexer import Cursor, ill_formed
from forebay.languages.dynamodb.partiql.literals import LiteralReader
from forebay.languages.dynamodb.partiql.statement import Delete, Insert, Select, Statement, Update
from forebay.languages.dynamodb.syntax import (
    Action,
    Arithmetic,
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Junction,
    Not,
    Operand,
    PathPart,
    RawPath,
)

_COMPARATORS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TESTS = frozenset({"begins_with", "contains", "attribute_type", "attribute_exists", "attribute_not_exists"})
_SET_FUNCTIONS = {"set_add": "ADD", "set_delete": "DELETE"}
_RETURNING = {"ALL": "ALL", "MODIFIED": "UPDATED"}
_NESTING_MAX = 100


@keep_short
def parse_statement(text: str) -> Statement:
    """Parse one statement.

    Raises:
        ValidationException: it is not well formed.
    """
    return _Parser(text).statement()


class _Parser:
    def __init__(self, text: str) -> None:
        self._cursor = Cursor(text)
        self._literals = LiteralReader(self._cursor)
        self._depth = 0

    def statement(self) -> Statement:
        cursor = self._cursor
        if cursor.is_word("SELECT"):
            statement: Statement = self._select()
        elif cursor.is_word("EXISTS"):
            statement = self._exists()
        elif cursor.take_word("INSERT"):
            statement = self._insert()
        elif cursor.take_word("UPDATE"):
            statement = self._update()
        elif cursor.take_word("DELETE"):
            statement = self._delete()
        else:
            cursor.refuse("expected SELECT, INSERT, UPDATE or DELETE")
            raise AssertionError
        if cursor.next.kind != "end":
            cursor.refuse("expected the end of the statement")
        return statement

    def _exists(self) -> Select:
        self._cursor.take()
        self._cursor.expect_sign("(")
        select = self._select(is_existence=True)
        self._cursor.expect_sign(")")
        return select

    def _select(self, *, is_existence: bool = False) -> Select:
        cursor = self._cursor
        cursor.expect_word("SELECT")
        paths: tuple[RawPath, ...] | None = None
        if not cursor.take_sign("*"):
            found = [self._path()]
            while cursor.take_sign(","):
                found.append(self._path())
            paths = tuple(found)
        cursor.expect_word("FROM")
        table = self._name()
        index = self._name() if cursor.take_sign(".") else None
        where = self._condition() if cursor.take_word("WHERE") else None
        return Select(table, index, paths, where, self._order(), self._literals.literals(), is_existence)

    def _order(self) -> tuple[tuple[str, bool], ...]:
        cursor = self._cursor
        if not cursor.take_word("ORDER"):
            return ()
        cursor.expect_word("BY")
        order: list[tuple[str, bool]] = []
        while not order or cursor.take_sign(","):
            name = self._name()
            is_descending = cursor.take_word("DESC")
            if not is_descending:
                cursor.take_word("ASC")
            order.append((name, is_descending))
        return tuple(order)

    def _insert(self) -> Insert:
        cursor = self._cursor
        cursor.expect_word("INTO")
        table = self._name()
        cursor.expect_word("VALUE")
        self._literals.ref()
        return Insert(table, self._literals.literals())

    def _update(self) -> Update:
        cursor = self._cursor
        table = self._name()
        actions: list[Action] = []
        while cursor.is_word("SET", "REMOVE"):
            section = cursor.take().text.upper()
            actions.append(self._action(section))
            while cursor.take_sign(","):
                actions.append(self._action(section))
        if not actions:
            cursor.refuse("expected SET or REMOVE")
        cursor.expect_word("WHERE")
        where = self._condition()
        return Update(table, tuple(actions), where, self._returning(), self._literals.literals())

    def _delete(self) -> Delete:
        cursor = self._cursor
        cursor.expect_word("FROM")
        table = self._name()
        cursor.expect_word("WHERE")
        where = self._condition()
        return Delete(table, where, self._returning(), self._literals.literals())

    def _returning(self) -> str:
        cursor = self._cursor
        if not cursor.take_word("RETURNING"):
            return "NONE"
        if not cursor.is_word(*_RETURNING):
            cursor.refuse("expected ALL or MODIFIED")
        which = _RETURNING[cursor.take().text.upper()]
        if not cursor.is_word("OLD", "NEW"):
            cursor.refuse("expected OLD or NEW")
        when = cursor.take().text.upper()
        cursor.expect_sign("*")
        return f"{which}_{when}"

    def _name(self) -> str:
        if self._cursor.next.kind not in {"name", "quoted"}:
            self._cursor.refuse("expected a name")
        return self._cursor.take().text

    def _path(self) -> RawPath:
        cursor = self._cursor
        parts: list[PathPart] = [self._name()]
        while True:
            if cursor.take_sign("."):
                parts.append(self._name())
            elif cursor.take_sign("["):
                parts.append(self._subscript())
            else:
                return RawPath(tuple(parts))

    def _subscript(self) -> PathPart:
        cursor = self._cursor
        if cursor.next.kind == "number" and cursor.next.text.isdecimal():
            part: PathPart = int(cursor.take().text)
        elif cursor.next.kind == "text":
            part = cursor.take().text
        else:
            cursor.refuse("expected a position")
            raise AssertionError
        cursor.expect_sign("]")
        return part

    def _action(self, section: str) -> Action:
        path = self._path()
        if section == "REMOVE":
            return Action(section, path)
        cursor = self._cursor
        cursor.expect_sign("=")
        name = cursor.next.text.lower()
        if cursor.next.kind == "name" and name in _SET_FUNCTIONS and cursor.after_next.text == "(":
            cursor.take()
            cursor.expect_sign("(")
            if self._path() != path:
                raise ill_formed(f"{name} has to name the attribute that is set")
            cursor.expect_sign(",")
            value = self._literals.ref()
            cursor.expect_sign(")")
            return Action(_SET_FUNCTIONS[name], path, value)
        return Action(section, path, self._sum())

    def _sum(self) -> Operand:
        left = self._operand()
        for sign in ("+", "-"):
            if self._cursor.take_sign(sign):
                return Arithmetic(sign, left, self._operand())
        return left

    def _operand(self) -> Operand:
        cursor = self._cursor
        if self._literals.is_next():
            return self._literals.ref()
        if cursor.next.kind == "name" and cursor.after_next.text == "(":
            return self._function()
        return self._path()

    def _function(self) -> Function:
        cursor = self._cursor
        name = cursor.take().text.lower()
        cursor.expect_sign("(")
        arguments = [self._operand()]
        while cursor.take_sign(","):
            arguments.append(self._operand())
        cursor.expect_sign(")")
        return Function(name, tuple(arguments))

    # --- conditions ---

    def _condition(self) -> Condition:
        self._depth += 1
        if self._depth > _NESTING_MAX:
            raise ill_formed("The condition is nested too deeply")
        conditions = [self._and()]
        while self._cursor.take_word("OR"):
            conditions.append(self._and())
        self._depth -= 1
        return conditions[0] if len(conditions) == 1 else Junction("OR", tuple(conditions))

    def _and(self) -> Condition:
        conditions = [self._not()]
        while self._cursor.take_word("AND"):
            conditions.append(self._not())
        return conditions[0] if len(conditions) == 1 else Junction("AND", tuple(conditions))

    def _not(self) -> Condition:
        negations = 0
        while self._cursor.take_word("NOT"):
            negations += 1
        condition = self._test()
        for _ in range(negations % 2):
            condition = Not(condition)
        return condition

    def _test(self) -> Condition:
        cursor = self._cursor
        if cursor.take_sign("("):
            condition = self._condition()
            cursor.expect_sign(")")
            return condition
        left = self._operand()
        if isinstance(left, Function) and left.name in _TESTS:
            return left
        if cursor.next.kind == "sign" and cursor.next.text in _COMPARATORS:
            return Comparison(_COMPARATORS[cursor.take().text], left, self._operand())
        if cursor.take_word("BETWEEN"):
            low = self._operand()
            cursor.expect_word("AND")
            return Between(left, low, self._operand())
        if cursor.take_word("IN"):
            return self._in(left)
        if cursor.take_word("IS"):
            return self._is(left)
        cursor.refuse("expected a comparison")
        raise AssertionError

    def _in(self, left: Operand) -> Condition:
        cursor = self._cursor
        end = "]" if cursor.take_sign("[") else ")"
        if end == ")":
            cursor.expect_sign("(")
        others = [self._operand()]
        while cursor.take_sign(","):
            others.append(self._operand())
        cursor.expect_sign(end)
        return In(left, tuple(others))

    def _is(self, left: Operand) -> Condition:
        cursor = self._cursor
        is_negated = cursor.take_word("NOT")
        if cursor.take_word("MISSING"):
            name = "attribute_exists" if is_negated else "attribute_not_exists"
            return Function(name, (left,))
        if cursor.take_word("NULL"):
            condition = Function("attribute_type", (left, self._literals.text("NULL")))
            return Not(condition) if is_negated else condition
        cursor.refuse("expected MISSING or NULL")
        raise AssertionError
