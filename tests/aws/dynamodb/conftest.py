"""What the tests of DynamoDB share: one node a module, and tables of its own for each test."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode, wait_until

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("dynamodb") / "data").start()
    yield node
    node.stop()


@pytest.fixture
def dynamodb(running: RunningNode) -> Any:
    return running.client("dynamodb")


def key(*parts: tuple[str, str]) -> list[dict[str, str]]:
    """Return a key schema of (attribute, HASH or RANGE)."""
    return [{"AttributeName": name, "KeyType": kind} for name, kind in parts]


def defined(**types: str) -> list[dict[str, str]]:
    """Return attribute definitions."""
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()]


def new_name() -> str:
    return f"table-{next(_NUMBERS)}"


def create(dynamodb: Any, types: dict[str, str] | None = None, **settings: Any) -> str:
    """Create a table of partition key `pk` (S) and sort key `sk` (N), with what else is given; return its name."""
    name = new_name()
    request = {
        "TableName": name,
        "AttributeDefinitions": defined(**{"pk": "S", "sk": "N", **(types or {})}),
        "KeySchema": key(("pk", "HASH"), ("sk", "RANGE")),
        "BillingMode": "PAY_PER_REQUEST",
        **settings,
    }
    dynamodb.create_table(**request)
    return name


@pytest.fixture
def table(dynamodb: Any) -> str:
    return create(dynamodb)


def at(pk: str, sk: int = 1) -> dict[str, Any]:
    """Return the key of an item of such a table."""
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}}


def refused(call: Any, **request: Any) -> tuple[str, str]:
    """Return code and text of the error that a call is answered with."""
    with pytest.raises(ClientError) as failure:
        call(**request)
    error = failure.value.response["Error"]
    return error["Code"], error["Message"]


def invalid(call: Any, **request: Any) -> str:
    """Return the text of the ValidationException that a call is answered with."""
    code, text = refused(call, **request)
    assert code == "ValidationException"
    return text


def wait_active(dynamodb: Any, name: str) -> dict[str, Any]:
    """Wait until a table is active and return its description."""

    def active() -> dict[str, Any] | None:
        found = dynamodb.describe_table(TableName=name)["Table"]
        return found if found["TableStatus"] == "ACTIVE" else None

    return wait_until(active)
