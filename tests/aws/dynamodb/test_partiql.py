import pytest

from tests.aws.dynamodb.conftest import at, refused


@pytest.fixture
def run(dynamodb):
    def run(statement, *parameters, **settings):
        given = {"Parameters": list(parameters)} if parameters else {}
        return dynamodb.execute_statement(Statement=statement, **given, **settings)

    return run


@pytest.fixture
def filled(run, table):
    for number in range(6):
        run(
            f"INSERT INTO \"{table}\" VALUE {{'pk': ?, 'sk': {number}, 'm': {{'l': [1, 'x']}}}}",
            {"S": f"p{number % 2}"},
        )
    return table


def sorts(answer):
    return [int(item["sk"]["N"]) for item in answer["Items"]]


def test_select_reads_partitions_in_order_and_pages(run, filled):
    assert sorts(run(f"SELECT * FROM \"{filled}\" WHERE pk = 'p0' AND sk > 0")) == [2, 4]
    assert sorts(run(f"SELECT sk FROM \"{filled}\" WHERE pk = 'p1' ORDER BY sk DESC")) == [5, 3, 1]
    request = f"SELECT sk FROM \"{filled}\" WHERE pk IN ['p0', 'p1']"
    page = run(request, Limit=4)
    assert len(page["Items"]) == 4
    rest = run(request, Limit=4, NextToken=page["NextToken"])
    assert sorted(sorts(page) + sorts(rest)) == list(range(6))
    assert run(f"SELECT m.l[1] FROM \"{filled}\" WHERE pk = 'p0' AND sk = 0")["Items"] == [
        {"m": {"M": {"l": {"L": [{"S": "x"}]}}}}
    ]


def test_writes_change_one_item(run, filled):
    answer = run(f"UPDATE \"{filled}\" SET a = 1 REMOVE m WHERE pk = 'p0' AND sk = 0 RETURNING ALL NEW *")
    assert answer["Items"] == [{**at("p0", 0), "a": {"N": "1"}}]
    answer = run(f"DELETE FROM \"{filled}\" WHERE pk = 'p0' AND sk = 0 RETURNING ALL OLD *")
    assert answer["Items"] == [{**at("p0", 0), "a": {"N": "1"}}]


def test_statements_are_refused_in_dynamodbs_words(dynamodb, filled):
    def refusal(statement):
        return refused(dynamodb.execute_statement, Statement=statement)

    assert refusal(f"INSERT INTO \"{filled}\" VALUE {{'pk': 'p0', 'sk': 0}}") == (
        "DuplicateItemException",
        "Duplicate primary key exists in table",
    )
    assert (
        refusal(f"UPDATE \"{filled}\" SET a = 1 WHERE pk = 'none' AND sk = 1")[0] == "ConditionalCheckFailedException"
    )
    assert refusal(f"UPDATE \"{filled}\" SET a = 1 WHERE pk = 'p0'") == (
        "ValidationException",
        "Where clause does not contain a mandatory equality on all key attributes",
    )
    assert refusal("SELECT * FROM absent")[0] == "ResourceNotFoundException"


def test_batch_answers_each_statement(dynamodb, filled):
    answers = dynamodb.batch_execute_statement(
        Statements=[
            {"Statement": f"SELECT pk FROM \"{filled}\" WHERE pk = 'p0' AND sk = 2"},
            {"Statement": f"SELECT * FROM \"{filled}\" WHERE pk = 'p0'"},
        ]
    )["Responses"]
    assert answers[0] == {"TableName": filled, "Item": {"pk": {"S": "p0"}}}
    assert answers[1]["Error"]["Code"] == "ValidationError"


def test_transaction_is_all_or_none(dynamodb, filled):
    insert = {"Statement": f"INSERT INTO \"{filled}\" VALUE {{'pk': 't', 'sk': 1}}"}

    def exists(number):
        return {"Statement": f"EXISTS(SELECT * FROM \"{filled}\" WHERE pk = 'p0' AND sk = {number})"}

    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as failure:
        dynamodb.execute_transaction(TransactStatements=[insert, exists(99)])
    codes = [reason["Code"] for reason in failure.value.response["CancellationReasons"]]
    assert codes == ["None", "ConditionalCheckFailed"]
    dynamodb.execute_transaction(TransactStatements=[insert, exists(2)])
    read = {"Statement": f"SELECT * FROM \"{filled}\" WHERE pk = 't' AND sk = 1"}
    assert dynamodb.execute_transaction(TransactStatements=[read])["Responses"] == [{"Item": at("t", 1)}]
