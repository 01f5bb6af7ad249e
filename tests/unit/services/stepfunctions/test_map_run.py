"""Map runs: how many children may begin, what is tolerated."""

import pytest
from msgspec.structs import replace

from forebay.languages.asl.contract import TaskKey
from forebay.services.stepfunctions.address import MachineName, MapRunName
from forebay.services.stepfunctions.map_run import ChildEnded, Count, MapRun

NAME = MapRunName("000000000000", "us-east-1", "m", "each", "id")
RUN = MapRun(
    NAME,
    "key",
    "arn",
    MachineName("000000000000", "us-east-1", "m"),
    TaskKey(1, 1),
    "M",
    "STANDARD",
    0.0,
    Count(10, 40),
    3,
)


def test_children_begin_up_to_the_concurrency_and_the_rest() -> None:
    assert RUN.may_begin() == 3
    assert replace(RUN, begun=3).may_begin() == 0
    assert replace(RUN, begun=3).after(ChildEnded(NAME, "SUCCEEDED", 4)).may_begin() == 1
    assert replace(RUN, begun=9, succeeded=Count(9, 36)).may_begin() == 1
    assert replace(RUN, max_concurrency=0).may_begin() == 10


@pytest.mark.parametrize(
    ("count", "percentage", "failed_items", "is_beyond"),
    [
        (None, None, 0, False),
        (None, None, 1, True),
        (4, None, 4, False),
        (4, None, 5, True),
        (None, 10.0, 4, False),
        (None, 10.0, 5, True),
        (100, 10.0, 5, True),
    ],
)
def test_failures_are_tolerated_by_items(
    count: int | None, percentage: float | None, failed_items: int, *, is_beyond: bool
) -> None:
    run = replace(RUN, tolerated_failure_count=count, tolerated_failure_percentage=percentage)
    run = replace(run, begun=2).after(ChildEnded(NAME, "SUCCEEDED", 4))
    if failed_items:
        run = run.after(ChildEnded(NAME, "FAILED", failed_items))
    assert run.is_beyond_tolerance() is is_beyond


def test_children_have_names_that_are_always_the_same() -> None:
    assert RUN.child_name(1) == RUN.child_name(1)
    assert RUN.child_name(1) != RUN.child_name(2)
    assert (
        replace(RUN, type="EXPRESS")
        .child_name(1)
        .arn()
        .startswith("arn:aws:states:us-east-1:000000000000:express:m/each:")
    )
