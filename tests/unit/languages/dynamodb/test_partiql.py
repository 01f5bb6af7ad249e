import pytest

from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.partiql.parser import parse_statement
from forebay.languages.dynamodb.partiql.statement import Delete, Insert, Select, Update
from forebay.languages.dynamodb.syntax import Action, Comparison, Function, In, Junction, Not, RawPath, ValueRef


def test_select_names_table_index_paths_and_order():
    statement = parse_statement('SELECT a, m.b[0] FROM "t"."i" WHERE pk = ? AND NOT x IS MISSING ORDER BY sk DESC')
    assert isinstance(statement, Select)
    assert (statement.table, statement.index) == ("t", "i")
    assert statement.paths == (RawPath(("a",)), RawPath(("m", "b", 0)))
    assert statement.where == Junction(
        "AND",
        (
            Comparison("=", RawPath(("pk",)), ValueRef(":0")),
            Not(Function("attribute_not_exists", (RawPath(("x",)),))),
        ),
    )
    assert statement.order == (("sk", True),)
    assert statement.literals.values([{"S": "p"}]) == {":0": {"S": "p"}}


def test_insert_takes_parameters_inside_values():
    statement = parse_statement("INSERT INTO t VALUE {'a': ?, 'l': [1, -2.50, ?, TRUE, NULL], 's': <<'x','y'>>}")
    assert isinstance(statement, Insert)
    assert statement.literals.parameters == 2
    assert statement.literals.values([{"S": "p"}, {"N": "7"}])[":0"] == {
        "M": {
            "a": {"S": "p"},
            "l": {"L": [{"N": "1"}, {"N": "-2.5"}, {"N": "7"}, {"BOOL": True}, {"NULL": True}]},
            "s": {"SS": ["x", "y"]},
        }
    }


def test_update_has_actions_and_what_to_return():
    statement = parse_statement(
        "UPDATE t SET a = 'it''s' SET s = set_add(s, <<1>>) REMOVE b WHERE pk = 'x' RETURNING MODIFIED OLD *"
    )
    assert isinstance(statement, Update)
    assert [action.section for action in statement.actions] == ["SET", "ADD", "REMOVE"]
    assert statement.actions[2] == Action("REMOVE", RawPath(("b",)))
    assert statement.returning == "UPDATED_OLD"
    assert statement.literals.values([])[":0"] == {"S": "it's"}


def test_delete_and_lists_of_values():
    statement = parse_statement('DELETE FROM "my-table" WHERE pk IN [1, 2]')
    assert isinstance(statement, Delete)
    assert statement.table == "my-table"
    assert statement.where == In(RawPath(("pk",)), (ValueRef(":0"), ValueRef(":1")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELEC * FROM t",
        "SELECT * FROM",
        "SELECT * FROM t WHERE",
        "SELECT * FROM t WHERE a =",
        "SELECT * FROM t extra",
        "INSERT INTO t VALUE {'a' 1}",
        "UPDATE t WHERE a = 1",
        "DELETE t",
        "SELECT * FROM t WHERE a ~ 1",
        "SELECT * FROM t WHERE " + "(" * 200,
    ],
)
def test_statement_that_is_none_is_refused(text):
    with pytest.raises(ServiceError, match="Statement wasn't well formed, can't be processed: "):
        parse_statement(text)
