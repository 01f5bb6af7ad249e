"""Clients, and a short way to errors."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode


@pytest.fixture
def cloudwatch(node: RunningNode) -> Any:
    return node.client("cloudwatch")


@pytest.fixture
def sqs(node: RunningNode) -> Any:
    return node.client("sqs")


@pytest.fixture
def refused() -> Callable[..., tuple[str, str]]:
    """Call something that must be refused; return the code and the text."""

    def call(operation: Callable[..., Any], **params: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as failure:
            operation(**params)
        error = failure.value.response["Error"]
        return error["Code"], error["Message"]

    return call
